"""Re-rank the candidates of every query with a trained re-ranker."""

from __future__ import annotations

from pathlib import Path

from sentence_transformers import CrossEncoder

from peftir.data.collection import Collection
from peftir.data.texts import DocumentTexts
from peftir.models import saving
from peftir.pipeline.score import score_all
from peftir.ranking.interpolation import choose_weight, interpolate, rerank
from peftir.ranking.runs import read_run, write_run
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed, draw
from peftir.system.files import replacing, write_json


def rerank_candidates(root: Path, params: Params, variant: str, seed: Seed) -> float:
    """Write the re-ranker's dev and test runs, alone and interpolated; return the interpolation weight."""
    collection = Collection(root / layout.COLLECTION, draw(seed).fold)
    folder = root / layout.runs("reranking", variant, seed)
    model_folder = root / layout.model("reranker", variant, seed)
    model = saving.load(CrossEncoder, model_folder, root)
    weight, tried = 0.0, dict[float, float]()
    with replacing(folder) as partial:
        for split in ("dev", "test"):
            queries = collection.queries(split)
            ranked = read_run(root / layout.BM25_RUNS / f"{split}.trec", queries)
            candidates = {query: ranking[: params.reranking.keep] for query, ranking in ranked.items()}
            scored = {query: ranking[: params.reranking.depth] for query, ranking in candidates.items()}
            texts = DocumentTexts(collection, [doc for ranking in scored.values() for doc, _ in ranking])
            scores = score_all(
                model,
                model_folder,
                root,
                queries,
                scored,
                texts,
                precision=params.backbone.precision,
                processes=params.reranking.processes,
            )
            if split == "dev":
                weight, tried = choose_weight(
                    candidates, scores, collection.qrels("dev"), params.reranker.selected_by
                )
            write_run(partial / f"{split}.trec", rerank(candidates, scores), tag=layout.key(variant, seed))
            mixed = interpolate(candidates, scores, weight)
            write_run(partial / f"{split}.interpolated.trec", mixed, tag=f"{layout.key(variant, seed)}+bm25")
    record = {"weight": weight, "dev": {str(w): round(value, 4) for w, value in tried.items()}}
    write_json(root / layout.interpolation(variant, seed), record)
    return weight
