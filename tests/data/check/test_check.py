"""peftir check: what it counts, and that it finds every problem at once."""

import json
from dataclasses import asdict

import pytest

from peftir.data.check import Ruler, as_text, check, check_test_set
from peftir.data.content import Document
from peftir.system.errors import PeftirError

SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}
RULERS = {
    "document": Ruler(lambda texts: [len(text.split()) for text in texts], 3),
    "query": Ruler(lambda texts: [len(text.split()) for text in texts], 2),
}
DOCUMENTS = [
    ("d1", "one two three"),
    ("d2", "one two three four"),
    ("d3", "One, two: three!"),
    ("d4", ""),
    ("q5", "what is it"),
]
QUERIES = [
    ("q1", "what is"),
    ("q2", "what is it then"),
    ("q3", "What is?"),
    ("q4", "where"),
    ("q5", "what is it"),
    ("q6", "x"),
]
QRELS = {
    "train": [("q1", "d1", 1), ("q1", "d2", 2), ("q1", "d3", 0), ("q2", "d1", 1)],
    "dev": [("q4", "d1", 1)],
    "test": [("q3", "d2", 2), ("q5", "d1", 0)],
}


@pytest.fixture
def folder(tmp_path):
    def jsonl(rows):
        return "".join(json.dumps({"_id": id, "text": text}) + "\n" for id, text in rows)

    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(jsonl(DOCUMENTS))
    (tmp_path / "queries.jsonl").write_text(jsonl(QUERIES))
    for split, rows in QRELS.items():
        (tmp_path / "qrels" / f"{split}.tsv").write_text("".join(f"{q}\t{d}\t{g}\n" for q, d, g in rows))
    return tmp_path


def look(folder, **changes):
    settings = {"splits": SHARES, "own_documents": False, "folds": None, "rulers": RULERS} | changes
    return check(f"beir:{folder}", **settings)


def test_everything_is_counted(folder):
    findings = look(folder)
    assert (findings.documents, findings.empty_documents, findings.repeated_documents) == (5, 1, 1)
    assert (findings.queries_without_judgement, findings.queries_that_are_documents) == (1, 1)
    assert asdict(findings.splits["train"]) == {
        "queries": 2,
        "judgements": 4,
        "queries_without_relevant": 0,
        "judgements_per_query": 2.0,
        "fewest": 1,
        "median": 3,
        "most": 3,
        "grades": {0: 1, 1: 2, 2: 1},
        "repeated_queries": 0,
        "queries_also_in_train": 0,
    }
    test = findings.splits["test"]
    assert (test.queries_without_relevant, test.queries_also_in_train, test.grades) == (1, 1, {0: 1, 2: 1})
    # Five documents of 3, 4, 3, 0 and 3 words, of which 3 are kept; five judged queries of 2, 4, 2, 1 and 3.
    assert asdict(findings.lengths["document"]) == {
        "texts": 5,
        "mean": 2.6,
        "median": 3,
        "most_of_95_percent": 4,
        "longest": 4,
        "maximum": 3,
        "share_cut_off": 0.2,
    }
    assert (findings.lengths["query"].mean, findings.lengths["query"].share_cut_off) == (2.4, 0.4)
    assert (findings.problems, findings.further_problems) == ([], 0)


def test_the_text_says_what_the_numbers_do(folder):
    text = as_text(look(folder))
    for part in (
        "documents  5: 1 without text, 0 with a title alone, 1 with the words of an earlier one",
        "test       2 queries, 2 judgements (grades 0: 1, 2: 1), 1 a query (median 1, 1 to 1); 1 without a "
        "relevant document; 1 with the words of one of train",
        "20.0% are cut off at 3 (5 counted)",
        "1 of the queries are documents of the corpus, by id and words: set collection.own_documents to true",
        "no problem",
    ):
        assert part in text
    assert "own_documents" not in as_text(look(folder, own_documents=True))


