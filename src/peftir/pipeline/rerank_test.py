"""Re-ranking the candidates of a test set, with a re-ranker of the study as it is."""

from __future__ import annotations

from pathlib import Path

from peftir.data.collection import Collection
from peftir.pipeline.candidates import Reranker
from peftir.pipeline.corpus import corpus_of
from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.system.files import replacing
from peftir.training.distributed import rank


def rerank_test(root: Path, params: Params, test: str, variant: str, seed: Seed | None) -> None:
    """Write the runs of ``test``, by the re-ranker alone and interpolated.

    The weight beside the candidates' scores is that chosen on the study's dev queries: a test set has none.
    """
    record = Artefact(root, layout.interpolation(variant, seed), "rerank")
    weight = record.number(record.json(), "weight")
    queries = Collection(root / layout.of(test, layout.COLLECTION)).queries("test")
    corpus = Collection(root / layout.of(corpus_of(root, test), layout.COLLECTION))
    reranker = Reranker(root, params, variant, seed)
    ranking = root / layout.of(test, layout.run(params.reranking.candidates)) / "test.trec"
    candidates, scores = reranker.score(queries, ranking, corpus)
    if rank() > 0:
        return
    with replacing(root / layout.of(test, layout.runs("reranking", variant, seed))) as partial:
        reranker.write(partial, "test", candidates, scores, weight, params.reranking.first_stage)
