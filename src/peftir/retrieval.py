"""Dense retrieval with a trained retriever: documents into an index, queries against it."""

from __future__ import annotations

from functools import partial

from sentence_transformers import SentenceTransformer

from peftir import layout, models
from peftir.biencoder import encode
from peftir.collections.base import Collection
from peftir.dense import DenseIndex, build_index, new_index
from peftir.encoding import encode_collection
from peftir.files import remove, replacing
from peftir.params import Params
from peftir.runs import search_beyond_own, write_run
from peftir.seeds import Seed, draw


def index_documents(params: Params, variant: str, seed: Seed) -> int:
    """Encode the collection into a new index; gives the number of documents in it.

    Where the vectors of a large collection are kept until the index is written is beside the index's folder.
    """
    collection, folder = Collection(layout.COLLECTION), layout.index(variant, seed)
    shards = folder.with_name(f"{folder.name}.shards")
    model_folder = layout.model("retriever", variant, seed)
    model = models.load(SentenceTransformer, model_folder)
    new_index(params.index.factory, model.get_embedding_dimension() or 0)  # a wrong one fails at once
    vectors = encode_collection(
        collection,
        model,
        model_folder,
        shards,
        precision=params.backbone.precision,
        processes=params.index.processes,
    )
    indexed = build_index(
        vectors,
        params.index.factory,
        folder,
        count=collection.count_documents(),
        sample=params.index.train_sample,
    )
    remove(shards)
    return indexed


def retrieve(params: Params, variant: str, seed: Seed) -> None:
    """Rank the collection's documents for dev's and test's queries, the seed's fold's, and write the runs."""
    collection = Collection(layout.COLLECTION, draw(seed).fold)
    folder = layout.runs("retrieval", variant, seed)
    model = models.load(SentenceTransformer, layout.model("retriever", variant, seed))
    index = DenseIndex(layout.index(variant, seed), params.retrieval.search_parameters)
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
