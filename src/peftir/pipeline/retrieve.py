"""Dense retrieval: encode the queries with a trained retriever and search its index."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sentence_transformers import SentenceTransformer

from peftir.data.collection import Collection
from peftir.models import saving
from peftir.models.biencoder import encode
from peftir.ranking.dense import DenseIndex
from peftir.ranking.runs import search_excluding_own, write_run
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed, fold_of
from peftir.system.files import replacing


def retrieve(root: Path, params: Params, variant: str, seed: Seed | None) -> None:
    """Retrieve documents for the dev and test queries, of the seed's fold if any, and write the runs."""
    collection = Collection(root / layout.COLLECTION, fold_of(seed))
    index, folder = layout.index(variant, seed), layout.runs("retrieval", variant, seed)
    rank_queries(root, params, variant, seed, collection, ("dev", "test"), index, folder)


def rank_queries(
    root: Path,
    params: Params,
    variant: str,
    seed: Seed | None,
    collection: Collection,
    splits: Sequence[str],
    index_folder: Path,
    folder: Path,
) -> None:
    """Rank the documents of an index for the queries of ``splits``, and write their runs to ``folder``.

    Args:
        root: the study's folder, which ``index_folder`` and ``folder`` are relative to.
        params: the study's settings.
        variant: the retriever's variant.
        seed: the retriever's seed.
        collection: has the queries.
        splits: of ``collection``.
        index_folder: an index of this retriever.
        folder: where the runs go.
    """
    model = saving.load(SentenceTransformer, root / layout.model("retriever", variant, seed), root)
    index = DenseIndex(root / index_folder, params.retrieval.search_parameters)
    with replacing(root / folder) as written:
        for split in splits:
            queries = collection.queries(split)
            if not queries:  # such as dev in a cross-validation, for a model without a fold
                write_run(written / f"{split}.trec", {}, tag=layout.key(variant, seed))
                continue
            vectors = encode(model, list(queries.values()), "query", params.backbone.precision)
            run = search_excluding_own(
                partial(index.search, list(queries), vectors),
                params.retrieval.depth,
                collection.own_documents,
            )
            write_run(written / f"{split}.trec", run, tag=layout.key(variant, seed))
