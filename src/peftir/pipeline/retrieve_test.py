"""Dense retrieval on a test set, with a retriever of the study as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from peftir.data.collection import Collection
from peftir.pipeline.corpus import corpus_of
from peftir.pipeline.index import index_documents, remove_shared_index
from peftir.pipeline.retrieve import rank_queries
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.system.files import remove
from peftir.training.distributed import rank


def retrieve_test(root: Path, params: Params, test: str, variant: str, seed: Seed | None) -> None:
    """Rank documents for the queries of ``test``, whatever the seed's fold, and write the run.

    The study's own documents are indexed already. Another index is of no use once the run is written. The
    processes of a group share the encoding of documents.
    """
    corpus = corpus_of(root, test)
    if corpus is not None:
        index_documents(root, params, variant, seed, corpus)
    if rank() > 0:
        return
    index = layout.of(corpus, layout.index(variant, seed))
    collection = Collection(root / layout.of(test, layout.COLLECTION))
    folder = layout.of(test, layout.runs("retrieval", variant, seed))
    rank_queries(root, params, variant, seed, collection, ("test",), index, folder)
    if corpus is not None:
        remove(root / index)
        if all((root / run).is_file() for run in _runs(params, test)):
            remove_shared_index(root, test)


def _runs(params: Params, test: str) -> Iterator[Path]:
    """The run of each retriever on ``test``; as long as one is missing, a shared index may be of use."""
    trained = ((name, seed) for name in params.variants.retriever for seed in params.seeds.retriever)
    for variant, seed in (*((name, None) for name in params.variants.untrained), *trained):
        yield layout.of(test, layout.runs("retrieval", variant, seed)) / "test.trec"
