"""params.yaml: what is read, and the one line that each mistake gets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import parse_yaml

from peftir.study.params import load_params
from peftir.system.errors import PeftirError

DEFAULT = Path(__file__).parents[2] / "params.yaml"


def test_the_default_file_is_valid() -> None:
    params = load_params(DEFAULT)
    assert params.methods["full"].learning_rate is not None
    assert params.methods["full"].learning_rate.retriever == 1e-4
    assert params.methods["lora"].knobs == {"budget": 0.005}


def test_every_key_is_explained_where_it_first_stands() -> None:
    first: dict[str, str] = {}
    for line in DEFAULT.read_text().splitlines():
        if match := re.match(r"\s*(\w+):(.*)", line):
            first.setdefault(match[1], match[2])
    headings = {"collection", "bm25", "backbone", "index", "retrieval", "reranking"}  # their keys say it
    headings |= {"retriever", "reranker", "train", "dev", "test"}  # explained with the key around them
    assert [key for key, rest in first.items() if "#" not in rest and key not in headings] == []


@pytest.mark.parametrize("written", ["2e-05", "2e-5", "2E-5", "2.0e-05", "0.00002", ".2e-4"])
def test_scientific_notation_is_a_number(tmp_path: Path, written: str) -> None:
    text = DEFAULT.read_text().replace("retriever: 1e-4", f"retriever: {written}")
    rates = load_params(_file(tmp_path, text)).methods["full"].learning_rate
    assert rates is not None
    assert rates.retriever == 2e-5


MISTAKES = {
    "unknown key at the top": (("bm52",), {"k1": 1}, ["bm52", "unknown key", "bm25"]),
    "unknown key in a block": (("bm25", "k"), 0.9, ["bm25.k", "unknown key", "k1, b, depth"]),
    "unknown knob": (("methods", "lora", "bugdet"), 0.1, ["methods.lora.bugdet", "unknown key", "budget"]),
    "missing key": (("bm25", "k1"), None, ["bm25.k1", "missing"]),
    "a string for a number": (("bm25", "k1"), "0.9", ["bm25.k1", "'0.9'", "number"]),
    "a float for a whole number": (("retriever", "steps"), 10.5, ["retriever.steps", "10.5", "integer"]),
    "yes for a number": (("retriever", "steps"), True, ["retriever.steps", "True", "integer"]),
    "zero steps": (("retriever", "steps"), 0, ["retriever.steps", "0", "greater than or equal to 1"]),
    "b above 1": (("bm25", "b"), 1.4, ["bm25.b", "1.4", "less than or equal to 1"]),
    "budget of 0": (("methods", "lora", "budget"), 0.0, ["methods.lora.budget", "0.0", "greater than 0"]),
    "budget above 1": (("methods", "lora", "budget"), 1.5, ["methods.lora.budget", "1.5", "less than 1"]),
    "a variant without a method": (
        ("variants", "retriever"),
        ["full", "lroa"],
        ["variants.retriever", "'lroa'", "zero_shot, full, lora"],
    ),
    "candidates that are no run": (
        ("reranking", "candidates"),
        "lora",
        ["reranking.candidates", "'lora'", "one of bm25, retrieval/zero_shot, retrieval/full-13"],
    ),
    "candidates of a seed that is not trained": (
        ("reranking", "candidates"),
        "retrieval/lora-7",
        ["reranking.candidates", "'retrieval/lora-7'", "retrieval/lora-13"],
    ),
    "a chain of no retriever": (("chains",), ["lora"], ["chains", "'lora'", "one of zero_shot, full-13"]),
    "a chain twice": (("chains",), ["zero_shot", "zero_shot"], ["chains", "each name once"]),
    "a lexical ranking that is BM25": (
        ("lexical",),
        {"bm25": {"type": "rm3", "feedback_terms": 1, "feedback_documents": 1, "query_weight": 0.5}},
        ["lexical.bm25", "another name", "the row of BM25 itself"],
    ),
    "a lexical ranking with a variant's name": (
        ("lexical",),
        {"LoRA": {"type": "rm3", "feedback_terms": 1, "feedback_documents": 1, "query_weight": 0.5}},
        ["lexical.LoRA", "another name", "'lora' is a variant of methods"],
    ),
    "a lexical ranking without its keys": (
        ("lexical",),
        {"rm3": {"type": "rm3", "k1": [0.9]}},
        ["lexical.rm3", "feedback_documents, feedback_terms, query_weight with type: rm3"],
    ),
    "a lexical ranking selected by more than it has": (
        ("lexical",),
        {"tuned": {"type": "bm25", "k1": [0.9], "b": [0.4], "selected_by": "R@5000"}},
        ["lexical.tuned.selected_by: 'R@5000'", "1000 at most", "bm25.depth is 1000"],
    ),
    "a lexical ranking of no type": (
        ("lexical",),
        {"prf": {"type": "rocchio"}},
        ["lexical.prf.type", "'rocchio'", "'bm25' or 'rm3'"],
    ),
    "a grid beyond BM25's values": (
        ("lexical",),
        {"tuned": {"type": "bm25", "k1": [0.9], "b": [0.4, 1.4], "selected_by": "RR@10"}},
        ["lexical.tuned.b.1", "1.4", "less than or equal to 1"],
    ),
    "a start from a model of the study itself": (
        ("methods", "lora", "start_from"),
        {"retriever": "./models/retriever/../retriever/lora-13"},
        ["methods.lora.start_from.retriever", "no stage of this study writes", "starts/lora-13"],
    ),
    "no train query": (
        ("collection", "train_share"),
        0.0,
        ["collection.train_share", "0.0", "greater than 0"],
    ),
    "more than all train queries": (
        ("collection", "train_share"),
        2.0,
        ["collection.train_share", "2.0", "less than or equal to 1"],
    ),
    "a variant twice": (("variants", "retriever"), ["full", "full"], ["variants.retriever", "once"]),
    "no variant": (("variants", "reranker"), [], ["variants.reranker", "at least 1"]),
    "an untrained re-ranker": (("variants", "reranker"), ["zero_shot"], ["variants.reranker", "'zero_shot'"]),
    "an untrained retriever a seed": (
        ("variants", "retriever"),
        ["zero_shot", "full"],
        ["variants.retriever: 'zero_shot'", "variants.untrained"],
    ),
    "a trained one that should be untrained": (
        ("variants", "untrained"),
        ["full"],
        ["variants.untrained: 'full'", "type zero_shot", "variants.retriever"],
    ),
    "an untrained one that is no method": (
        ("variants", "untrained"),
        ["none"],
        ["variants.untrained: 'none'", "zero_shot, full"],
    ),
    "a test set with an unknown key": (
        ("tests", "dl19"),
        {"source": "beir:x", "corpsu": "same"},
        ["tests.dl19.corpsu", "unknown key", "source, corpus"],
    ),
    "a test set without a source": (("tests", "dl19"), {"corpus": "same"}, ["tests.dl19.source", "missing"]),
    "a test set of a third corpus": (
        ("tests", "dl19"),
        {"source": "beir:x", "corpus": "other"},
        ["tests.dl19.corpus: 'other'", "'same' or 'own'"],
    ),
    "a test set whose name has a hyphen": (
        ("tests", "dl-19"),
        {"source": "beir:x"},
        ["tests.dl-19", "a letter, then letters, digits and underscores"],
    ),
    "a test set whose name is none in YAML": (
        ("tests", "no"),
        {"source": "beir:x"},
        ["tests.no", "another name"],
    ),
    "test sets that are one folder": (
        ("tests",),
        {"dl19": {"source": "beir:x"}, "DL19": {"source": "beir:y"}},
        ["tests.DL19", "'dl19'", "more than case"],
    ),
    "a test set with one task's measures": (
        ("tests", "dl19"),
        {"source": "beir:x", "measures": {"retrieval": ["AP"]}},
        ["tests.dl19.measures.reranking", "missing"],
    ),
    "a test set's measure twice": (
        ("tests", "dl19"),
        {"source": "beir:x", "measures": {"retrieval": ["AP", "AP"], "reranking": ["AP"]}},
        ["tests.dl19.measures.retrieval: AP, AP", "once"],
    ),
    "a test set's measure that looks too far": (
        ("tests", "dl19"),
        {"source": "beir:x", "measures": {"retrieval": ["AP"], "reranking": ["nDCG@101"]}},
        ["tests.dl19.measures.reranking: 'nDCG@101'", "100 at most", "reranking.keep is 100"],
    ),
    "a seed twice": (("seeds", "retriever"), [13, 13], ["seeds.retriever", "once"]),
    "a negative seed": (("seeds", "retriever"), [-1], ["seeds.retriever", "-1", "whole number from 0"]),
    "a quoted seed": (("seeds", "retriever"), ["13"], ["seeds.retriever", "'13'", "such as 13f1"]),
    "a seed that is none": (("seeds", "retriever"), ["13g1"], ["seeds.retriever", "'13g1'", "such as 13f1"]),
    "yes for a seed": (("seeds", "retriever"), [True], ["seeds.retriever", "True", "whole number from 0"]),
    "a fold without folds": (
        ("seeds", "reranker"),
        ["13f1"],
        ["seeds.reranker", "'13f1'", "a whole number such as 13", "collection.folds is null"],
    ),
    "folds without seeds for them": (
        ("collection", "folds"),
        3,
        ["seeds.retriever: 13, 14, 15:", "collection.folds is 3", "13f1, 13f2, 13f3"],
    ),
    "one fold": (("collection", "folds"), 1, ["collection.folds", "1", "greater than or equal to 2"]),
    "splits beyond 1": (("collection", "splits", "train"), 0.9, ["collection.splits", "add up to 1"]),
    "unknown pooling": (("backbone", "pooling"), "average", ["backbone.pooling", "'average'", "'mean'"]),
    "a trained method without a rate": (
        ("methods", "lora", "learning_rate"),
        None,
        ["methods.lora", "learning_rate with the keys retriever and reranker"],
    ),
    "a rate for zero_shot": (
        ("methods", "zero_shot", "learning_rate"),
        {"retriever": 1e-3, "reranker": 1e-3},
        ["methods.zero_shot", "no learning_rate"],
    ),
    "a rate for one stage only": (
        ("methods", "lora", "learning_rate"),
        {"retriever": 1e-3},
        ["methods.lora.learning_rate.reranker", "missing"],
    ),
    "a query alone": (
        ("retriever", "batch_size", "hard_negatives"),
        (1, 0),
        ["retriever.batch_size: 1", "2 at least", "retriever.hard_negatives is 0"],
    ),
    "a query alone in the surface": (
        ("learning", "queries", "retriever"),
        1,
        ["learning.queries.retriever: 1", "2 at least", "retriever.hard_negatives is 0"],
    ),
    "mini-batches of nothing": (
        ("retriever", "mini_batch_size"),
        0,
        ["retriever.mini_batch_size", "0", "greater than or equal to 1"],
    ),
    "a mini-batch of all": (("reranker", "mini_batch_size"), "all", ["mini_batch_size", "'all'", "integer"]),
    "checkpointing by a number": (
        ("retriever", "gradient_checkpointing"),
        1,
        ["retriever.gradient_checkpointing", "1", "boolean"],
    ),
    "an unknown schedule": (
        ("reranker", "schedule"),
        "triangle",
        ["reranker.schedule", "'triangle'", "'linear', 'cosine' or 'constant'"],
    ),
    "one beta": (("retriever", "betas"), [0.9], ["retriever.betas", "[0.9]", "at least 2"]),
    "three betas": (("retriever", "betas"), [0.9, 0.9, 0.9], ["retriever.betas", "at most 2"]),
    "a beta of 1": (("retriever", "betas"), [0.9, 1.0], ["retriever.betas.1", "1.0", "less than 1"]),
    "a weight decay below 0": (("retriever", "weight_decay"), -0.1, ["weight_decay", "-0.1", "equal to 0"]),
    "clipping to nothing": (("reranker", "max_grad_norm"), 0, ["reranker.max_grad_norm", "greater than 0"]),
    "no negatives to re-rank": (("reranker", "negatives"), 0, ["reranker.negatives", "0", "or equal to 1"]),
    "hard negatives below zero": (
        ("retriever", "hard_negatives"),
        -1,
        ["hard_negatives", "-1", "equal to 0"],
    ),
    "a temperature of 0": (("retriever", "temperature"), 0.0, ["retriever.temperature", "greater than 0"]),
    "a temperature without end": (
        ("retriever", "temperature"),
        float("inf"),
        ["retriever.temperature", "inf", "finite number"],
    ),
    "a temperature that is none": (
        ("retriever", "temperature"),
        float("nan"),
        ["temperature", "nan", "finite"],
    ),
    "a k1 without end": (("bm25", "k1"), float("inf"), ["bm25.k1", "inf", "finite number"]),
    "a rate of 0": (
        ("methods", "lora", "learning_rate", "retriever"),
        0.0,
        ["methods.lora.learning_rate.retriever", "0.0", "greater than 0"],
    ),
    "a head's rate of 0": (("reranker", "head_learning_rate"), 0.0, ["head_learning_rate", "greater than 0"]),
    "warmup beyond the steps": (
        ("retriever", "warmup"),
        1.5,
        ["retriever.warmup", "less than or equal to 1"],
    ),
    "no evaluation": (("retriever", "evaluate_every"), 0, ["retriever.evaluate_every", "or equal to 1"]),
    "no dev query": (("reranker", "dev_queries"), 0, ["reranker.dev_queries", "0", "or equal to 1"]),
    "one dev document": (("retriever", "dev_documents"), 1, ["retriever.dev_documents", "or equal to 2"]),
    "one candidate to choose by": (
        ("reranker", "dev_depth"),
        1,
        ["reranker.dev_depth", "1", "or equal to 2"],
    ),
    "one candidate to re-rank": (("reranking", "depth"), 1, ["reranking.depth", "1", "or equal to 2"]),
    "a recall of all candidates": (
        ("reranker", "selected_by"),
        "R@10",
        ["reranker.selected_by: 'R@10'", "RR@10", "reranker.dev_depth is 10"],
    ),
    "a recall of all dev documents": (
        ("retriever", "selected_by"),
        "R(rel=2)@1000",
        ["retriever.selected_by: 'R(rel=2)@1000'", "retriever.dev_documents is 200"],
    ),
    "a measure without order": (("reranker", "selected_by"), "SetF(beta=2)", ["selected_by: 'SetF(beta=2)'"]),
    "a length of no token": (("reranker", "length"), 4, ["reranker.length", "4", "or equal to 8"]),
    "an unknown similarity": (
        ("retriever", "similarity"),
        "l2",
        ["retriever.similarity", "'l2'", "'cosine'"],
    ),
    "an unknown precision": (
        ("backbone", "precision"),
        "fp16",
        ["backbone.precision", "'fp16'", "'float32'"],
    ),
    "no documents to take": (("collection", "documents"), 0, ["collection.documents", "0", "or equal to 10"]),
    "no source": (("collection", "source"), None, ["collection.source", "missing"]),
    "no dev at all": (("collection", "splits", "dev"), 0.0, ["collection.splits.dev", "greater than 0"]),
    "no measure": (("measures", "retrieval"), [], ["measures.retrieval", "at least 1"]),
    "an even number of points": (("learning", "points"), 4, ["learning", "odd number of points", "not 4"]),
    "no process": (("reranking", "processes"), 0, ["reranking.processes", "0", "greater than or equal to 1"]),
    "more processes than queries": (
        ("retriever", "processes"),
        17,
        ["retriever.processes", "at most batch_size (16)", "not 17"],
    ),
    "a measure twice": (
        ("measures", "reranking"),
        ["RR@10", "RR@10"],
        ["measures.reranking: RR@10, RR@10: expected each measure once"],
    ),
    "a cutoff beyond what re-rankers keep": (
        ("measures", "reranking"),
        ["RR@10", "nDCG@101"],
        ["measures.reranking: 'nDCG@101'", "100 at most", "reranking.keep is 100"],
    ),
    "a cutoff beyond what retrievers keep": (
        ("retrieval", "depth"),
        100,
        ["measures.retrieval: 'R@1000'", "100 at most", "retrieval.depth is 100"],
    ),
    "a cutoff beyond what BM25 keeps": (
        ("bm25", "depth"),
        500,
        ["measures.retrieval: 'R@1000'", "500 at most", "bm25.depth is 500"],
    ),
    "more scored than kept": (
        ("reranking", "depth"),
        101,
        ["reranking.depth: 101", "100 at most", "reranking.keep is 100"],
    ),
    "negatives from beyond the list": (
        ("bm25", "train_depth"),
        60,
        ["retriever.negatives_depth: 100", "60 at most", "bm25.train_depth is 60"],
    ),
    "candidates on dev from beyond the list": (
        ("reranker", "dev_depth"),
        1001,
        ["reranker.dev_depth: 1001", "bm25.depth is 1000"],
    ),
    "a name that no folder can have": (
        ("variants", "retriever"),
        ["a/b"],
        ["a/b", "letters, digits"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_its_key_in_one_line(tmp_path: Path, name: str) -> None:
    keys, value, expected = MISTAKES[name]
    content = yaml.safe_load(re.sub(r"(\d)e-", r"\1.0e-", DEFAULT.read_text()))
    if name == "a name that no folder can have":
        content["methods"]["a/b"] = content["methods"]["full"]
    block = content
    if isinstance(value, tuple):  # of several keys of a block
        content[keys[0]] |= dict(zip(keys[1:], value, strict=True))
        keys, value = keys[:2], value[0]
    if name == "a query alone in the surface":
        content["retriever"]["hard_negatives"] = 0
    for key in keys[:-1]:
        block = block[key]
    if value is None:
        del block[keys[-1]]
    else:
        block[keys[-1]] = value
    with pytest.raises(PeftirError) as error:
        load_params(_file(tmp_path, yaml.safe_dump(content, sort_keys=False)))
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(tmp_path / "params.yaml"))
    assert [part for part in expected if part not in message] == []


@pytest.mark.parametrize(("key", "value"), [("candidates", "retrieval/zero_shot"), ("chains", ["zero_shot"])])
def test_with_folds_bm25_alone_ranks_for_all_of_them(tmp_path: Path, key: str, value: Any) -> None:
    content = yaml.safe_load(re.sub(r"(\d)e-", r"\1.0e-", DEFAULT.read_text()))
    content["collection"]["folds"] = 2
    content["seeds"] = {"retriever": ["13f1", "13f2"], "reranker": ["13f1", "13f2"]}
    (content["reranking"] if key == "candidates" else content)[key] = value
    with pytest.raises(PeftirError, match=rf"{key}: .*expected (bm25|\[\]), since collection.folds is 2"):
        load_params(_file(tmp_path, yaml.safe_dump(content, sort_keys=False)))


@pytest.mark.parametrize(
    ("line", "changed"),
    [("candidates: bm25 ", "candidates: retrieval/zero_shot "), ("chains: [] ", "chains: [zero_shot] ")],
)
def test_first_stages_are_as_deep_as_what_is_taken_from_them(tmp_path: Path, line: str, changed: str) -> None:
    text = DEFAULT.read_text().replace(line, changed)
    text = text.replace("  depth: 1000             # documents kept per query\n", "  depth: 7\n")
    with pytest.raises(
        PeftirError, match=r"reranking.depth: 10: expected 7 at most, since retrieval.depth is 7"
    ):
        load_params(_file(tmp_path, text))


def test_a_reranker_has_another_name_than_its_candidates(tmp_path: Path) -> None:
    """Or two rows of the results would be one."""
    text = DEFAULT.read_text().replace("candidates: bm25 ", "candidates: retrieval/zero_shot ")
    listed = text.replace("untrained_reranker: []", "untrained_reranker: [zero_shot]")
    assert load_params(_file(tmp_path, text)).reranking.first_stage == "zero_shot"
    with pytest.raises(
        PeftirError,
        match=r"reranking.candidates: 'retrieval/zero_shot': expected a ranking that is not called as",
    ):
        load_params(_file(tmp_path, listed))


@pytest.mark.parametrize("measure", ["RR@10", "nDCG@10", "AP", "R@5", "P(rel=2)@9", "Rprec", "RBP(p=0.8)@10"])
def test_a_measure_that_sees_the_order_may_choose_the_step(tmp_path: Path, measure: str) -> None:
    text = DEFAULT.read_text().replace("selected_by: RR@10", f"selected_by: {measure}")
    assert load_params(_file(tmp_path, text)).reranker.selected_by == measure


def test_a_query_with_hard_negatives_may_be_alone(tmp_path: Path) -> None:
    text = DEFAULT.read_text().replace("batch_size: 16", "batch_size: 1")
    assert load_params(_file(tmp_path, text)).retriever.batch_size == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bm25", "'bm25' is the row of BM25 itself"),
        ("BM25", "'bm25' is the row of BM25 itself"),
        ("rrf", "'rrf' is a line of the tables of chains"),
        ("Interpolated", "'interpolated' is a line of the tables of chains"),
        ("none", "'none' is a line of the tables of chains"),
        ("lora.small", "letters, digits and underscores"),
        ("lora-13", "letters, digits and underscores"),
        ("lora+bm25", "letters, digits and underscores"),
        ("lora 13", "letters, digits and underscores"),
        ("löra", "letters, digits and underscores"),
        ("..", "expected a letter"),
        ("1st", "expected a letter"),
        ("_", "expected a letter"),
        ("", "expected a letter"),
        ("Null", "'null' is no name in every YAML"),
        ("off", "'off' is no name in every YAML"),
        ("LoRA", "in more than case"),
        ("a" * 65, "64 in all"),
    ],
)
@pytest.mark.parametrize("stage", ["retriever", "reranker"])
def test_a_name_that_would_be_taken_for_another_thing_is_refused(
    tmp_path: Path, name: str, reason: str, stage: str
) -> None:
    content = yaml.safe_load(re.sub(r"(\d)e-", r"\1.0e-", DEFAULT.read_text()))
    content["methods"][name] = content["methods"]["lora"]
    content["variants"][stage] = ["full", name, "lora"] if stage == "reranker" else ["full", name]
    with pytest.raises(PeftirError) as error:
        load_params(_file(tmp_path, yaml.safe_dump(content, sort_keys=False)))
    assert name in str(error.value) and reason in str(error.value)
    content["variants"] |= {"retriever": ["full"], "reranker": ["full"]}
    load_params(_file(tmp_path, yaml.safe_dump(content, sort_keys=False)))  # only what runs needs a good name


@pytest.mark.parametrize("written", ["016", "1_3", "0x0D", "13"])
def test_a_seed_is_the_number_that_dvc_sees(tmp_path: Path, written: str) -> None:
    text = DEFAULT.read_text().replace("- 13\n    - 14", f"- {written}\n    - 14")
    seeds = parse_yaml(text, "params.yaml")["seeds"]["retriever"]
    assert load_params(_file(tmp_path, text)).seeds.retriever == seeds
    assert all(type(seed) is int for seed in seeds)


def test_a_seed_that_is_no_number_is_refused(tmp_path: Path) -> None:
    text = DEFAULT.read_text().replace("- 13\n    - 14", "- 13:30\n    - 14")
    with pytest.raises(PeftirError, match=r"seeds.retriever.*'13:30'"):
        load_params(_file(tmp_path, text))


def test_a_key_that_comes_twice_is_named_with_its_line(tmp_path: Path) -> None:
    text = DEFAULT.read_text() + "bm25:\n  k1: 2.0\n"
    line = text.count("\n") - 1
    with pytest.raises(PeftirError, match=rf"params.yaml:{line}: .*duplicate key \"bm25\""):
        load_params(_file(tmp_path, text))


def test_a_test_set_may_have_the_name_of_a_variant_or_a_row(tmp_path: Path) -> None:
    text = DEFAULT.read_text().replace(
        "tests: {}", "tests: {bm25: {source: 'beir:x'}, lora: {source: pydocs}}"
    )
    tests = load_params(_file(tmp_path, text)).tests
    assert list(tests) == ["bm25", "lora"]
    assert (tests["lora"].corpus, tests["lora"].own_documents, tests["lora"].measures) == ("own", False, None)


def test_a_quoted_number_is_a_string_and_so_a_mistake(tmp_path: Path) -> None:
    text = DEFAULT.read_text().replace("retriever: 1e-4", "retriever: '2e-05'")
    with pytest.raises(
        PeftirError, match=r"methods.full.learning_rate.retriever: '2e-05': expected a valid number"
    ):
        load_params(_file(tmp_path, text))


def test_a_file_that_is_not_yaml_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(PeftirError, match="not readable as YAML"):
        load_params(_file(tmp_path, "bm25: [0.9"))
    with pytest.raises(PeftirError, match="not found"):
        load_params(tmp_path / "nothing.yaml")


def _file(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path
