"""Re-rank the candidates of every query with a trained re-ranker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peftir.data.collection import Collection
from peftir.pipeline.candidates import Reranker
from peftir.ranking.interpolation import choose_weight
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed, fold_of
from peftir.system.files import write_json
from peftir.training.distributed import rank, replacing_once


def rerank_candidates(root: Path, params: Params, variant: str, seed: Seed | None) -> float:
    """Write the re-ranker's dev and test runs, alone and interpolated; return the interpolation weight.

    The processes of a group share the scoring; rank 0 writes.
    """
    collection = Collection(root / layout.COLLECTION, fold_of(seed))
    reranker, candidates = Reranker(root, params, variant, seed), layout.run(params.reranking.candidates)
    with replacing_once(root / layout.runs("reranking", variant, seed)) as partial:
        record = rerank_run(reranker, collection, root / candidates, partial, params.reranker.selected_by)
    if rank() == 0:
        write_json(root / layout.interpolation(variant, seed), record)
    return float(record["weight"])


def rerank_run(
    reranker: Reranker, collection: Collection, first_stage: Path, folder: Path, measure: str
) -> dict[str, Any]:
    """Write runs of dev and test, by the re-ranker alone and interpolated; give the weight and its record.

    The processes of a group share the scoring; rank 0 selects the weight and writes.

    Args:
        reranker: the re-ranker.
        collection: the study's, at the re-ranker's fold.
        first_stage: the folder of the runs whose top is re-ranked.
        folder: where the runs go.
        measure: by which the weight is selected on dev.
    """
    weight, tried = 0.0, dict[float, float]()
    for split in ("dev", "test"):
        ranking = first_stage / f"{split}.trec"
        candidates, scores = reranker.score(collection.queries(split), ranking, collection)
        if rank() > 0:
            continue
        if split == "dev":
            weight, tried = choose_weight(candidates, scores, collection.qrels("dev"), measure)
        reranker.write(folder, split, candidates, scores, weight, first_stage.name)
    return {"weight": weight, "dev": {str(w): round(value, 4) for w, value in tried.items()}}
