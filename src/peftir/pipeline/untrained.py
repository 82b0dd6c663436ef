"""The untrained backbone as a retriever: one model, index and run for all seeds and folds."""

from __future__ import annotations

import time
from pathlib import Path

from peftir.pipeline.backbone import settled
from peftir.pipeline.index import index_documents
from peftir.pipeline.new_retriever import new_retriever
from peftir.pipeline.retrieve import retrieve
from peftir.pipeline.settings import check_settings
from peftir.pipeline.untrained_model import write_untrained
from peftir.study.params import Params
from peftir.training.distributed import barrier, rank


def rank_untrained(root: Path, params: Params, variant: str) -> dict[str, float]:
    """Write the model, index and runs of ``variant``; return the seconds of indexing and retrieval.

    The processes of a group share the encoding of documents; rank 0 writes.
    """
    params = settled(root, params)
    check_settings(root, params)
    if rank() == 0:
        write_untrained(root, params, "retriever", variant, new_retriever(root, params))
    barrier()
    start = time.perf_counter()
    index_documents(root, params, variant, None)
    indexed = time.perf_counter()
    if rank() == 0:
        retrieve(root, params, variant, None)
    return {
        "index_seconds": round(indexed - start, 1),
        "retrieve_seconds": round(time.perf_counter() - indexed, 1),
    }
