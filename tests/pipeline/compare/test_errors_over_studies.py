"""Of many comparisons of studies without any difference, one in twenty at most finds one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import binom

from peftir.diff.noise import difference, seed_noise
from peftir.pipeline.compare.joint import holm_of_distinct
from peftir.pipeline.questions import families_of
from peftir.report.rivals import Competitor
from peftir.statistics.significance import ALPHA, error_over_seeds, holm, two_level_test

COMPARISONS, STUDIES, QUERIES = 600, 3, 20
MOST = binom.isf(1e-3, COMPARISONS, ALPHA)
"""Of as many comparisons, more are wrong once in a thousand times where one in twenty may be."""
VARIANTS = {
    "full": Competitor("full", 20_000_000),
    "lora": Competitor("lora", 100_000),
    "adapter": Competitor("adapter", 100_000),
    "iaa_l": Competitor("iaa", 100_000),
}
MARKS = families_of("retrieval", VARIANTS)[0]
Values = dict[str, np.ndarray]
"""The values of each row, ``[seeds, queries]``."""


def studies(seeds: int, sweep: bool, apart: float) -> Iterator[list[Values]]:
    """Comparisons of equal methods: of studies of several collections, or of a sweep.

    The experiments of a sweep have the same queries and share all runs but LoRA's. Queries, trainings (with a
    standard deviation of ``apart``), and both together are random; a seed stands for the same batches in all
    of a study's trainings.
    """
    random = np.random.default_rng([seeds, sweep])

    def study(hardness: np.ndarray, batches: np.ndarray) -> Values:
        return {"bm25": hardness + random.normal(0, 0.5, (1, QUERIES))} | {
            name: hardness
            + batches
            + random.normal(0, apart, (seeds, 1))
            + random.normal(0, 0.5, (seeds, QUERIES))
            for name in VARIANTS
        }

    for _ in range(COMPARISONS):
        drawn = [(random.normal(0, 1, QUERIES), random.normal(0, apart, (seeds, 1))) for _ in range(STUDIES)]
        if sweep:
            first = study(*drawn[0])
            yield [first, *(first | {"lora": study(*drawn[0])["lora"]} for _ in range(STUDIES - 1))]
        else:
            yield [study(*each) for each in drawn]


def marks_of(values: Values) -> list[tuple[tuple[object, ...], float]]:
    """The marks of a study as in its metrics: what is compared, and the p-value of the two-level test."""
    differences = [values[row] - values[other] for row, other in MARKS]
    floor = float(np.mean([error_over_seeds(each) for each in differences]))
    return [
        ((pair, *(values[row].tobytes() for row in pair)), two_level_test(each, at_least=floor).p)
        for pair, each in zip(MARKS, differences, strict=True)
    ]


@pytest.mark.parametrize(("seeds", "apart"), [(1, 0.0), (3, 0.05)])  # one seed says nothing about others
@pytest.mark.parametrize("sweep", [False, True])
def test_the_marks_of_all_studies_are_one_family(seeds: int, apart: float, sweep: bool) -> None:
    together = alone = 0
    for compared in studies(seeds, sweep, apart):
        families = [marks_of(values) for values in compared]
        together += min(holm_of_distinct([test for family in families for test in family])) <= ALPHA
        alone += min(min(holm([p for _, p in family])) for family in families) <= ALPHA
    assert together <= MOST
    if seeds == 1 and not sweep:  # where the test is exact, and nothing is shared
        assert alone > MOST  # corrected within each study, more comparisons are wrong


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_row_of_one_study_against_that_of_another_is_a_family(seeds: int) -> None:
    wrong = uncorrected = 0
    for compared in studies(seeds, sweep=True, apart=0.05):
        others = [study | {"iaa_l": study["lora"][:, ::-1]} for study in compared]
        noise = seed_noise(values for study in others for values in study.values())
        p_values = [
            difference(others[0][row], study[row], noise, trained=True).p
            for study in others[1:]
            for row in ("lora", "iaa_l")
        ]
        wrong += min(holm(p_values)) <= ALPHA
        uncorrected += min(p_values) <= ALPHA
    assert wrong <= MOST
    assert uncorrected > wrong
