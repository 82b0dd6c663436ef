"""The untrained backbone as a re-ranker, where it can score already: one model and run for all seeds."""

from __future__ import annotations

import time
from pathlib import Path

from peftir.models.backbone import backbone_folder
from peftir.models.starts import scores_untrained
from peftir.pipeline.backbone import settled
from peftir.pipeline.new_reranker import new_reranker
from peftir.pipeline.rerank import rerank_candidates
from peftir.pipeline.settings import check_settings
from peftir.pipeline.untrained_model import write_untrained
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from peftir.training.distributed import barrier, rank


def rerank_untrained(root: Path, params: Params, variant: str) -> dict[str, float]:
    """Write the model and the runs of ``variant``; return the seconds of re-ranking.

    The processes of a group share the scoring; rank 0 writes.

    Raises:
        PeftirError: the backbone has no trained head, and ``reranker.yes_no`` is not given.
    """
    params = settled(root, params)
    check_settings(root, params)
    backbone = params.backbone
    folder = backbone_folder(backbone.name, backbone.revision, root)
    if not scores_untrained(folder, params.reranker.yes_no):
        raise PeftirError(
            f"variants.untrained_reranker: '{variant}': expected a backbone that can score already: a "
            "trained cross-encoder, or one that answers yes or no with reranker.yes_no; backbone.name "
            f"'{backbone.name}' has no head"
        )
    if rank() == 0:
        write_untrained(root, params, "reranker", variant, new_reranker(root, params))
    barrier()
    start = time.perf_counter()
    rerank_candidates(root, params, variant, None)
    return {"rerank_seconds": round(time.perf_counter() - start, 1)}
