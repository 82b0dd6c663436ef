"""Seeds with and without a fold: what they stand for, and which lists a study can have."""

from __future__ import annotations

import pytest

from peftir.study.seeds import Draw, Seed, draw, numbers, of_first_fold, problem, seed


def test_an_entry_is_a_number_or_a_number_and_a_fold() -> None:
    assert [draw(13), draw("13f2"), draw("0f10")] == [Draw(13, None), Draw(13, 2), Draw(0, 10)]
    assert [seed("13"), seed("13f2")] == [13, "13f2"]


@pytest.mark.parametrize("text", ["", "f2", "13f", "13f0", "13f02", "013", "-1", "13 f2", "1.5", "13F2"])
def test_nothing_else_is_a_seed(text: str) -> None:
    with pytest.raises(ValueError, match="expected a seed such as 13, or with a fold 13f2"):
        seed(text)


def test_each_number_counts_once_and_its_first_fold_stands_for_it() -> None:
    folded: list[Seed] = ["14f2", "14f1", "13f1", "13f2"]
    assert numbers(folded) == [14, 13]
    assert of_first_fold(folded) == ["14f1", "13f1"]
    assert numbers([14, 13]) == of_first_fold([14, 13]) == [14, 13]


GOOD: list[tuple[list[Seed], int | None]] = [
    ([13], None),
    ([13, 14], None),
    (["13f1", "13f2"], 2),
    (["14f2", "13f1", "14f1", "13f2"], 2),
]
BAD: list[tuple[list[Seed], int | None, str]] = [
    ([13, 13], None, "each seed once"),
    (["13f1"], None, "'13f1': expected a whole number such as 13, since collection.folds is null"),
    ([13], 2, "13: expected every fold of each seed once, since collection.folds is 2: 13f1, 13f2"),
    (["13f1", "13f2", "14f1"], 2, "since collection.folds is 2: 13f1, 13f2, 14f1, 14f2"),
    (["13f1", "13f2", "13f2"], 2, "since collection.folds is 2: 13f1, 13f2"),
    (["13f1", "13f2", "13f3"], 2, "13f1, 13f2, 13f3: expected"),
]


@pytest.mark.parametrize(("entries", "folds"), GOOD)
def test_every_seed_has_all_folds_or_none(entries: list[Seed], folds: int | None) -> None:
    assert problem(entries, folds) is None


@pytest.mark.parametrize(("entries", "folds", "expected"), BAD)
def test_what_is_missing_is_written_out(entries: list[Seed], folds: int | None, expected: str) -> None:
    assert expected in (problem(entries, folds) or "")