def test_every_problem_is_found_in_one_go(folder):
    with (folder / "corpus.jsonl").open("ab") as file:
        file.write(
            b'{"_id": "d5"\n{"_id": "d6", "text": 1}\n{"_id": "d1", "text": "x"}\n\xff\n'
            b'{"_id": "d 7", "text": ""}\n'
        )
    with (folder / "queries.jsonl").open("a") as file:
        file.write('{"_id": "q1", "text": "again"}\n{"_id": "q7", "text": " "}\n')
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q1\td1\t1\nq3\td2\t1\nq3\td9\t1\nq3\td1\t-1\nq3\td3\tx\nq8\td1\t1\nq7\td1\t1\n")
    findings = look(folder)
    found = [problem.removeprefix(f"{folder}/").partition(";")[0] for problem in findings.problems]
    assert found == [
        "corpus.jsonl:6: is not JSON (Expecting ',' delimiter: line 1 column 13 (char 12))",
        'corpus.jsonl:7: "text" is 1',
        "corpus.jsonl:9: is not UTF-8 (byte 1)",
        "corpus.jsonl:10: the id is 'd 7'",
        f"corpus.jsonl:8: has the id 'd1' of {folder}/corpus.jsonl:1",
        "qrels/test.tsv:3: query 'q1' is judged in train too",
        "qrels/test.tsv:4: judges document 'd2' for query 'q3' a second time",
        "qrels/test.tsv:6: the grade is -1",
        "qrels/test.tsv:7: the score is 'x'",
        "qrels/test.tsv:5: judges document 'd9', which is not in the corpus",
        "queries.jsonl:7: the id 'q1' comes a second time",
        "queries.jsonl:8: the query 'q7' is judged but has no text",
        "qrels/test.tsv:8: judges query 'q8', which is not among the queries",
    ]
    assert findings.documents == 6
    assert "13 problems; the stage prepare stops at the first:\n" in as_text(findings)


def test_splits_that_are_missing_are_a_problem(folder):
    (folder / "qrels" / "train.tsv").unlink()
    (folder / "qrels" / "dev.tsv").unlink()
    assert ["has test queries but none of train and dev" in problem for problem in look(folder).problems] == [
        True
    ]


def test_a_source_that_is_not_there_is_named(folder):
    with pytest.raises(PeftirError, match="no such folder; expected beir:FOLDER"):
        look(folder / "none")


def test_a_title_alone_is_not_counted_as_text(folder):
    with (folder / "corpus.jsonl").open("a") as file:
        for text in ("", " ", "words"):
            file.write(json.dumps({"_id": f"t{len(text)}", "title": "A title", "text": text}) + "\n")
    findings = look(folder)
    assert (findings.documents, findings.empty_documents, findings.titles_alone) == (8, 1, 2)


def test_letters_that_were_lost_are_counted_and_the_first_named(folder):
    assert "U+FFFD" not in as_text(look(folder))
    with (folder / "corpus.jsonl").open("a") as file:
        file.write(
            '{"_id": "d8", "text": "caf\\ufffd"}\n{"_id": "d9", "title": "\ufffd\ufffd", "text": "x"}\n'
        )
    with (folder / "queries.jsonl").open("a") as file:
        file.write('{"_id": "q1\ufffd", "text": "caf\ufffd"}\n')  # not judged, so not read
    findings = look(folder)
    assert (findings.replaced.texts, findings.replaced.first) == (2, f"{folder}/corpus.jsonl:6")
    assert "2 documents and queries have letters that were lost before" in as_text(findings)
    assert findings.problems == []


def test_what_follows_from_documents_that_cannot_be_read_is_one_problem_a_split(folder):
    lines = (folder / "corpus.jsonl").read_text().splitlines()
    (folder / "corpus.jsonl").write_text("\n".join([lines[0], "not JSON", "nor this", *lines[3:]]))
    found = [problem.replace(f"{folder}/", "") for problem in look(folder).problems]
    assert [problem.split(":")[:2] for problem in found[:2]] == [["corpus.jsonl", "2"], ["corpus.jsonl", "3"]]
    assert found[2:] == [
        "qrels/train.tsv:2: judges document 'd2', which is not in the corpus; likewise 1 more "
        "judgements of train: mend the documents named above first",
        "qrels/test.tsv:1: judges document 'd2', which is not in the corpus",
    ]


