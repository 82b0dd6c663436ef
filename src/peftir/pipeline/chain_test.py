"""Re-rank the first stages of the chains with a retriever for a test set, with a re-ranker as it is."""

from __future__ import annotations

from pathlib import Path

from peftir.pipeline.candidates import Reranker
from peftir.pipeline.rerank_test import rerank_test_run
from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.chain import but_candidates
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.training.distributed import replacing_once


def chain_test(root: Path, params: Params, test: str, retriever: str, variant: str, seed: Seed) -> list[str]:
    """Write the runs of ``test`` of each first stage but the candidates, which ``rerank_test`` has.

    Arguments and result are those of :func:`peftir.pipeline.chain.rerank_first_stages`, with the test set.
    The weights beside the first stages' scores are those selected on the study's dev queries.
    """
    reranker = Reranker(root, params, variant, seed)
    others = but_candidates(retriever, params.reranking.candidates)
    record = Artefact(root, layout.chain_weights(retriever, variant, seed), "chain")
    weights = record.json()
    with replacing_once(root / layout.of(test, layout.chain(retriever, variant, seed))) as folder:
        for name, path in others.items():
            weight = record.number(weights, name, "weight")
            rerank_test_run(reranker, root, test, root / layout.of(test, path), folder / name, weight)
    return list(others)
