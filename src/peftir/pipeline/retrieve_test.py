"""Dense retrieval on a test set, with a retriever of the study as it is."""

from __future__ import annotations

from pathlib import Path

from peftir.data.collection import Collection
from peftir.pipeline.corpus import corpus_of
from peftir.pipeline.index import index_documents
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
