"""Every key of params.yaml makes exactly the stages stale that follow it, as DVC itself sees it.

No stage runs: each out is written by hand, and ``dvc commit`` takes them as the stages' own.
"""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.dependency.param import ParamsDependency
from dvc.output import Output
from dvc.repo import Repo
from small_study import ROOT, SMALL, clone

PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
START = {
    key: {**value, **SMALL.get(key, {})} if isinstance(value, dict) else value
    for key, value in PARAMS.items()
}
TEST_SET = {
    "source": "beir:../far",
    "corpus": "own",
    "own_documents": False,
    "measures": {"retrieval": ["nDCG@10"], "reranking": ["nDCG@10"]},
}
START["tests"] = {"far": TEST_SET}
TUNED = {"type": "bm25", "k1": [0.6, 0.9], "b": [0.4], "selected_by": "RR@10"}
RM3 = {"type": "rm3", "feedback_terms": 10, "feedback_documents": 10, "query_weight": 0.5}
START["lexical"] = {"tuned": TUNED, "rm3": RM3}
START["chains"] = ["zero_shot"]
MINED = {"variant": "zero_shot", "seed": 13, "negatives_from": "bm25", "with_bm25": True, "depth": 20}
START["mining"] = {"first": MINED}
START["teachers"] = {
    "expert": {"scores": "models/reranker/iaa_l-13", "negatives_from": "mining/first", "depth": 10}
}
START["variants"]["untrained_reranker"] = ["zero_shot"]
LISTS = ("variants.untrained", "variants.retriever", "variants.reranker", "seeds.retriever", "seeds.reranker")
LISTS += ("chains", "variants.untrained_reranker")

RETRIEVERS = {stage: {f"{stage}@lora-13"} for stage in ("train_retriever", "index", "retrieve")}
UNTRAINED = {"untrained@zero_shot"}
UNTRAINED_RERANKER = {"untrained_reranker@zero_shot"}
RERANKERS = {stage: {f"{stage}@iaa_l-13"} for stage in ("train_reranker", "rerank")}
TRAINING = RETRIEVERS["train_retriever"] | RERANKERS["train_reranker"]
USE = RETRIEVERS["index"] | RETRIEVERS["retrieve"] | RERANKERS["rerank"]
RETRIEVE_TEST = {"retrieve_test@far-lora-13", "untrained_test@far-zero_shot"}
RERANK_TEST = {"rerank_test@far-iaa_l-13", "untrained_reranker_test@far-zero_shot"}
USE_TEST = RETRIEVE_TEST | RERANK_TEST
EVALUATE = {"evaluate", "evaluate_test@far"}
LEXICAL = {name: {f"lexical@{name}", f"lexical_test@far-{name}"} for name in ("tuned", "rm3")}
BM25 = {"bm25", "bm25_test@far"} | LEXICAL["tuned"] | LEXICAL["rm3"]
FUSE = {"fuse@zero_shot", "fuse_test@far-zero_shot"}
CHAIN = {"chain@zero_shot-iaa_l-13", "chain_test@far-zero_shot-iaa_l-13"}
EVALUATE_CHAIN = {"evaluate_chain@zero_shot", "evaluate_chain_test@far-zero_shot"}
MINER, MINE, TEACHER = {"train_miner@first"}, {"mine@first"}, {"teacher_scores@expert"}
NEGATIVES = MINER | MINE | TEACHER

