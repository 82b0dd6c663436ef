"""Cross-validation: which queries each fold trains on, chooses by and tests, and what stops it."""

from collections import Counter

import pytest

from layouts import DOCUMENTS, LAYOUTS, QRELS, QUERIES, SHARES, as_beir, write
from peftir.data.check import Ruler, check
from peftir.data.collection import SPLITS, Collection
from peftir.data.prepare import prepare
from peftir.data.splits import Folds
from peftir.system.errors import PeftirError

ALL = {query: text for split in SPLITS for query, text in QUERIES[split].items()}
JUDGED = {query: grades for split in SPLITS for query, grades in QRELS[split].items()}
IDS = [f"q{number}" for number in range(23)]
RULERS = {
    kind: Ruler(lambda texts: [len(text.split()) for text in texts], 9) for kind in ("document", "query")
}


def fold_of_each(folds, ids):
    """The fold that each query is tested in."""
    tested = [
        (query, fold) for fold, of in enumerate(folds.splits(ids), 1) for query in of if of[query] == "test"
    ]
    assert len(tested) == len(dict(tested)) == len(ids)
    return dict(tested)


@pytest.mark.parametrize("count", [2, 3, 5, 23])
def test_every_query_is_tested_exactly_once_in_folds_of_one_size(count):
    sizes = Counter(fold_of_each(Folds(count, 0.2), IDS).values())
    assert set(sizes) == set(range(1, count + 1))
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_the_others_are_divided_by_the_share_of_dev():
    # 23 queries in 5 folds: 5, 5, 5, 4 and 4 are tested; a quarter of the other 18 or 19 is 4.5, rounded to
    # even, or 4.75.
    sizes = [Counter(of.values()) for of in Folds(5, 0.25).splits(IDS)]
    assert [(size["train"], size["dev"], size["test"]) for size in sizes] == [
        *[(14, 4, 5)] * 3,
        *[(14, 5, 4)] * 2,
    ]
    assert Counter(Folds(5, 0.001).splits(IDS)[0].values())["dev"] == 1
    assert Folds.of(5, {"train": 0.6, "dev": 0.2, "test": 0.2}).dev == pytest.approx(0.25)


def test_ids_alone_decide_not_their_order_and_each_fold_has_a_dev_of_its_own():
    folds = Folds(5, 0.25)
    assert folds.splits(reversed(IDS)) == folds.splits(IDS)
    devs = [frozenset(query for query in of if of[query] == "dev") for of in folds.splits(IDS)]
    assert len(set(devs)) == 5
    assert fold_of_each(Folds(4, 0.25), IDS) != fold_of_each(folds, IDS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_collection_has_all_judged_queries_of_any_source_split_anew_in_each_fold(layout, tmp_path):
    source = LAYOUTS[layout](tmp_path / "source")
    manifest = prepare(source, tmp_path / "c", documents=None, splits=SHARES, folds=3)
    whole = Collection(tmp_path / "c")
    assert whole.folds == len(manifest["folds"]) == 3
    assert (whole.queries("test"), whole.qrels("test")) == (whole.queries("test") | ALL, JUDGED)
    assert [whole.queries(split) or whole.qrels(split) for split in ("train", "dev")] == [{}, {}]
    tested = []
    for fold in (1, 2, 3):
        parts = Collection(tmp_path / "c", fold)
        queries = {split: parts.queries(split) for split in SPLITS}
        assert sum(map(len, queries.values())) == len(ALL)
        assert {id: text for of in queries.values() for id, text in of.items()} == ALL
        for split in SPLITS:
            assert parts.qrels(split) == {query: JUDGED[query] for query in queries[split]}
            assert len(queries[split]) == manifest["folds"][fold - 1][split] > 0
        tested += queries["test"]
    assert sorted(tested) == sorted(ALL)


def test_the_same_source_gives_the_same_bytes_and_other_folds_replace_them(tmp_path):
    source = as_beir(tmp_path / "source")
    one, two = (
        prepare(source, tmp_path / name, documents=None, splits=SHARES, folds=3) for name in ("one", "two")
    )
    assert one == two
    assert {"folds/1.tsv", "folds/2.tsv", "folds/3.tsv"} < one["sha256"].keys()
    prepare(source, tmp_path / "one", documents=None, splits=SHARES, folds=2)
    assert sorted(path.name for path in (tmp_path / "one" / "folds").iterdir()) == ["1.tsv", "2.tsv"]
    manifest = prepare(source, tmp_path / "one", documents=None, splits=SHARES)
    assert "folds" not in manifest
    assert not (tmp_path / "one" / "folds").exists()


def test_a_source_with_test_alone_is_told_of_folds_and_is_right_with_them(tmp_path):
    source = as_beir(tmp_path / "source", ("test",))
    with pytest.raises(
        PeftirError, match=r"has test queries but none of train and dev; .* collection.folds: 5"
    ):
        prepare(source, tmp_path / "c", documents=None, splits=SHARES)
    [problem] = check(source, splits=SHARES, own_documents=False, folds=None, rulers=RULERS).problems
    assert "collection.folds: 5" in problem
    findings = check(source, splits=SHARES, own_documents=False, folds=3, rulers=RULERS)
    assert (findings.problems, findings.splits["test"].queries) == ([], len(QUERIES["test"]))
    prepare(source, tmp_path / "c", documents=None, splits=SHARES, folds=3)
    assert {len(Collection(tmp_path / "c", fold).queries("test")) for fold in (1, 2, 3)} <= {1, 2, 3, 4}


def test_more_folds_than_queries_and_folds_without_anything_relevant_are_told(tmp_path):
    source = as_beir(tmp_path / "source", ("test",))
    count = len(QUERIES["test"]) + 1
    expected = rf"collection.folds: {count}: the source has {count - 1} judged queries; expected as many"
    with pytest.raises(PeftirError, match=expected):
        prepare(source, tmp_path / "c", documents=None, splits=SHARES, folds=count)
    rows = "".join(f"{query}\t{DOCUMENTS[0][0]}\t{int(i == 0)}\n" for i, query in enumerate(QUERIES["test"]))
    write(tmp_path / "source" / "qrels" / "test.tsv", f"query-id\tcorpus-id\tscore\n{rows}")
    with pytest.raises(
        PeftirError, match=r"collection.folds: 2: no \w+ query of fold 1 has a relevant document"
    ):
        prepare(source, tmp_path / "c", documents=None, splits=SHARES, folds=2)
    assert not (tmp_path / "c").exists()


def test_a_fold_that_is_not_there_or_damaged_is_named(tmp_path):
    source = as_beir(tmp_path / "source")
    prepare(source, tmp_path / "c", documents=None, splits=SHARES, folds=2)
    with pytest.raises(
        PeftirError, match=r"c: has 2 folds, and so no fold 3; name a seed listed in params.yaml"
    ):
        Collection(tmp_path / "c", 3)
    path = tmp_path / "c" / "folds" / "2.tsv"
    text = path.read_text()
    for damage in (text[: text.rindex("\n", 0, -1) + 1], text.replace("\t", " "), text[3:], ""):
        path.write_text(damage)
        with pytest.raises(
            PeftirError, match=r"folds/2.tsv: is damaged \(.*\); prepare the collection again"
        ):
            Collection(tmp_path / "c", 2)
    path.unlink()
    with pytest.raises(PeftirError, match=r"folds/2.tsv: is missing"):
        Collection(tmp_path / "c", 2)
    prepare(source, tmp_path / "c", documents=None, splits=SHARES)
    with pytest.raises(PeftirError, match=r"c: has no folds, and so no fold 1"):
        Collection(tmp_path / "c", 1)
