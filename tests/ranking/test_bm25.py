"""BM25 with real Lucene indexes, against scores worked out by hand and an independent implementation."""

from __future__ import annotations

import math
import random
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from peftir.ranking.bm25 import build_index, opened, search
from peftir.ranking.jvm import java_class, start_java
from peftir.system.errors import PeftirError

Documents = dict[str, str]

ANIMALS = {
    "d1": "cat dog",
    "d2": "cat cat bird fish bird fish",
    "d3": "fish",
}


def index(documents: Documents, folder: Path, threads: int = 1) -> Path:
    build_index(documents.items(), folder, threads=threads)
    return folder


def hits(
    folder: Path, query: str, k1: float = 0.9, b: float = 0.4, depth: int = 10
) -> list[tuple[str, float]]:
    return dict(search(folder, {"q": query}, k1=k1, b=b, depth=depth, threads=1))["q"]


def ids(folder: Path, query: str, **settings: float) -> list[str]:
    return [document for document, _ in hits(folder, query, **settings)]  # type: ignore[arg-type]


def reference(documents: Documents, query: str, k1: float, b: float) -> list[tuple[str, float]]:
    """BM25 from its definition, for words that the analyser leaves alone; ties by id."""
    counts = {name: Counter(text.split()) for name, text in documents.items()}
    mean = sum(count.total() for count in counts.values()) / len(counts)
    scores: Counter[str] = Counter()
    for word, weight in Counter(query.split()).items():
        having = [name for name, count in counts.items() if word in count]
        idf = math.log(1 + (len(counts) - len(having) + 0.5) / (len(having) + 0.5))
        for name in having:
            tf = counts[name][word]
            scores[name] += weight * idf * tf / (tf + k1 * (1 - b + b * counts[name].total() / mean))
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def random_words(generator: random.Random, low: int, high: int) -> str:
    return " ".join(f"w{int(generator.expovariate(0.1))}" for _ in range(generator.randint(low, high)))


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return index(ANIMALS, tmp_path_factory.mktemp("animals") / "index")


@pytest.fixture(scope="module")
def corpus() -> Documents:
    generator = random.Random(5)
    # Up to 40 words, where Lucene keeps a document's length as it is.
    return {f"d{number}": random_words(generator, 1, 40) for number in range(300)}


@pytest.fixture(scope="module")
def queries() -> dict[str, str]:
    generator = random.Random(6)
    return {f"q{number}": random_words(generator, 1, 12) for number in range(40)}


@pytest.fixture(scope="module")
def corpus_index(corpus: Documents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return index(corpus, tmp_path_factory.mktemp("corpus") / "index")


def test_scores_are_those_worked_out_by_hand(animals: Path) -> None:
    # 3 documents of 2, 6 and 1 words: 3 on average. cat is in two of them.
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    once = 1 / (1 + 0.9 * (0.6 + 0.4 * 2 / 3))
    twice = 2 / (2 + 0.9 * (0.6 + 0.4 * 6 / 3))
    # Lucene computes in 32-bit floats, the same on every machine: some roundings of 6e-8 of the score.
    assert hits(animals, "cat") == [
        ("d2", pytest.approx(idf * twice, rel=1e-6)),
        ("d1", pytest.approx(idf * once, rel=1e-6)),
    ]


def test_b_turns_length_on_and_k1_turns_repetition_on(animals: Path) -> None:
    assert ids(animals, "cat", b=0.0) == ["d2", "d1"]  # length ignored: two cats beat one
    assert ids(animals, "cat", b=1.0) == ["d1", "d2"]  # 1 of 2 words beats 2 of 6
    idf = math.log(1 + 1.5 / 2.5)
    assert hits(animals, "cat", k1=0.0) == [("d1", pytest.approx(idf)), ("d2", pytest.approx(idf))]


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (0.0, 0.0), (3.0, 1.0)])
def test_rankings_are_those_of_an_independent_bm25(
    corpus: Documents, corpus_index: Path, queries: dict[str, str], k1: float, b: float
) -> None:
    run = dict(search(corpus_index, queries, k1=k1, b=b, depth=300, threads=2))
    assert list(run) == list(queries)
    for query, text in queries.items():
        expected = dict(reference(corpus, text, k1, b))
        assert {document for document, _ in run[query]} == set(expected)
        for document, score in run[query]:
            # In 32-bit floats: up to a dozen words, with some roundings of 6e-8 each.
            assert score == pytest.approx(expected[document], rel=1e-5)
        assert run[query] == sorted(run[query], key=lambda hit: (-hit[1], hit[0]))


