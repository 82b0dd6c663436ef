"""How the numbers behind a claim are told."""

from __future__ import annotations

import pytest

from peftir.evidence import steps_to_full


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([20, 20, 20], "20"),
        ([30, 1200, 20], "20–1,200"),
        ([None, 360, None], "360, 1 of 3"),
        ([None, None, None], "never"),
        ([], "unknown"),
    ],
)
def test_steps_are_told_with_the_models_that_get_so_far(steps: list[int | None], told: str) -> None:
    assert steps_to_full({"lora": {"steps_to": {"0.95": steps}}}, "lora") == told
