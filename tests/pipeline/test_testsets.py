"""Test sets beside the collection's own test queries: what ranks for them, and that nothing else changes.

Tiny collections and a tiny random backbone go through the stages' own functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sentence_transformers import SentenceTransformer

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.splits import Folds
from peftir.data.writing import write_collection
from peftir.diff.digest import read_scores
from peftir.models import saving
from peftir.pipeline.backbone import settle
from peftir.pipeline.bm25 import index_words, rank_by_words
from peftir.pipeline.bm25_test import rank_test_by_words
from peftir.pipeline.check import check_sources
from peftir.pipeline.evaluate import per_query, write_metrics
from peftir.pipeline.evaluate_test import evaluate_test, families
from peftir.pipeline.index import index_documents
from peftir.pipeline.prepare_test import prepare_test
from peftir.pipeline.rerank import rerank_candidates
from peftir.pipeline.rerank_test import rerank_test
from peftir.pipeline.retrieve import retrieve
from peftir.pipeline.retrieve_test import retrieve_test
from peftir.pipeline.train_reranker import train_reranker
from peftir.pipeline.train_retriever import train_retriever
from peftir.pipeline.untrained import rank_untrained
from peftir.ranking.runs import read_run, write_run
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from peftir.system.files import remove
from peftir.training.distributed import launch
from synthetic_study import make_params
from tiny_backbone import write_tiny_bert

WORDS = [f"w{number}" for number in range(24)]
DOCUMENTS = {f"d{number}": f"{word} {WORDS[number - 1]} common" for number, word in enumerate(WORDS)}
# The same ids with other texts.
OTHERS = {f"d{number}": f"{word} {WORDS[number - 2]} rare" for number, word in enumerate(WORDS[::-1])}
QUERIES = {f"q{number}": f"{WORDS[number]} common" for number in range(24)}
TRAIN, DEV = [f"q{n}" for n in range(8)], [f"q{n}" for n in range(8, 12)]
FIRST, SECOND = [f"q{n}" for n in range(12, 18)], [f"q{n}" for n in range(18, 24)]
MEASURES = {"retrieval": ["RR@10", "R@5"], "reranking": ["RR@10"]}


def jsonl(texts: dict[str, str]) -> str:
    return "".join(json.dumps({"_id": id, "text": text}) + "\n" for id, text in texts.items())


def write_source(
    folder: Path, documents: dict[str, str], queries: list[str], relevant: dict[str, str] | None = None
) -> str:
    """A BEIR folder whose queries are all of test; by default a query's document has its number."""
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(jsonl(documents))
    (folder / "queries.jsonl").write_text(jsonl({query: QUERIES[query] for query in queries}))
    judged = relevant or {query: f"d{query[1:]}" for query in queries}
    rows = "".join(f"{query}\t{document}\t1\n" for query, document in judged.items())
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    return f"beir:{folder}"


def write_main(
    root: Path, tested: list[str], documents: dict[str, str] = DOCUMENTS, folds: int | None = None
) -> None:
    """A collection that is the same but for its test queries."""
    splits = {"train": TRAIN, "dev": DEV, "test": tested}
    if folds:
        splits = {"test": [*TRAIN, *DEV, *tested]}
    content = Content(
        documents=[Document(name, "", text) for name, text in documents.items()],
        qrels={s: [Judgement(query, f"d{query[1:]}", 1) for query in of] for s, of in splits.items()},
        queries=[Query(name, text) for name, text in QUERIES.items()],
        origin={"source": "test"},
    )
    write_collection(root / layout.COLLECTION, content, folds=Folds(folds, 0.3) if folds else None)


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    folder = tmp_path_factory.mktemp("params")
    write_tiny_bert(folder / "backbone", [*WORDS, "common", "rare"])
    return params_of(
        folder,
        tests={
            "second": {"source": write_source(folder / "second", DOCUMENTS, SECOND), "corpus": "same"},
            "moved": {
                "source": write_source(folder / "moved", OTHERS, SECOND),
                "measures": {"retrieval": ["nDCG@10"], "reranking": ["RR@10", "nDCG@5"]},
            },
        },
    )