def test_what_follows_from_queries_that_cannot_be_read_is_one_problem(folder):
    lines = (folder / "queries.jsonl").read_text().splitlines()
    (folder / "queries.jsonl").write_text("\n".join(["not JSON", "nor this", *lines[2:]]))
    found = [problem.replace(f"{folder}/", "") for problem in look(folder).problems]
    assert found[2:] == [
        "qrels/train.tsv:1: judges query 'q1', which is not among the queries; likewise 1 more "
        "judged queries: mend the queries named above first",
    ]


def test_documents_that_are_there_leave_every_judgement_of_another_one_named(folder):
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q3\tx\t1\nq3\ty\t1\n")
    assert [problem.partition(": ")[2] for problem in look(folder).problems] == [
        "judges document 'x', which is not in the corpus",
        "judges document 'y', which is not in the corpus",
    ]


def test_selection_on_few_queries_is_warned_of(folder):
    text = as_text(look(folder))
    assert "warning    1 dev queries: fewer than 10 choose steps" in text and "held out" not in text
    (folder / "qrels/dev.tsv").unlink()
    many = "".join(f"q{n}\td1\t1\n" for n in range(10, 300))
    (folder / "qrels/train.tsv").write_text(many)
    (folder / "queries.jsonl").write_text(
        (folder / "queries.jsonl").read_text()
        + "".join(json.dumps({"_id": f"q{n}", "text": f"what {n}"}) + "\n" for n in range(10, 300))
    )
    found = look(folder)
    assert found.dev_held_out and 10 <= found.splits["dev"].queries < found.splits["train"].queries
    text = as_text(found)
    assert "dev is a share of the source's train queries, held out" in text and "warning" not in text


def test_folds_are_told_with_their_sizes(folder):
    findings = look(folder, folds=2)
    assert [sum(fold.values()) for fold in findings.folds] == [5, 5]
    text = as_text(findings)
    for number, fold in enumerate(findings.folds, start=1):
        assert (
            f"fold {number}     {fold['train']} train, {fold['dev']} dev, {fold['test']} test queries" in text
        )
    assert "1 dev queries in a fold: fewer than 10" in text
    assert not look(folder).folds


def look_at_test_set(folder, **changes):
    settings = {"own_documents": False, "corpus": None, "rulers": RULERS} | changes
    return check_test_set("dl19", f"beir:{folder}", **settings)


def test_a_test_set_is_its_test_queries_alone(folder):
    found = look_at_test_set(folder)
    assert {split: counts.queries for split, counts in found.splits.items()} == {
        "train": 0,
        "dev": 0,
        "test": 2,
    }
    text = as_text(found)
    assert text.startswith(f"tests.dl19: beir:{folder}\n") and text.endswith("\nno problem")
    assert "set tests.dl19.own_documents to true" in text


def test_every_problem_of_a_test_set_has_its_name(folder):
    """Of the documents of a collection, d1 alone is one of those it judges."""
    corpus = [Document("d1", "", "one"), Document("d8", "", "two")]
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q3\td3\t-1\n")
    found = look_at_test_set(folder, corpus=corpus)
    assert [problem.partition(";")[0].replace(f"{folder}/", "") for problem in found.problems] == [
        "tests.dl19: qrels/test.tsv:1: judges document 'd2', which is not in the corpus",
        "tests.dl19: qrels/test.tsv:3: the grade is -1",
    ]
    assert found.documents == 2
    assert "2 problems; the stage prepare_test@dl19 stops at the first:\n" in as_text(found)


def test_a_test_set_without_a_judged_query_or_without_files_is_named(folder):
    (folder / "qrels" / "test.tsv").write_text("")
    message = f"tests.dl19.source: 'beir:{folder}' has no judged test query; expected a source with some"
    assert look_at_test_set(folder).problems == [f"tests.dl19: {message}"]
    with pytest.raises(PeftirError, match=r"^tests\.dl19: .*no such folder; expected beir:FOLDER"):
        look_at_test_set(folder / "none")
