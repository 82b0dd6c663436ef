"""Mining: rank the documents for the train queries with a trained retriever, for negatives.

The ranking has the retriever's similarity of each document, also of relevant documents further down. If
wanted, its documents are the best of the retriever's and of BM25's ranking in turns. What is likely to be
relevant is left out in training, by these scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from peftir.data.collection import Collection
from peftir.models import saving
from peftir.models.biencoder import encode
from peftir.pipeline.encode import Chunk, encode_collection
from peftir.pipeline.named import block_of
from peftir.pipeline.train_candidates import train_candidates, write_ranking
from peftir.ranking.dense import DenseIndex, build_index, new_index
from peftir.ranking.runs import search_excluding_own
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.files import remove
from peftir.training.distributed import rank

PAIRS = 65_536  # pairs of a query and a document whose products are in memory at a time


def mine(root: Path, params: Params, name: str) -> int:
    """Write the ranking of ``mining.NAME``; gives the number of its queries.

    The processes of a group share the encoding of the documents; rank 0 does the rest.
    The index is searched for ``depth`` documents a query. All scores are inner products of the vectors
    themselves, whatever the index approximates.
    """
    mined = block_of("mining", params.mining, name)
    collection = Collection(root / layout.COLLECTION)
    qrels, texts = collection.qrels("train"), collection.queries("train")
    model_folder, work = root / layout.miner_paths(name).model, root / "data/mining" / name
    model = saving.load(SentenceTransformer, model_folder, root)
    new_index(params.index.factory, model.get_embedding_dimension() or 0)  # fail early if it is invalid
    queries = [query for query, grades in qrels.items() if any(grade > 0 for grade in grades.values())]
    vectors = encode_collection(
        collection, model, model_folder, work / "shards", precision=params.backbone.precision
    )
    if rank() > 0:
        return len(queries)
    query_vectors = encode(model, [texts[query] for query in queries], "query", params.backbone.precision)
    build_index(
        vectors,
        params.index.factory,
        work / "index",
        count=collection.count_documents(),
        sample=params.index.train_sample,
    )
    index = DenseIndex(work / "index", params.retrieval.search_parameters)
    hits = search_excluding_own(
        partial(index.search, queries, query_vectors), mined.depth, collection.own_documents
    )
    dense = {query: [document for document, _ in ranking] for query, ranking in hits}
    bm25 = root / layout.BM25_RUNS / "train.trec"
    candidates = train_candidates(bm25, qrels, mined.depth if mined.with_bm25 else 0, dense)
    scores = _similarities(collection, candidates, query_vectors, vectors)
    scored = (
        (query, list(zip(documents, values.tolist(), strict=True)))
        for (query, documents), values in zip(candidates.items(), scores, strict=True)
    )
    write_ranking(root / layout.negatives(f"mining/{name}"), scored, name)
    remove(work)
    return len(candidates)


def _similarities(
    collection: Collection,
    candidates: dict[str, list[str]],
    query_vectors: NDArray[np.float32],
    vectors: Iterable[Chunk],
) -> Iterator[NDArray[np.float32]]:
    """The inner products of each query with its documents.

    Args:
        collection: has the documents, in the order of ``vectors``.
        candidates: the documents of each query.
        query_vectors: ``[queries, d]``, in the order of ``candidates``.
        vectors: of all documents.
    """
    counts = [len(documents) for documents in candidates.values()]
    encoded = pa.array(chain.from_iterable(candidates.values()), pa.string()).dictionary_encode()
    rows = collection.row_numbers(encoded.dictionary)[encoded.indices.to_numpy()]
    owners = np.repeat(np.arange(len(counts)), counts)
    order = np.argsort(rows, kind="stable")
    scores, start = np.empty(len(rows), np.float32), 0
    for ids, chunk in vectors:
        first, last = np.searchsorted(rows, (start, start + len(ids)), sorter=order)
        for begin in range(first, last, PAIRS):
            pairs = order[begin : min(begin + PAIRS, last)]
            scores[pairs] = np.einsum("pd,pd->p", query_vectors[owners[pairs]], chunk[rows[pairs] - start])
        start += len(ids)
    yield from np.split(scores, np.cumsum(counts)[:-1])
