"""A share of the train queries: nested samples, and all else as it was."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from layouts import QRELS, QUERIES, SHARES, as_beir
from peftir.data.collection import Collection
from peftir.data.hashing import point
from peftir.data.prepare import prepare
from peftir.data.splits import Folds
from peftir.system.errors import PeftirError

GROWING = (0.2, 0.5, 0.8, 1)


def prepared(tmp_path: Path, share: float, folds: int | None = None) -> Path:
    folder = tmp_path / f"share{share}"
    prepare(
        as_beir(tmp_path / "source"), folder, documents=None, splits=SHARES, train_share=share, folds=folds
    )
    return folder


def test_a_smaller_share_takes_some_of_the_queries_of_a_larger_one(tmp_path: Path) -> None:
    taken = [Collection(prepared(tmp_path, share)).queries("train") for share in GROWING]
    assert [set(few) < set(more) for few, more in pairwise(taken)] == [True] * 3
    assert taken[-1] == QUERIES["train"]
    # The sample is what the hash says, whatever other queries there are.
    expected = {query for query in QUERIES["train"] if point(f"train share {query}") < 0.5}
    assert set(taken[1]) == expected


def test_of_many_queries_it_takes_the_share() -> None:
    taken = Folds(2, 0.001, 0.05).splits([f"q{number}" for number in range(20_000)])[0]
    train = sum(split == "train" for split in taken.values())
    # Of the 9,990 that are neither in test nor in dev; √(0.05 · 0.95 / 9,990) = 0.0022 is one deviation.
    assert train / 9_990 == pytest.approx(0.05, abs=5 * 0.0022)


def test_dev_and_test_are_those_of_the_whole_and_the_judgements_follow(tmp_path: Path) -> None:
    few, whole = Collection(prepared(tmp_path, 0.5)), Collection(prepared(tmp_path, 1))
    for split in ("dev", "test"):
        assert (few.queries(split), few.qrels(split)) == (whole.queries(split), whole.qrels(split))
    assert few.qrels("train") == {query: QRELS["train"][query] for query in few.queries("train")}
    assert few.manifest["origin"]["train_share"] == 0.5
    assert few.manifest["splits"]["train"]["queries"] == len(few.queries("train")) < len(QUERIES["train"])


def test_all_of_them_are_the_bytes_that_there_were_without_a_share(tmp_path: Path) -> None:
    source = as_beir(tmp_path / "source")
    prepare(source, tmp_path / "before", documents=None, splits=SHARES)
    folder = prepared(tmp_path, 1)
    for path in filter(Path.is_file, (tmp_path / "before").rglob("*")):
        assert (folder / path.relative_to(tmp_path / "before")).read_bytes() == path.read_bytes()


def test_in_a_cross_validation_each_fold_trains_on_a_sample_and_tests_on_all(tmp_path: Path) -> None:
    few, whole = prepared(tmp_path, 0.5, folds=3), prepared(tmp_path, 1, folds=3)
    for fold in (1, 2, 3):
        sample, every = Collection(few, fold), Collection(whole, fold)
        for split in ("dev", "test"):
            assert (sample.queries(split), sample.qrels(split)) == (every.queries(split), every.qrels(split))
        assert set(sample.queries("train")) < set(every.queries("train"))
        assert sample.qrels("train").keys() == sample.queries("train").keys()


def test_a_share_without_a_query_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        PeftirError, match=r"^collection.train_share: 1e-05: no train query is left; expected a larger share$"
    ):
        prepared(tmp_path, 1e-5)
    assert not (tmp_path / "share1e-05").exists()
