"""YAML as DVC reads it: version 1.2, in which ``1e-4`` is a number and ``015`` is fifteen."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.error import MarkedYAMLError

from peftir.system.errors import PeftirError


def parse_yaml(text: str, name: str) -> Any:
    """The content of ``text``, whose file is called ``name`` in errors.

    Raises:
        PeftirError: it is not YAML, or a key comes twice.
    """
    try:
        return YAML(typ="safe").load(text)
    except YAMLError as error:
        place, problem = name, str(error)
        if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
            place, problem = f"{name}:{error.problem_mark.line + 1}", str(error.problem)
        raise PeftirError(f"{place}: not readable as YAML: {' '.join(problem.split())}") from error