def params_of(folder: Path, **changes: Any) -> Params:
    rates = {"learning_rate": {"retriever": 0.05, "reranker": 0.05}}
    return make_params(
        folder,
        **{
            "backbone": {"name": str(folder / "backbone"), "precision": "float32"},
            "methods": {"lora": {"type": "lora", "rank": 2, **rates}, "untouched": {"type": "zero_shot"}},
            "variants": {
                "untrained": ["zero_shot", "untouched"],
                "retriever": ["lora"],
                "reranker": ["lora"],
            },
            "seeds": {"retriever": [13, 14], "reranker": [13]},
            "retriever": {
                "steps": 4,
                "batch_size": 3,
                "evaluate_every": 2,
                "query_length": 8,
                "document_length": 8,
            },
            "reranker": {
                "steps": 4,
                "batch_size": 3,
                "evaluate_every": 2,
                "length": 12,
                "head_learning_rate": 0.05,
            },
            "measures": MEASURES,
            **changes,
        },
    )


def run_study(root: Path, params: Params, tested: list[str]) -> Path:
    """All stages up to the metrics, of a collection with these test queries."""
    write_main(root, tested)
    settle(root, params)
    index_words(root, params)
    for split in ("train", "dev", "test"):
        rank_by_words(root, params, split)
    for variant in params.variants.untrained:
        rank_untrained(root, params, variant)
    for seed in (13, 14):
        train_retriever(root, params, "lora", seed, lambda point: None)
        index_documents(root, params, "lora", seed)
        retrieve(root, params, "lora", seed)
    train_reranker(root, params, "lora", 13, lambda point: None)
    rerank_candidates(root, params, "lora", 13)
    list(write_metrics(root, params))
    return root


def run_test_set(root: Path, params: Params, test: str) -> None:
    """All stages of a test set."""
    prepare_test(root, params, test)
    rank_test_by_words(root, params, test)
    for variant in params.variants.untrained:
        retrieve_test(root, params, test, variant, None)
    for seed in (13, 14):
        retrieve_test(root, params, test, "lora", seed)
    rerank_test(root, params, test, "lora", 13)
    list(evaluate_test(root, params, test))


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()
    }


