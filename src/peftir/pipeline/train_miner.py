"""Training a retriever whose only use is to rank documents for the train queries (``mining``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peftir.pipeline.named import block_of
from peftir.pipeline.train_retriever import train_retriever
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.training import MiningParams


def train_miner(root: Path, params: Params, name: str) -> dict[str, Any]:
    """Train the retriever of ``mining.NAME`` and write its folder; gives what the steps took in seconds.

    A variant of type zero_shot takes no step.
    """
    mined = block_of("mining", params.mining, name)
    own = params.model_copy(update={"retriever": _settings(params, mined)})
    return train_retriever(root, own, mined.variant, mined.seed, lambda point: None, layout.miner_paths(name))


def _settings(params: Params, mined: MiningParams) -> Any:
    """The retriever's settings with the miner's own negatives, and the contrastive loss.

    What is left out at the top is set for the scores of one ranking, and does not hold for another's.
    """
    given = params.retriever
    changes: dict[str, Any] = {"negatives_from": mined.negatives_from, "loss": "contrastive"}
    if mined.negatives_from != given.negatives_from:
        changes |= {"negatives_skip": 0, "max_score_ratio": None, "min_score_margin": None}
    return given.model_copy(update=changes)
