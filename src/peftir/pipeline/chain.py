"""Re-rank the first stages of the chains with a retriever, in the way that the candidates are."""

from __future__ import annotations

from pathlib import Path

from peftir.data.collection import Collection
from peftir.pipeline.candidates import Reranker
from peftir.pipeline.rerank import rerank_run
from peftir.study import layout
from peftir.study.chain import but_candidates
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.system.files import write_json
from peftir.training.distributed import rank, replacing_once


def rerank_first_stages(root: Path, params: Params, retriever: str, variant: str, seed: Seed) -> list[str]:
    """Write the runs of each first stage but the study's candidates, which the stage ``rerank`` has.

    The processes of a group share the scoring; rank 0 writes.

    Args:
        root: the study's folder.
        params: the study's settings.
        retriever: the name of the retriever's run.
        variant: the re-ranker's variant.
        seed: the re-ranker's seed.

    Returns:
        The names of the first stages that were re-ranked.
    """
    collection, measure = Collection(root / layout.COLLECTION), params.reranker.selected_by
    reranker = Reranker(root, params, variant, seed)
    others = but_candidates(retriever, params.reranking.candidates)
    with replacing_once(root / layout.chain(retriever, variant, seed)) as folder:
        records = {
            name: rerank_run(reranker, collection, root / path, folder / name, measure)
            for name, path in others.items()
        }
    if rank() == 0:
        write_json(root / layout.chain_weights(retriever, variant, seed), records)
    return list(others)