@pytest.fixture(scope="module")
def before(params: Params, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A study with its test sets, and the files that it had without them."""
    root = run_study(tmp_path_factory.mktemp("study"), params, FIRST)
    files = files_of(root)
    for test in params.tests:
        run_test_set(root, params, test)
    return root, files


@pytest.fixture
def root(before: tuple[Path, dict[str, bytes]]) -> Path:
    return before[0]


def test_query_sets_over_one_corpus_give_the_numbers_of_separate_studies_to_the_byte(
    root: Path, params: Params, tmp_path: Path
) -> None:
    alone = run_study(tmp_path, params, SECOND)
    compared = [layout.PER_QUERY, layout.SPREAD, layout.BM25_RUNS / "test.trec"]
    compared += [
        layout.runs("retrieval", variant, seed) / "test.trec"
        for variant, seed in (("zero_shot", None), ("lora", 13), ("lora", 14))
    ]
    compared += [
        layout.runs("reranking", "lora", 13) / name for name in ("test.trec", "test.interpolated.trec")
    ]
    for path in compared:
        assert (root / layout.of("second", path)).read_bytes() == (alone / path).read_bytes(), path
    # Comparisons differ in what is corrected together, and in nothing else.
    tables = [
        pd.read_csv(of / path, sep="\t")
        for of, path in ((root, layout.of("second", layout.COMPARISONS)), (alone, layout.COMPARISONS))
    ]
    pd.testing.assert_frame_equal(*(table.filter(regex="^(?!.*_holm$)") for table in tables))
    found = json.loads((root / "metrics/tests/second.json").read_text())
    for task in ("retrieval", "reranking"):
        assert found[task] == json.loads((alone / layout.metrics(task)).read_text())
    assert found["retrieval"] != json.loads((root / layout.metrics("retrieval")).read_text())


def test_a_test_set_leaves_all_that_was_there_as_it_was(
    before: tuple[Path, dict[str, bytes]], params: Params
) -> None:
    root, files = before
    after = files_of(root)
    assert {name: after[name] for name in files} == files
    new = {Path(name).parts[:2] for name in after if name not in files}
    assert new == {("data", "tests"), ("runs", "tests"), ("metrics", "tests")}


def test_two_processes_write_what_one_writes(root: Path, params: Params) -> None:
    works = {"retrieval": retrieve_test, "reranking": rerank_test}
    for task, variant, seed in (
        ("retrieval", "zero_shot", None),
        ("retrieval", "lora", 13),
        ("reranking", "lora", 13),
    ):
        folder = root / layout.of("moved", layout.runs(task, variant, seed))
        alone = files_of(folder)
        remove(folder)
        launch(works[task], (root, params, "moved", variant, seed), 2, f"processes of {task}")
        assert files_of(folder) == alone


def test_the_same_corpus_is_not_stored_again_and_no_index_of_another_is_kept(root: Path) -> None:
    kept = {str(path.relative_to(root / "data/tests")) for path in (root / "data/tests").glob("*/*")}
    kept |= {str(path.relative_to(root / "data/tests")) for path in (root / "data/tests").rglob("*.parquet")}
    corpus = {"moved/collection/corpus.parquet", "moved/collection.texts.arrow"}
    queries = {f"{test}/collection/queries.parquet" for test in ("second", "moved")}
    folders = {"second/collection", "moved/collection", "moved/index"}
    assert kept == corpus | queries | folders
    assert not list((root / "data/tests/moved/index").iterdir())


IN_FLOAT32 = 1e-4
"""The weights of this backbone enlarge float32's 6e-8 some ten times in each of the two layers."""


def test_equal_ids_of_another_corpus_are_other_documents(root: Path) -> None:
    collection = Collection(root / "data/tests/moved/collection")
    assert dict(collection.texts()) == OTHERS
    model = saving.load(SentenceTransformer, root / layout.model("retriever", "lora", 13), root).double()
    scores = model.encode_query([QUERIES[q] for q in SECOND]) @ model.encode_document([*OTHERS.values()]).T
    run = read_run(root / "runs/tests/moved/retrieval/lora-13/test.trec")
    ours = read_run(root / "runs/tests/second/retrieval/lora-13/test.trec")
    for query, row in zip(SECOND, scores, strict=True):
        expected = dict(zip(OTHERS, row, strict=True))
        assert dict(run[query]) == pytest.approx(expected, rel=0, abs=IN_FLOAT32)
        assert dict(ours[query]) != pytest.approx(expected, abs=1e-2)
    # By BM25 a query finds the documents that share a word with it.
    for query, hits in read_run(root / "runs/tests/moved/bm25/test.trec").items():
        word = QUERIES[query].split()[0]
        assert {document for document, _ in hits} == {d for d, text in OTHERS.items() if word in text.split()}
    reranked = read_run(root / "runs/tests/moved/reranking/lora-13/test.trec")
    candidates = read_run(root / "runs/tests/moved/bm25/test.trec")
    assert {q: {d for d, _ in hits} for q, hits in reranked.items()} == {
        q: {d for d, _ in hits} for q, hits in candidates.items()
    }


def test_a_re_ranker_reads_the_test_sets_own_texts(root: Path) -> None:
    from sentence_transformers import CrossEncoder

    model = saving.load(CrossEncoder, root / layout.model("reranker", "lora", 13), root).double()
    run = read_run(root / "runs/tests/moved/reranking/lora-13/test.trec")
    query, hits = next((query, hits) for query, hits in run.items() if len(hits) > 1)
    expected = model.predict([(QUERIES[query], OTHERS[document]) for document, _ in hits])
    assert [score for _, score in hits] == pytest.approx(expected.tolist(), rel=0, abs=IN_FLOAT32)


def test_a_test_set_may_have_measures_of_its_own(root: Path, params: Params) -> None:
    found = json.loads((root / "metrics/tests/moved.json").read_text())
    assert {row: list(values) for row, values in found["retrieval"].items()} == {
        row: ["nDCG@10"] for row in ("bm25", "zero_shot", "untouched", "lora")
    }
    assert list(found["reranking"]["lora+bm25"]) == ["RR@10", "nDCG@5"]
    assert set(pd.read_csv(root / "metrics/tests/moved/spread.tsv", sep="\t").measure) == {
        "nDCG@10",
        "RR@10",
        "nDCG@5",
    }


def test_the_weight_beside_bm25_is_the_one_chosen_on_the_studys_dev_queries(
    root: Path, params: Params
) -> None:
    path = root / layout.interpolation("lora", 13)
    chosen = path.read_text()
    runs = root / layout.of("second", layout.runs("reranking", "lora", 13))
    alone, mixed = (runs / name for name in ("test.trec", "test.interpolated.trec"))
    first = mixed.read_bytes()
    candidates = read_run(root / "runs/tests/second/bm25/test.trec")
    try:
        for weight, like in ((0.0, candidates), (1.0, read_run(alone))):
            path.write_text(json.dumps({"weight": weight}))
            rerank_test(root, params, "second", "lora", 13)
            for query, hits in read_run(mixed).items():
                depth = params.reranking.depth
                assert [d for d, _ in hits][:depth] == [d for d, _ in like[query]][:depth]
    finally:
        path.write_text(chosen)
        rerank_test(root, params, "second", "lora", 13)
    assert mixed.read_bytes() == first


def test_zero_shot_forgets_exactly_nothing(root: Path, params: Params) -> None:
    # The untrained backbone once more, under another name, goes the way of every other variant.
    for test in ("second", "moved"):
        table = pd.read_csv(root / f"metrics/tests/{test}/comparisons.tsv", sep="\t")
        again = table[(table.row == "untouched") & (table.other == "zero_shot")]
        assert len(again) == len((params.tests[test].measures or params.measures).retrieval)
        assert (again[["difference", "low", "high"]].to_numpy() == 0).all()


def test_changes_are_corrected_over_the_rows_of_a_test_set_that_are_compared(root: Path) -> None:
    table = pd.read_csv(root / "metrics/tests/moved/comparisons.tsv", sep="\t")
    corrected = table[table.two_level_holm.notna()]
    pairs = {(line.stage, line.row, line.other) for line in corrected.itertuples()}
    assert pairs == {
        ("retrieval", "untouched", "zero_shot"),
        ("retrieval", "lora", "zero_shot"),
        ("reranking", "lora", "bm25"),
        ("reranking", "lora+bm25", "bm25"),
    }
    # Holm's correction of two p-values: the smaller counts twice, the larger at least as much.
    small, large = sorted(corrected[corrected.stage == "retrieval"].two_level)
    expected = [min(1, 2 * small), min(1, max(2 * small, large))]
    # Both are rounded to three significant digits.
    assert sorted(corrected[corrected.stage == "retrieval"].two_level_holm) == pytest.approx(
        expected, rel=0.01
    )
    # The one re-ranker is compared once by itself, and once with BM25's scores beside its own.
    alone = corrected[corrected.stage == "reranking"]
    assert list(alone.two_level_holm) == list(alone.two_level)


def test_without_an_untrained_variant_there_is_nothing_to_have_forgotten(tmp_path: Path) -> None:
    variants = {"untrained": [], "retriever": ["lora"], "reranker": ["lora"]}
    assert families(params_of(tmp_path, variants=variants)) == {
        "retrieval": [],
        "reranking": [[("lora", "bm25")], [("lora+bm25", "bm25")]],
    }


def test_the_models_of_all_folds_rank_a_test_set_and_a_query_counts_with_their_mean(tmp_path: Path) -> None:
    entries = ["13f1", "13f2"]
    source = write_source(tmp_path / "source", DOCUMENTS, SECOND)
    params = params_of(
        tmp_path,
        collection={"folds": 2},
        seeds={"retriever": entries, "reranker": entries},
        tests={"second": {"source": source}},
    )
    write_main(tmp_path, FIRST)
    prepare_test(tmp_path, params, "second")
    right = {query: [(f"d{query[1:]}", 1.0)] for query in SECOND}
    late = {query: [("d0", 2.0), *hits] for query, hits in right.items()}
    for path in (
        layout.BM25_RUNS / "test.trec",
        *(
            layout.runs("retrieval", variant, seed) / "test.trec"
            for variant, seed in (("zero_shot", None), ("untouched", None), ("lora", "13f1"))
        ),
        *(layout.runs("reranking", "lora", s) / "test.trec" for s in entries),
        *(layout.runs("reranking", "lora", s) / "test.interpolated.trec" for s in entries),
    ):
        write_run(tmp_path / layout.of("second", path), right, tag="test")
    write_run(
        tmp_path / layout.of("second", layout.runs("retrieval", "lora", "13f2")) / "test.trec", late, "t"
    )
    table = per_query(tmp_path, params, "second")
    values = (
        table[(table.stage == "retrieval") & (table.measure == "RR@10")].set_index(["row", "query"]).value
    )
    assert not values.index.has_duplicates
    for query in SECOND:
        assert values["zero_shot", query] == values["bm25", query] == 1
        assert values["lora", query] == (1 + 1 / 2) / 2


def test_documents_that_the_corpus_lacks_are_named_and_counted(root: Path, tmp_path: Path) -> None:
    relevant = {query: f"x{query[1:]}" for query in SECOND[:4]} | {SECOND[4]: "d1"}
    own = dict.fromkeys(relevant.values(), "text")
    source = write_source(tmp_path / "source", own, SECOND[:5], relevant)
    params = params_of(tmp_path, tests={"strange": {"source": source, "corpus": "same"}})
    with pytest.raises(PeftirError) as told:
        prepare_test(root, params, "strange")
    assert str(told.value) == (
        f"tests.strange.source: '{source}' judges 4 of 5 documents that are not in "
        f"{root / 'data/collection'}: 'x18', 'x19', 'x20', …; expected documents of the collection, or "
        "corpus: own"
    )
    assert not (root / "data/tests/strange").exists()


@pytest.mark.parametrize("corpus", ["own", "same"])
@pytest.mark.parametrize("folds", [None, 2])
def test_queries_that_models_are_trained_with_or_chosen_by_are_refused(
    folds: int | None, corpus: str, tmp_path: Path
) -> None:
    """A query is known by its id and its text: with another text it is another query."""
    write_main(tmp_path, FIRST, folds=folds)
    asked = [TRAIN[0], DEV[0], FIRST[0], SECOND[0]]
    source = write_source(tmp_path / "source", DOCUMENTS, asked)
    params = params_of(tmp_path, tests={"known": {"source": source, "corpus": corpus}})
    known = "3 of 4 test queries .*: 'q0', 'q8', 'q12'" if folds else "2 of 4 test queries .*: 'q0', 'q8'"
    with pytest.raises(PeftirError, match=rf"^tests.known.source: '.*' has {known}; expected other queries$"):
        prepare_test(tmp_path, params, "known")
    assert not list((tmp_path / "data/tests").rglob("*.*"))
    (tmp_path / "source/queries.jsonl").write_text(jsonl({query: f"{query} w1" for query in asked}))
    assert prepare_test(tmp_path, params, "known") == 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: {"source": "beri:x"}, "tests.odd.source: 'beri:x' is unknown; expected one of beir, "),
        (lambda f: {"source": f"beir:{f}/none"}, "/none', no such folder; expected beir:FOLDER"),
        (
            lambda f: {
                "source": write_source(f / "known", DOCUMENTS, SECOND),
                "measures": {"retrieval": ["Precision"], "reranking": ["RR@10"]},
            },
            "tests.odd.measures.retrieval: measure 'Precision' is not known; expected one like RR@10",
        ),
    ],
)
def test_a_wrong_source_is_one_line(
    root: Path, tmp_path: Path, change: Callable[[Path], dict[str, Any]], told: str
) -> None:
    params = params_of(tmp_path, tests={"odd": change(tmp_path)})
    with pytest.raises(PeftirError) as error:
        prepare_test(root, params, "odd")
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not (root / "data/tests/odd").exists()