def test_agrees_with_the_searcher_that_pyserini_uses(corpus_index: Path, queries: dict[str, str]) -> None:
    start_java()
    searcher = java_class("io.anserini.search.SimpleSearcher")(str(corpus_index))
    searcher.set_bm25(0.9, 0.4)
    run = dict(search(corpus_index, queries, k1=0.9, b=0.4, depth=20, threads=1))
    for query, text in queries.items():
        theirs = searcher.search(text, 20)
        assert [document for document, _ in run[query]] == [hit.docid for hit in theirs]
        # Anserini rounds to four places and then takes 1e-6 off for each tie.
        assert [score for _, score in run[query]] == pytest.approx([hit.score for hit in theirs], abs=1e-4)


def test_the_result_depends_neither_on_threads_nor_on_the_order_of_documents(
    corpus: Documents, corpus_index: Path, queries: dict[str, str], tmp_path: Path
) -> None:
    turned = index(dict(reversed(corpus.items())), tmp_path / "index", threads=3)
    one = list(search(corpus_index, queries, k1=0.9, b=0.4, depth=25, threads=1))
    assert list(search(corpus_index, queries, k1=0.9, b=0.4, depth=25, threads=4)) == one
    assert list(search(turned, queries, k1=0.9, b=0.4, depth=25, threads=2)) == one


def test_equal_scores_are_ordered_by_id_also_where_depth_cuts_them(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(1500)]
    random.Random(1).shuffle(names)
    folder = index(
        {**dict.fromkeys(names, "same words"), "best": "same same words"}, tmp_path / "index", threads=2
    )
    assert ids(folder, "same", b=0.0, depth=4) == ["best", *sorted(names)[:3]]


def test_words_are_stemmed_lowered_and_stop_words_left_out(tmp_path: Path) -> None:
    folder = index(
        {"d1": "The Runner's RUNNING", "d2": "the walker", "d3": "naïve café 東京"}, tmp_path / "index"
    )
    assert ids(folder, "runs") == ["d1"]
    assert ids(folder, "the") == []
    assert ids(folder, "NAÏVE") == ["d3"]
    assert ids(folder, "東京") == ["d3"]


@pytest.mark.parametrize("query", ["", " \t\n", "the of and", "?!", "* OR ~", "unheardof", "\U0001f600"])
def test_a_query_that_finds_nothing_has_an_empty_list(animals: Path, query: str) -> None:
    assert hits(animals, query) == []


def test_query_syntax_is_only_characters(animals: Path) -> None:
    plain = hits(animals, "cat dog")
    assert hits(animals, '+cat -(dog) "^~*\\/:[]{}') == plain
    assert hits(animals, "cat\x00dog\U0001f600") == plain


def test_a_word_said_twice_counts_twice(animals: Path) -> None:
    once, twice = dict(hits(animals, "cat")), dict(hits(animals, "cat cat"))
    assert twice == {document: pytest.approx(2 * score) for document, score in once.items()}


def test_a_query_may_be_as_long_as_a_document(animals: Path) -> None:
    # Lucene by itself refuses more than 1024 different words.
    many = " ".join(f"unheard{number}" for number in range(5000))
    assert hits(animals, f"{many} cat") == hits(animals, "cat")


def test_documents_without_text_are_left_out(tmp_path: Path) -> None:
    blank = {"e1": "", "e2": " \n\t", "e3": "\x00\x1f", "e4": "\u00a0"}
    both = index({**ANIMALS, **blank}, tmp_path / "index", threads=2)
    # A no-break space is text to Anserini, though no word: it counts among the documents.
    only = index({**ANIMALS, "e4": "\u00a0"}, tmp_path / "only")
    assert hits(both, "cat fish") == hits(only, "cat fish")
    assert {document for document, _ in hits(both, "cat dog bird fish")} == set(ANIMALS)