# The stages that a key makes stale by itself; those after them run if these then write something else. The
# longest entry that a key starts with holds. The report tells all keys, so it follows them all.
FOLLOWED_BY: dict[str, set[str]] = {
    "collection": {"prepare"},
    "bm25": BM25,
    "bm25.depth": BM25 | EVALUATE | EVALUATE_CHAIN,
    "lexical.tuned": LEXICAL["tuned"] | EVALUATE,
    "lexical.rm3": LEXICAL["rm3"] | EVALUATE,
    "backbone": TRAINING | UNTRAINED | UNTRAINED_RERANKER | MINER,
    "backbone.name": TRAINING | UNTRAINED | UNTRAINED_RERANKER | MINER | {"backbone"},
    "backbone.pooling": TRAINING | UNTRAINED | UNTRAINED_RERANKER | MINER | {"backbone"},
    "backbone.revision": TRAINING | UNTRAINED | UNTRAINED_RERANKER | MINER | {"backbone"},
    "backbone.precision": TRAINING | UNTRAINED | UNTRAINED_RERANKER | NEGATIVES | USE | USE_TEST | CHAIN,
    "methods": set(),  # those of no variant that runs
    "methods.zero_shot": UNTRAINED | UNTRAINED_RERANKER | MINER,
    "methods.lora": {"train_retriever@lora-13"},
    "methods.iaa_l": RERANKERS["train_reranker"],
    "threads": TRAINING | USE | UNTRAINED | UNTRAINED_RERANKER | NEGATIVES | USE_TEST | CHAIN | {"learning"},
    "variants": EVALUATE | {"learning"},
    "variants.reranker": EVALUATE | EVALUATE_CHAIN | {"learning"},
    "seeds": EVALUATE | {"learning"},
    "seeds.reranker": EVALUATE | EVALUATE_CHAIN | {"learning"},
    "retriever": RETRIEVERS["train_retriever"] | MINER | {"learning"},
    **{
        f"retriever.{key}": RETRIEVERS["train_retriever"] | MINER | {"learning"} | UNTRAINED
        for key in ("query_length", "document_length", "query_prefix", "document_prefix", "similarity")
    },
    "retriever.tune": RETRIEVERS["train_retriever"]
    | RETRIEVERS["index"]
    | MINER
    | UNTRAINED
    | RETRIEVE_TEST
    | {"learning"},
    "retriever.selected_by": RETRIEVERS["train_retriever"] | MINER | {"learning", "fuse@zero_shot"},
    "index": RETRIEVERS["index"] | UNTRAINED | RETRIEVE_TEST | MINE,
    "retrieval": RETRIEVERS["retrieve"] | UNTRAINED | RETRIEVE_TEST,
    "retrieval.depth": RETRIEVERS["retrieve"] | UNTRAINED | RETRIEVE_TEST | EVALUATE | EVALUATE_CHAIN | FUSE,
    "retrieval.search_parameters": RETRIEVERS["retrieve"] | UNTRAINED | RETRIEVE_TEST | MINE,
    "reranker": RERANKERS["train_reranker"] | {"learning"},
    **{
        f"reranker.{key}": RERANKERS["train_reranker"] | UNTRAINED_RERANKER | {"learning"}
        for key in ("length", "yes_no")
    },
    "reranker.selected_by": RERANKERS["train_reranker"]
    | RERANKERS["rerank"]
    | UNTRAINED_RERANKER
    | {"chain@zero_shot-iaa_l-13", "learning"},
    "reranking": RERANKERS["rerank"] | UNTRAINED_RERANKER | RERANK_TEST | CHAIN,
    "reranking.candidates": RERANKERS["train_reranker"]
    | RERANKERS["rerank"]
    | UNTRAINED_RERANKER
    | RERANK_TEST
    | CHAIN
    | EVALUATE
    | EVALUATE_CHAIN,
    "reranking.keep": RERANKERS["rerank"]
    | UNTRAINED_RERANKER
    | RERANK_TEST
    | CHAIN
    | EVALUATE
    | EVALUATE_CHAIN,
    "reranking.processes": RERANKERS["rerank"] | UNTRAINED_RERANKER | RERANK_TEST | CHAIN | TEACHER,
    "measures": EVALUATE,
    "measures.reranking": EVALUATE | EVALUATE_CHAIN,
    "chains": set(),
    "tests": {"prepare_test@far", "evaluate_test@far", "evaluate_chain_test@far-zero_shot"},
    "mining": MINER,
    "mining.first.with_bm25": MINE,
    "mining.first.depth": MINE,
    "teachers": TEACHER,
    "learning": {"learning"},
}


