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
from peftir.training.distributed import rank, replacing_once


def rerank_test(root: Path, params: Params, test: str, variant: str, seed: Seed | None) -> None:
    """Write the runs of ``test``, by the re-ranker alone and interpolated.

    The weight beside the candidates' scores is that chosen on the study's dev queries: a test set has none.
    """
    record = Artefact(root, layout.interpolation(variant, seed), "rerank")
    weight = record.number(record.json(), "weight")
    reranker = Reranker(root, params, variant, seed)
    first_stage = root / layout.of(test, layout.run(params.reranking.candidates))
    with replacing_once(root / layout.of(test, layout.runs("reranking", variant, seed))) as partial:
        rerank_test_run(reranker, root, test, first_stage, partial, weight)


def rerank_test_run(
    reranker: Reranker, root: Path, test: str, first_stage: Path, folder: Path, weight: float
) -> None:
    """Write the runs of ``test`` into ``folder``, from the run in the folder ``first_stage``.

    The processes of a group share the scoring; rank 0 writes.
    """
    queries = Collection(root / layout.of(test, layout.COLLECTION)).queries("test")
    corpus = Collection(root / layout.of(corpus_of(root, test), layout.COLLECTION))
    candidates, scores = reranker.score(queries, first_stage / "test.trec", corpus)
    if rank() == 0:
        reranker.write(folder, "test", candidates, scores, weight, first_stage.name)
