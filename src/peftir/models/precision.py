"""What number format the backbone computes in; its weights stay in float32."""

from __future__ import annotations

import contextlib
import platform

import torch


def computing_in(precision: str) -> contextlib.AbstractContextManager[object]:
    """A context in which matrix products run in ``precision``, ``bfloat16`` or ``float32``."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device().type, dtype=torch.bfloat16)


def not_rounded(values: torch.Tensor) -> torch.Tensor:
    """``values`` in float32, or in float64 if they are: whatever follows is not computed in bfloat16."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def processor() -> str:
    """What computes, by name: last digits follow from it and the number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    kind = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {kind}, {torch.get_num_threads()} threads"


def device() -> torch.device:
    """The GPU if there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
