"""Which comparisons the report asks for."""

from __future__ import annotations

from peftir.pipeline.questions import families_of
from peftir.report.rivals import Competitor

# BitFit is too small to be of IAA's budget, and the second IAA too large.
VARIANTS = {
    "zero_shot": Competitor("zero_shot", 0),
    "full": Competitor("full", 22_700_000),
    "bitfit": Competitor("bitfit", 20_000),
    "lora": Competitor("lora", 110_000),
    "iaa_s": Competitor("iaa", 104_000),
    "iaa_l": Competitor("iaa", 1_000_000),
}
TRAINED = {name: each for name, each in VARIANTS.items() if each.trained}


def test_marks_are_against_full_and_of_iaa_and_the_baseline_is_the_untrained_backbone() -> None:
    marks, baselines = families_of("retrieval", VARIANTS)
    against_full = [(row, "full") for row in ("bm25", "zero_shot", "bitfit", "lora", "iaa_s", "iaa_l")]
    assert marks == [*against_full, ("iaa_s", "lora")]
    # Full fine-tuning against it is among the marks.
    assert baselines == [(row, "zero_shot") for row in ("bitfit", "lora", "iaa_s", "iaa_l")]


def test_rerankers_have_bm25_as_baseline_and_interpolated_rows_families_of_their_own() -> None:
    alone, with_bm25, mixed, mixed_with_bm25 = families_of("reranking", TRAINED)
    assert ("bm25", "full") in alone and ("iaa_s", "lora") in alone
    assert with_bm25 == [(row, "bm25") for row in ("bitfit", "lora", "iaa_s", "iaa_l")]
    assert mixed == [
        ("bm25", "full+bm25"),
        *((f"{row}+bm25", "full+bm25") for row in ("bitfit", "lora", "iaa_s", "iaa_l")),
        ("iaa_s+bm25", "lora+bm25"),
    ]
    assert mixed_with_bm25 == [(f"{row}+bm25", "bm25") for row in ("bitfit", "lora", "iaa_s", "iaa_l")]


def test_without_full_fine_tuning_the_baseline_is_what_is_left() -> None:
    marks, baselines = families_of("retrieval", {"lora": TRAINED["lora"]})
    assert (marks, baselines) == ([], [("lora", "bm25")])
