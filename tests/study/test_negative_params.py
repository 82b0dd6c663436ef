"""Params of negatives, mining and teachers: what is valid, and the one line that each mistake gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from peftir.study.negatives import depths_of
from peftir.system.errors import PeftirError
from synthetic_study import make_params

MINED = {"variant": "zero_shot", "seed": 13, "negatives_from": "bm25", "with_bm25": False, "depth": 100}
SECOND = MINED | {"variant": "full", "negatives_from": "mining/first"}
EXPERT = {"scores": "models/reranker/full-13", "negatives_from": "mining/second", "depth": 100}
CHAIN: dict[str, Any] = {
    "mining": {"first": MINED, "second": SECOND},
    "teachers": {"expert": EXPERT},
    "retriever": {"negatives_from": "teachers/expert", "loss": "kl", "min_score_margin": 2.0},
    "reranker": {"negatives_from": "mining/first", "max_score_ratio": 0.95, "negatives_skip": 5},
}


def test_two_rounds_and_a_teacher_are_valid(tmp_path: Path) -> None:
    params = make_params(tmp_path, **CHAIN)
    assert depths_of(params) == {
        "bm25": ("bm25.train_depth", 100),
        "mining/first": ("mining.first.depth", 100),
        "mining/second": ("mining.second.depth", 100),
        "teachers/expert": ("teachers.expert.depth", 100),
    }


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown ranking": (
        {"retriever": {"negatives_from": "mining/third"}},
        "retriever.negatives_from: 'mining/third': expected one of bm25, mining/first, mining/second, teach",
    ),
    "a variant for a ranking": (
        {"reranker": {"negatives_from": "full"}},
        "reranker.negatives_from: 'full': expected one of bm25, mining/first",
    ),
    "an unknown variant": (
        {"mining": {"first": MINED | {"variant": "fulll"}}},
        "mining.first.variant: 'fulll': expected a name under methods: zero_shot, full, lora",
    ),
    "a re-ranker that is not trained": (
        {"teachers": {"expert": EXPERT | {"scores": "models/reranker/full-14"}}},
        "teachers.expert.scores: 'models/reranker/full-14': expected a re-ranker that the study trains (full",
    ),
    "a retriever as teacher": (
        {"teachers": {"expert": EXPERT | {"scores": "./models/mining/first"}}},
        "teachers.expert.scores: './models/mining/first': expected a re-ranker, which retrievers are not, or",
    ),
    "a round that mines for itself": (
        {"mining": {"first": MINED | {"negatives_from": "mining/first"}}},
        "mining.first: depends on its own ranking, through mining.first.negatives_from; expected negatives",
    ),
    "rounds in a circle": (
        {"mining": {"first": MINED | {"negatives_from": "mining/second"}}},
        "mining.first: depends on its own ranking, through mining.first.negatives_from, "
        "mining.second.negatives_from; expected negatives that begin with bm25: change one of these",
    ),
    "a teacher that learns from its own scores": (
        {"reranker": {"negatives_from": "teachers/expert", "max_score_ratio": None}},
        "teachers.expert: depends on its own ranking, through teachers.expert.scores, "
        "reranker.negatives_from; expected",
    ),
    "a teacher that re-ranks what its student retrieves": (
        {"reranking": {"candidates": "retrieval/full-13"}},
        "teachers.expert: depends on its own ranking, through teachers.expert.scores, "
        "reranking.candidates, retriever.negatives_from; expected",
    ),
    "a round whose name is none in YAML": (
        {"mining": {"no": MINED}},
        "mining.no: expected another name",
    ),
    "a teacher with folds": (
        {"collection": {"folds": 2}, "seeds": {"retriever": ["13f1", "13f2"], "reranker": ["13f1", "13f2"]}},
        "mining: first, second: expected none, since collection.folds is 2",
    ),
    "a missing key of a round": (
        {"mining": {"first": {"variant": "zero_shot"}}},
        "mining.first.seed: missing (and 3 more)",
    ),
    "more documents than are ranked": (
        {"retriever": {"negatives_depth": 101}},
        "retriever.negatives_depth: 101: expected 100 at most, since teachers.expert.depth is 100",
    ),
    "more documents than a round is trained on": (
        {"mining": {"first": MINED | {"depth": 99}, "second": SECOND}},
        "retriever.negatives_depth: 100: expected 99 at most, since mining.first.depth is 99",
    ),
    "more scored than ranked": (
        {"teachers": {"expert": EXPERT | {"depth": 101}}},
        "teachers.expert.depth: 101: expected 100 at most, since mining.second.depth is 100",
    ),
    "everything left out": (
        {"reranker": {"negatives_skip": 50}},
        "reranker.negatives_skip: 50: expected fewer than reranker.negatives_depth, which is 50",
    ),
    "a ratio of a teacher's scores": (
        {"retriever": {"max_score_ratio": 0.95}},
        "retriever.max_score_ratio: 0.95: expected null, since retriever.negatives_from is teachers/expert: ",
    ),
    "a ratio of all": (
        {"reranker": {"max_score_ratio": 1.0}},
        "reranker.max_score_ratio: 1.0: expected less",
    ),
    "a margin of BM25's scores": (
        {"retriever": {"negatives_from": "bm25"}},
        "retriever.min_score_margin: 2.0: expected null, since retriever.negatives_from is bm25, which",
    ),
    "a loss without a teacher": (
        {"retriever": {"negatives_from": "mining/first"}},
        "retriever.loss: 'kl': expected retriever.negatives_from to name a block under teachers, whose",
    ),
    "a teacher without negatives": (
        {"retriever": {"hard_negatives": 0}},
        "retriever.hard_negatives: 0: expected 1 at least, since retriever.loss is 'kl', which compares",
    ),
    "an unknown loss of the retriever": (
        {"retriever": {"loss": "mse"}},
        "retriever.loss: 'mse': expected 'contrastive', 'margin_mse' or 'kl'",
    ),
    "an unknown loss of the re-ranker": (
        {"reranker": {"loss": "kl"}},
        "reranker.loss: 'kl': expected 'listwise', 'ranknet' or 'hinge'",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_its_key_in_one_line(name: str, tmp_path: Path) -> None:
    changes, expected = MISTAKES[name]
    with pytest.raises(PeftirError) as error:
        make_params(tmp_path, **{key: CHAIN.get(key, {}) | changes.get(key, {}) for key in CHAIN | changes})
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'params.yaml'}: {expected}") and "\n" not in message