def test_a_collection_without_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PeftirError, match="no document has any text"):
        index({"d1": "", "d2": " "}, tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_a_document_that_lucene_refuses_leaves_the_old_index_in_place(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = index(ANIMALS, tmp_path / "index")
    before = hits(folder, "cat")
    with pytest.raises(PeftirError, match=r"Lucene wrote [01] of 2 documents, the reason stands above"):
        index({"d1": "cat", "x" * 40_000: "an id too long for Lucene"}, folder)
    assert "immense term" in capfd.readouterr().err  # the reason
    assert list(tmp_path.iterdir()) == [folder]
    assert hits(folder, "cat") == before


def test_an_index_holds_nothing_but_lucenes_files(animals: Path) -> None:
    assert all(path.is_file() for path in animals.iterdir())
    assert {path.name.split(".")[0].split("_")[0] for path in animals.iterdir()} <= {"", "segments", "write"}


@pytest.mark.parametrize("suffix", [".doc", ".tim", ".fdt", ".dvd", ".si", "segments_1"])
@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_a_damaged_index_is_named_and_can_be_built_again(tmp_path: Path, suffix: str, damage: str) -> None:
    folder = index(ANIMALS, tmp_path / "index")
    file = next(path for path in folder.iterdir() if path.name.endswith(suffix))
    content = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) * 2 // 3] ^= 0xFF
        file.write_bytes(content)
    with pytest.raises(PeftirError, match=r"index: is damaged \(.*\); make the index again: `dvc repro"):
        hits(folder, "cat")
    assert ids(index(ANIMALS, folder), "cat") == ["d2", "d1"]


def test_no_index_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(PeftirError, match="none: no such Lucene index"):
        hits(tmp_path / "none", "cat")
    with pytest.raises(PeftirError, match="is damaged"):
        hits(tmp_path, "cat")


def fresh(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``script`` in a process of its own, with ``folder`` as its one argument."""
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_fresh_process_says_nothing_and_loads_neither_torch_nor_pyserinis_search(tmp_path: Path) -> None:
    script = """
        import pathlib, sys
        from peftir.ranking.bm25 import build_index, opened, search
        folder = pathlib.Path(sys.argv[1])
        build_index([("d1", "cat")], folder, threads=2)
        assert dict(search(folder, {"q": "cat"}, 0.9, 0.4, 10, 2))["q"][0][0] == "d1"
        assert not {"torch", "faiss", "pyserini.search"} & set(sys.modules)
    """
    done = fresh(script, tmp_path / "index")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_torch_and_faiss_work_beside_java(animals: Path) -> None:
    script = """
        import pathlib, sys
        import torch
        from peftir.ranking.bm25 import search
        found = dict(search(pathlib.Path(sys.argv[1]), {"q": "cat"}, 0.9, 0.4, 10, 2))["q"]
        import faiss
        index = faiss.IndexFlatIP(8)
        index.add(torch.eye(8).numpy())
        assert index.search(torch.eye(8)[3:4].numpy(), 1)[1].item() == 3
        print(*[document for document, _ in found])
    """
    done = fresh(script, animals)
    assert (done.returncode, done.stdout) == (0, "d2 d1\n"), done.stderr


def test_ctrl_c_leaves_nothing_half_written(tmp_path: Path) -> None:
    script = """
        import os, pathlib, signal, sys
        from peftir.ranking.bm25 import build_index
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
        def documents():
            yield "d1", "cat"
            os.kill(os.getpid(), signal.SIGINT)
            yield "d2", "dog"
        build_index(documents(), pathlib.Path(sys.argv[1]), threads=1)
    """
    done = fresh(script, tmp_path / "index")
    assert "KeyboardInterrupt" in done.stderr
    assert done.returncode == -signal.SIGINT
    assert list(tmp_path.iterdir()) == []


def test_an_open_index_answers_many_threads_as_one(tmp_path: Path) -> None:
    texts = [f"running {word} foxes" for word in ("quick", "brown", "lazy", "sorted")]
    folder = index({f"d{number}": text for number, text in enumerate(texts)}, tmp_path / "index")
    with opened(folder, k1=0.9, b=0.4) as searched:
        assert searched.terms("The Running foxes!") == ["run", "fox"]
        assert searched.terms("") == searched.terms("the") == []
        alone = [(searched.best(text, 3), searched.terms(text)) for text in texts]
        with ThreadPoolExecutor(16) as pool:
            answers = pool.map(lambda text: (searched.best(text, 3), searched.terms(text)), texts * 100)
            assert list(answers) == alone * 100
    assert alone[0][0] == dict(search(folder, {"q": texts[0]}, 0.9, 0.4, 3, threads=1))["q"]
