"""BM25 with RM3, against the call that Pyserini makes and a query model worked out by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from peftir.ranking.bm25 import build_index, search
from peftir.ranking.jvm import java_class, start_java
from peftir.ranking.rm3 import Expansion, search_expanded


def random_words(generator: random.Random, low: int, high: int) -> str:
    return " ".join(f"w{int(generator.expovariate(0.1))}" for _ in range(generator.randint(low, high)))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = random.Random(5)
    documents = {f"d{number}": random_words(generator, 1, 40) for number in range(300)}
    folder = tmp_path_factory.mktemp("corpus") / "index"
    build_index(documents.items(), folder, threads=1, term_vectors=True)
    return folder


@pytest.fixture(scope="module")
def queries() -> dict[str, str]:
    generator = random.Random(6)
    return {f"q{number}": random_words(generator, 1, 5) for number in range(20)}


@pytest.mark.parametrize("expansion", [Expansion(10, 10, 0.5), Expansion(3, 5, 0.8)])
def test_hits_are_those_of_the_searcher_that_pyserini_uses(
    index: Path, queries: dict[str, str], expansion: Expansion
) -> None:
    run = dict(search_expanded(index, queries, 0.9, 0.4, 100, 2, expansion))
    start_java()
    searcher = java_class("io.anserini.search.SimpleSearcher")(str(index))
    searcher.set_bm25(0.9, 0.4)
    # What pyserini.search.lucene.LuceneSearcher.set_rm3 calls for an index with term vectors.
    searcher.set_rm3(None, expansion.terms, expansion.documents, expansion.weight, False, True)
    for query, text in queries.items():
        theirs = searcher.search(text, 100)
        assert len(theirs) > 10
        assert [document for document, _ in run[query]] == [hit.docid for hit in theirs]
        # Anserini rounds to four places and then takes 1e-6 off for each tie.
        assert [score for _, score in run[query]] == pytest.approx([hit.score for hit in theirs], abs=1e-4)


def test_other_words_of_the_top_documents_are_found(tmp_path: Path) -> None:
    documents = {"d1": "cat feline", "d2": "cat feline", "d3": "feline"}
    # Anserini expands by no term that more than a tenth of the documents have.
    documents |= {f"other{number}": f"dog bird{number}" for number in range(30)}
    build_index(documents.items(), tmp_path / "index", threads=1, term_vectors=True)
    cat = {"q": "cat"}
    found = dict(search_expanded(tmp_path / "index", cat, 0.9, 0.4, 10, 1, Expansion(5, 2, 0.5)))["q"]
    assert [document for document, _ in found] == ["d1", "d2", "d3"]
    assert [document for document, _ in dict(search(tmp_path / "index", cat, 0.9, 0.4, 10, 1))["q"]] == [
        "d1",
        "d2",
    ]


def test_all_feedback_documents_are_read(tmp_path: Path) -> None:
    """Those behind the first 50, too: only they have another word."""
    documents = {f"short{number}": "cat" for number in range(50)}
    documents |= {f"long{number}": "cat feline" for number in range(10)} | {"other": "feline"}
    documents |= {f"filler{number}": f"dog bird{number}" for number in range(60)}
    build_index(documents.items(), tmp_path / "index", threads=1, term_vectors=True)
    for read, found in ((50, False), (60, True)):
        expansion = Expansion(5, read, 0.5)
        hits = dict(search_expanded(tmp_path / "index", {"q": "cat"}, 0.9, 0.4, 100, 1, expansion))["q"]
        assert ("other" in dict(hits)) == found


def test_a_query_without_matches_has_no_hits(index: Path) -> None:
    expanded = dict(search_expanded(index, {"q": "nowhere"}, 0.9, 0.4, 10, 1, Expansion(10, 10, 0.5)))
    assert expanded == {"q": []}
