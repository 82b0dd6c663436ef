"""How the numbers behind a claim are told, and sorted."""

from __future__ import annotations

import math

import pytest

from peftir.report.evidence import ReportedValue, average, difference, probability, steps_to_full
from peftir.statistics.comparisons import TESTS, RowComparison


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([20, 20, 20], ReportedValue("20", 20)),
        ([30, 1500, 1200], ReportedValue("30–1,500", 30)),
        ([1500, 1200, 1200], ReportedValue("1,200–1,500", 1200)),
        ([30, 1200, 20], ReportedValue("20–1,200", 20)),
        ([None, 360, None], ReportedValue("360, 1 of 3", 360)),
        ([None, None, None], ReportedValue("never", None)),
        ([], ReportedValue("unknown", None)),
    ],
)
def test_steps_are_told_with_the_models_that_get_so_far(steps: list[int | None], told: ReportedValue) -> None:
    assert steps_to_full({"lora": {"steps_to": {"0.95": steps}}}, "lora") == told


def test_a_difference_is_told_with_its_interval_and_the_p_value_over_queries_and_seeds() -> None:
    corrected = dict.fromkeys(TESTS, 0.5) | {"two_level": 0.0004}
    found = RowComparison(-0.0286, -0.0569, 0.0002, corrected, corrected)
    assert difference(found) == [
        ReportedValue("−0.029", -0.0286),
        ReportedValue("−0.057 to 0.000", -0.0569),
        ReportedValue("< 0.001", 0.0004),
    ]
    assert difference(found.reversed())[0] == ReportedValue("+0.029", 0.0286)


@pytest.mark.parametrize(
    ("p", "told"),
    [
        (0.0404, ReportedValue("0.040", 0.0404)),
        (1.0, ReportedValue("1.000", 1.0)),
        (math.nan, ReportedValue("no test", None)),
    ],
)
def test_where_there_was_no_test_there_is_no_p_value(p: float, told: ReportedValue) -> None:
    assert probability(p) == told


@pytest.mark.parametrize(
    ("values", "text"),
    [({1: 0.71, 2: 0.71}, "0.710"), ({1: 150.6, 2: 150.8}, "151"), ({1: 0.0}, "0.00"), ({}, "unknown")],
)
def test_a_figure_of_learning_is_told_with_three_digits(values: dict[int, float], text: str) -> None:
    assert average(values).text == text
