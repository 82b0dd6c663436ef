"""Lazy re-exports: a package's modules are imported on the first use of their names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_first_use(
    package: str, modules: Mapping[str, tuple[str, ...]]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__all__``, ``__getattr__`` and ``__dir__`` for a package (PEP 562).

    For packages in which only some modules need libraries that take seconds to import.

    Args:
        package: the package's ``__name__``.
        modules: the names to re-export, by module.
    """
    home = {name: module for module, names in modules.items() for name in names}

    def getattribute(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    def directory() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return sorted(home), getattribute, directory
