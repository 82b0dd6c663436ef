"""Loading an adapter is exact or an error.

PEFT and transformers load what they find: a weight missing in the file stays random, with at most a line
in the log, and a head that was never saved looks like a trained one. With this package imported,
transformers' ``load_adapter`` (which ``AutoModel.from_pretrained``, ``SentenceTransformer`` and
``CrossEncoder`` use) and that of ``PeftModel`` raise an error instead, for every PEFT method.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper
from torch import nn
from transformers.integrations.peft import PeftAdapterMixin

from peftir.tuners.errors import TunerError

ALIGNMENT = 64
"""Bytes; where torch's own allocator puts CPU tensors."""


def weights_of(model: nn.Module, adapter: str) -> Iterator[str]:
    """The names of the weights of a PEFT adapter, heads included."""
    for place, module in model.named_modules():
        if isinstance(module, BaseTunerLayer | ModulesToSaveWrapper):
            for kind in module.adapter_layer_names:
                held = getattr(module, kind)
                if adapter in held:
                    name = f"{place}.{kind}.{adapter}"
                    if isinstance(held[adapter], nn.Parameter):
                        yield name
                    else:
                        yield from (f"{name}.{rest}" for rest, _ in held[adapter].named_parameters())


def refuse_incomplete(missing: Iterable[str], unexpected: Iterable[str]) -> None:
    """Raise an error if an adapter file does not hold exactly the weights of its configuration.

    Raises:
        TunerError: names the first weight and how many there are.
    """
    for kind, names in (("missing", sorted(missing)), ("unexpected", sorted(unexpected))):
        if names:
            headless = kind == "missing" and any(".modules_to_save." in name for name in names)
            advice = "load what has no head onto model.base_model" if headless else "save the model again"
            raise TunerError(
                f"adapter_model.safetensors: {len(names)} {kind} weight(s), the first is {names[0]!r}; "
                f"expected exactly the weights that adapter_config.json describes: {advice}"
            )


def align(model: nn.Module) -> None:
    """Copy adapter weights that lie at odd addresses, as weights mapped from a file do.

    Matrix products of misaligned weights can differ in the last bit; with this a loaded model gives the very
    scores that it gave when it was saved.
    """
    for module in model.modules():
        if isinstance(module, BaseTunerLayer | ModulesToSaveWrapper):
            for parameter in module.parameters():
                if parameter.device.type == "cpu" and parameter.data_ptr() % ALIGNMENT:
                    parameter.data = parameter.data.clone()


def load_exactly() -> None:
    """Make the loading of transformers' models with adapters and of ``PeftModel`` exact, once."""
    if not hasattr(PeftAdapterMixin.load_adapter, "__wrapped__"):
        PeftAdapterMixin.load_adapter = _exact(PeftAdapterMixin.load_adapter)  # type: ignore[method-assign]
        PeftModel.load_adapter = _exact(PeftModel.load_adapter)  # type: ignore[method-assign]


def _exact(load_adapter: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(load_adapter)

    @functools.wraps(load_adapter)
    def load_exactly(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        info = load_adapter(self, *args, **kwargs)
        name = signature.bind(self, *args, **kwargs).arguments.get("adapter_name") or "default"
        # Both also report weights of the other adapters on the model, which are not in this one's file.
        refuse_incomplete(set(info.missing_keys) & set(weights_of(self, name)), info.unexpected_keys)
        align(self)
        return info

    return load_exactly