def test_a_source_without_a_judged_test_query_is_refused(root: Path, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", DOCUMENTS, [])
    params = params_of(tmp_path, tests={"empty": {"source": source}})
    with pytest.raises(PeftirError, match=r"^tests\.empty\.source: .* has no judged test query; expected"):
        prepare_test(root, params, "empty")


def test_a_name_that_is_not_in_params_is_refused(root: Path, params: Params) -> None:
    for function in (prepare_test, lambda *given: list(evaluate_test(*given))):
        with pytest.raises(PeftirError, match=r"^tests\.none: not in params\.yaml; .* second, moved$"):
            function(root, params, "none")


def test_check_reads_the_sources_of_the_collection_and_of_its_test_sets(
    params: Params, tmp_path: Path
) -> None:
    """The test set of the same corpus judges documents of the collection; one of them is not in it."""
    documents = {name: text for name, text in DOCUMENTS.items() if name != "d20"}
    source = write_source(tmp_path / "main", documents, FIRST)
    collection = params.collection.model_copy(update={"source": source, "documents": None})
    main, second, moved = check_sources(tmp_path, params.model_copy(update={"collection": collection}))
    assert (main.test, main.documents, second.documents) == (None, 23, 23)
    assert [problem.partition(": ")[0] for problem in main.problems] == ["collection.source"]  # no train
    [problem] = second.problems
    assert problem.startswith("tests.second: ") and "judges document 'd20', which is not in" in problem
    assert (moved.test, moved.problems, moved.splits["test"].queries) == ("moved", [], 6)


def test_what_git_keeps_of_a_test_set_has_every_query_and_run(root: Path) -> None:
    table = pd.read_parquet(root / layout.of("moved", layout.PER_QUERY))
    scores = read_scores(root / layout.of("moved", layout.QUERIES), "")
    assert scores.queries == sorted(SECOND)
    assert scores.measures == {"retrieval": ["nDCG@10"], "reranking": ["RR@10", "nDCG@5"]}
    for (task, row, seed), values in scores.runs.items():
        lines = table[(table.stage == task) & (table.row == row) & (table.seed == seed)]
        wide = lines.pivot(index="query", columns="measure", values="value")[scores.measures[task]]
        assert (values == wide.round(4).to_numpy()).all()
