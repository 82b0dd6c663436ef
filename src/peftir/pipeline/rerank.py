"""Re-rank the candidates of every query with a trained re-ranker."""

from __future__ import annotations

from pathlib import Path

from peftir.data.collection import Collection
from peftir.pipeline.candidates import Reranker
from peftir.ranking.interpolation import choose_weight
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed, fold_of
from peftir.system.files import replacing, write_json


def rerank_candidates(root: Path, params: Params, variant: str, seed: Seed | None) -> float:
    """Write the re-ranker's dev and test runs, alone and interpolated; return the interpolation weight."""
    collection = Collection(root / layout.COLLECTION, fold_of(seed))
    reranker = Reranker(root, params, variant, seed)
    weight, tried = 0.0, dict[float, float]()
    with replacing(root / layout.runs("reranking", variant, seed)) as partial:
        for split in ("dev", "test"):
            ranking = root / layout.BM25_RUNS / f"{split}.trec"
            candidates, scores = reranker.score(collection.queries(split), ranking, collection)
            if split == "dev":
                weight, tried = choose_weight(
                    candidates, scores, collection.qrels("dev"), params.reranker.selected_by
                )
            reranker.write(partial, split, candidates, scores, weight)
    record = {"weight": weight, "dev": {str(w): round(value, 4) for w, value in tried.items()}}
    write_json(root / layout.interpolation(variant, seed), record)
    return weight
