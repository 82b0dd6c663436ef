"""The settings of a test set by its name."""

from __future__ import annotations

from peftir.study.blocks import TestSetParams
from peftir.study.params import Params
from peftir.system.errors import PeftirError


def settings_of(params: Params, test: str) -> TestSetParams:
    """The block ``test`` under ``tests``.

    Raises:
        PeftirError: there is none.
    """
    if test not in params.tests:
        known = ", ".join(params.tests) or "none"
        raise PeftirError(f"tests.{test}: not in params.yaml; expected one of its tests: {known}")
    return params.tests[test]