def leaves(block: Any, key: str = "") -> Iterator[str]:
    """The keys of all values that are not blocks."""
    if isinstance(block, dict):
        for name, value in block.items():
            yield from leaves(value, f"{key}.{name}" if key else name)
    else:
        yield key


def followed_by(key: str) -> set[str]:
    parts = key.split(".")
    entries = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return FOLLOWED_BY[next(entry for entry in entries if entry in FOLLOWED_BY)] | {"report"}


def value_of(block: Any, key: str) -> Any:
    for name in key.split("."):
        block = block[name]
    return block


def changed(value: Any) -> Any:
    """Another value than ``value``; DVC does not mind which, but lists stay names of the same runs."""
    match value:
        case bool() | None:
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}0"
        case list():
            return value[::-1] if len(value) > 1 else [*value, *value]
    raise TypeError(value)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished study as DVC sees it; this process is in its folder, where DVC looks paths up."""
    root = clone(tmp_path_factory.mktemp("params") / "study")
    write(root, START)
    (root / "dvc.lock").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        # DVC reads its files anew for every stage, in Python; the parser in C is twenty times faster.
        for module in ("dvc.utils.serialize._yaml", "dvc.utils.strictyaml"):
            patch.setattr(f"{module}.parse_yaml", fast_yaml)
        with Repo(str(root)) as repo:
            made = [Path(out.fs_path) for out in repo.index.outs]
            read = [Path(dep.fs_path) for dep in repo.index.deps if not isinstance(dep, ParamsDependency)]
            # Some stages read one file of a folder that another makes, or the folder of several.
            for path in (*made, *read):
                if not path.exists() and not any(path in other.parents for other in (*made, *read)):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text("made by hand\n")
            repo.commit(force=True)
        # The tests change params.yaml alone, so that the other files are hashed once.
        patch.setattr(Output, "get_hash", hash_once(Output.get_hash))
        yield root


def fast_yaml(text: str, path: str, typ: str = "safe") -> Any:
    return pickle.loads(_parsed(text))


@functools.cache
def _parsed(text: str) -> bytes:
    return pickle.dumps(yaml.load(text, yaml.CSafeLoader) or {})


def hash_once(get_hash: Callable[[Output], Any]) -> Callable[[Output], Any]:
    """``get_hash`` of DVC, which remembers the hash of each path."""
    known: dict[str, Any] = {}

    def remembered(out: Output) -> Any:
        if out.fs_path not in known:
            known[out.fs_path] = get_hash(out)
        return known[out.fs_path]

    return remembered


@pytest.fixture(scope="module")
def repository(study: Path) -> Iterator[Repo]:
    with Repo(str(study)) as repo:
        yield repo


def write(root: Path, params: dict[str, Any]) -> None:
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def stale(study: Path, repository: Repo, key: str, value: Any) -> set[str]:
    """The stages that DVC finds stale by their own deps when ``key`` has another value."""
    params = copy.deepcopy(START)
    *blocks, last = key.split(".")
    block = params
    for name in blocks:
        block = block[name]
    block[last] = value
    write(study, params)
    try:
        return {name.removeprefix("dvc.yaml:") for name in repository.status()}
    finally:
        write(study, START)


def test_a_finished_study_is_not_stale(repository: Repo) -> None:
    assert repository.status() == {}


@pytest.mark.parametrize("key", [key for key in leaves(START) if key not in LISTS])
def test_a_key_makes_those_stages_stale_that_follow_it(study: Path, repository: Repo, key: str) -> None:
    before = value_of(START, key)
    assert stale(study, repository, key, changed(before)) == followed_by(key)


@pytest.mark.parametrize(
    ("key", "value", "new"),
    [
        (
            "variants.retriever",
            ["lora", "full"],
            {f"{stage}@full-13" for stage in RETRIEVERS} | {"retrieve_test@far-full-13"},
        ),
        ("variants.untrained", [], set()),
        (
            "variants.reranker",
            ["iaa_l", "full"],
            {f"{stage}@full-13" for stage in RERANKERS}
            | {"rerank_test@far-full-13", "chain@zero_shot-full-13", "chain_test@far-zero_shot-full-13"},
        ),
        (
            "seeds.retriever",
            [13, 14],
            {f"{stage}@lora-14" for stage in RETRIEVERS} | {"retrieve_test@far-lora-14"},
        ),
        (
            "seeds.reranker",
            [14],
            {f"{stage}@iaa_l-14" for stage in RERANKERS}
            | {"rerank_test@far-iaa_l-14", "chain@zero_shot-iaa_l-14", "chain_test@far-zero_shot-iaa_l-14"},
        ),
        (
            "chains",
            ["zero_shot", "lora-13"],
            {"fuse@lora-13", "chain@lora-13-iaa_l-13", "evaluate_chain@lora-13"}
            | {"fuse_test@far-lora-13", "chain_test@far-lora-13-iaa_l-13", "evaluate_chain_test@far-lora-13"},
        ),
    ],
)
def test_a_list_adds_the_stages_of_what_is_new_in_it(
    study: Path, repository: Repo, key: str, value: list[Any], new: set[str]
) -> None:
    assert stale(study, repository, key, value) == followed_by(key) | new


def test_a_test_set_more_adds_its_own_stages_alone(study: Path, repository: Repo) -> None:
    stages = {"prepare_test", "bm25_test", "evaluate_test"}
    models = {"untrained_test@near-zero_shot", "retrieve_test@near-lora-13", "rerank_test@near-iaa_l-13"}
    models |= {"untrained_reranker_test@near-zero_shot"}
    lexical = {"lexical_test@near-tuned", "lexical_test@near-rm3"}
    chains = {f"{stage}@near-zero_shot" for stage in ("fuse_test", "evaluate_chain_test")}
    chains |= {"chain_test@near-zero_shot-iaa_l-13"}
    new = {f"{stage}@near" for stage in stages} | models | lexical | chains
    assert stale(study, repository, "tests.near", TEST_SET) == new | {"report"}


def test_without_test_sets_the_other_stages_are_what_they_are_with_some(
    study: Path, repository: Repo
) -> None:
    assert stale(study, repository, "tests", {}) == {"report"}


def test_every_reranker_follows_the_ranking_that_it_reranks(study: Path) -> None:
    write(study, START | {"reranking": START["reranking"] | {"candidates": "retrieval/lora-13"}})
    try:
        with Repo(str(study)) as repo:
            deps = {stage.addressing: {dep.def_path for dep in stage.deps} for stage in repo.index.stages}
    finally:
        write(study, START)
    rankings = {
        "runs/retrieval/lora-13/test.trec": RERANKERS["rerank"] | UNTRAINED_RERANKER,
        "runs/tests/far/retrieval/lora-13/test.trec": RERANK_TEST,
    }
    for ranking, stages in rankings.items():
        assert [stage for stage in stages if ranking not in deps[stage]] == []


def test_a_round_more_adds_its_own_stages_alone(study: Path, repository: Repo) -> None:
    second = MINED | {"negatives_from": "mining/first"}
    assert stale(study, repository, "mining.second", second) == {
        "train_miner@second",
        "mine@second",
        "report",
    }


def test_negatives_from_another_ranking_make_their_trainings_stale(study: Path, repository: Repo) -> None:
    trained = RETRIEVERS["train_retriever"] | {"learning"}
    expected = trained | MINER | {"report"}
    assert stale(study, repository, "retriever.negatives_from", "teachers/expert") == expected


def test_without_mining_and_teachers_the_other_stages_are_what_they_are_with_some(
    study: Path, repository: Repo
) -> None:
    assert stale(study, repository, "teachers", {}) == {"report"}
