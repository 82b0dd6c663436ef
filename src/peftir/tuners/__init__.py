"""Parameter-efficient tuning methods for encoders, as PEFT methods.

Importing this package registers the methods with PEFT, so that ``peft.get_peft_model``, transformers'
``model.add_adapter`` and sentence-transformers' ``add_adapter`` take their configurations, and so that
tuned models load again with ``PeftModel``, ``SentenceTransformer(folder)`` and ``CrossEncoder(folder)``.
Besides, it enters the attention of a prefix in transformers' registry; nothing in either library is replaced.

However an adapter of this package is loaded, a weight that is missing in its file, one too many, or one of
another shape is an error. For PEFT's own methods, ``lora`` and ``ia3`` here, :func:`load` sees to that.

>>> import torch
>>> from transformers import BertConfig, BertModel
>>> from peftir.tuners import attach, count
>>> def bert():  # a tiny one, with the same random weights at each call
...     generator = torch.manual_seed(0)
...     sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
...     config = BertConfig(vocab_size=100, num_hidden_layers=2, **sizes)
...     return BertModel(config, add_pooling_layer=False).eval()

A method is attached at a size, or at a budget, the share of the backbone's weights that may be trained:

>>> model = bert()
>>> attach(model, "iaa_l", budget=0.05)
{'rank': 4}
>>> weights = count(model)
>>> weights.trained, weights.trained_as_paper, weights.backbone
(1752, 1536, 36800)
>>> tokens = torch.tensor([[2, 7, 9, 3]])  # [batch, length]
>>> model(tokens).last_hidden_state.shape
torch.Size([1, 4, 32])

Until it is trained the model computes what the backbone computes:

>>> torch.equal(model(tokens).last_hidden_state, bert()(tokens).last_hidden_state)
True

``make_config`` gives the same as a configuration for PEFT, and ``validate`` checks a method without a model:

>>> import peft
>>> from peftir.tuners import make_config, validate
>>> backbone = bert()
>>> tuned = peft.get_peft_model(backbone, make_config("lora", backbone, rank=4))
>>> tuned.print_trainable_parameters()
trainable params: 1,024 || all params: 37,824 || trainable%: 2.7073
>>> validate("lora", rank=0)
Traceback (most recent call last):
    ...
peftir.tuners.errors.TunerError: rank: got 0, expected a whole number of at least 1

A saved adapter is loaded onto its backbone; ``verify`` checks one that a library has loaded:

>>> import tempfile
>>> from peftir.tuners import load, verify
>>> folder = tempfile.mkdtemp()
>>> tuned.save_pretrained(folder)
>>> model = bert()
>>> load(model, folder)
>>> again = peft.PeftModel.from_pretrained(bert(), folder)
>>> verify(again, folder)

``continue_from`` gives an adapter the weights of a saved one of the same settings, to train it further:

>>> from peftir.tuners import continue_from
>>> model = bert()
>>> attach(model, "lora", rank=4)
{'rank': 4}
>>> continue_from(model, folder)

``train_mode`` is ``model.train()`` for the inserted modules, whose dropout is the method's own; the backbone
stays in evaluation mode:

>>> from peftir.tuners import train_mode
>>> train_mode(model, backbone=False)
>>> projection = model.encoder.layer[0].attention.self.query
>>> projection.training, projection.base_layer.training, model.training
(True, False, False)

``vector_names`` says which weights an optimizer should not decay:

>>> from peftir.tuners import vector_names
>>> len([name for name in vector_names(model) if "lora" in name])  # matrices alone
0
"""

from peftir.tuners.adapter import AdapterConfig
from peftir.tuners.bitfit import BitFitConfig
from peftir.tuners.errors import TunerError
from peftir.tuners.families import FAMILIES, Family
from peftir.tuners.iaa_l import IaaLConfig
from peftir.tuners.iaa_m import IaaMConfig
from peftir.tuners.iaa_s import IaaSConfig
from peftir.tuners.loading import continue_from, load, verify
from peftir.tuners.mam import MamConfig
from peftir.tuners.methods import Knob, Method
from peftir.tuners.prefix import PrefixConfig
from peftir.tuners.registry import METHODS, attach, make_config, validate
from peftir.tuners.vectors import vector_names
from peftir.tuners.weights import Weights, count, train_mode

__all__ = [
    "FAMILIES",
    "METHODS",
    "AdapterConfig",
    "BitFitConfig",
    "Family",
    "IaaLConfig",
    "IaaMConfig",
    "IaaSConfig",
    "Knob",
    "MamConfig",
    "Method",
    "PrefixConfig",
    "TunerError",
    "Weights",
    "attach",
    "continue_from",
    "count",
    "load",
    "make_config",
    "train_mode",
    "validate",
    "vector_names",
    "verify",
]
