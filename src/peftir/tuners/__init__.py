"""Parameter-efficient tuning methods for encoders, as PEFT methods.

Importing this package registers the methods with PEFT, so that ``peft.get_peft_model``, transformers'
``model.add_adapter`` and sentence-transformers' ``add_adapter`` take their configurations, and so that
tuned models load again with ``PeftModel``, ``SentenceTransformer(folder)`` and ``CrossEncoder(folder)``.
A weight that is missing in an adapter file, or one too many, is then an error.
"""

from peftir.tuners.adapter import AdapterConfig
from peftir.tuners.bitfit import BitFitConfig
from peftir.tuners.errors import TunerError
from peftir.tuners.families import FAMILIES, Family
from peftir.tuners.iaa_l import IaaLConfig
from peftir.tuners.iaa_m import IaaMConfig
from peftir.tuners.iaa_s import IaaSConfig
from peftir.tuners.loading import load_exactly
from peftir.tuners.mam import MamConfig
from peftir.tuners.methods import Knob, Method
from peftir.tuners.prefix import PrefixConfig
from peftir.tuners.registry import METHODS, attach, make_config, validate
from peftir.tuners.vectors import vector_names
from peftir.tuners.weights import Weights, count

load_exactly()

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
    "count",
    "make_config",
    "validate",
    "vector_names",
]
