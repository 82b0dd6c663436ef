"""Parse YAML 1.2, as DVC does: ``1e-4`` is a number and ``015`` is fifteen."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.error import MarkedYAMLError

from peftir.system.errors import PeftirError


def parse_yaml(text: str, name: str) -> Any:
    """Parse ``text``; errors call the file ``name``.

    Raises:
        PeftirError: ``text`` is not YAML, or has a duplicate key.
    """
    try:
        return YAML(typ="safe").load(text)
    except YAMLError as error:
        place, problem = name, str(error)
        if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
            place, problem = f"{name}:{error.problem_mark.line + 1}", str(error.problem)
        raise PeftirError(f"{place}: not readable as YAML: {' '.join(problem.split())}") from error
