"""Dense retrieval with a trained retriever: documents into an index, queries against it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sentence_transformers import SentenceTransformer
from tqdm import tqdm

from peftir import layout, models
from peftir.biencoder import encode
from peftir.collections.base import Collection
from peftir.dense import DenseIndex, build_index
from peftir.files import replacing
from peftir.params import Params
from peftir.runs import search_beyond_own, write_run

CHUNK = 4096  # documents held at a time; long enough for batches of like length


def index_documents(params: Params, variant: str, seed: int) -> int:
    """Encode the collection straight into a new index; gives the number of documents in it."""
    collection = Collection(layout.COLLECTION)
    model = models.load(SentenceTransformer, layout.model("retriever", variant, seed))

    def vectors() -> Iterator:
        with tqdm(total=collection.count_documents(), desc="encoding", unit="doc", mininterval=5) as progress:
            for ids, texts in collection.text_chunks(CHUNK):
                yield ids, encode(model, texts, "document", params.backbone.precision)
                progress.update(len(ids))

    return build_index(vectors(), params.index.factory, layout.index(variant, seed))


def retrieve(params: Params, variant: str, seed: int) -> None:
    """Rank the collection's documents for dev's and test's queries and write the runs."""
    collection, folder = Collection(layout.COLLECTION), layout.runs("retrieval", variant, seed)
    model = models.load(SentenceTransformer, layout.model("retriever", variant, seed))
    index = DenseIndex(layout.index(variant, seed))
    with replacing(folder) as written:
        for split in ("dev", "test"):
            queries = collection.queries(split)
            vectors = encode(model, list(queries.values()), "query", params.backbone.precision)
            run = search_beyond_own(
                partial(index.search, list(queries), vectors),
                params.retrieval.depth,
                collection.own_documents,
            )
            write_run(written / f"{split}.trec", run, tag=layout.key(variant, seed))
