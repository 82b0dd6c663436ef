"""Index the documents: encode them with a trained retriever and build a faiss index."""

from __future__ import annotations

from pathlib import Path

from sentence_transformers import SentenceTransformer

from peftir.data.collection import Collection
from peftir.models import saving
from peftir.pipeline.encode import encode_collection
from peftir.ranking.dense import build_index, new_index
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.system.files import remove


def index_documents(
    root: Path, params: Params, variant: str, seed: Seed | None, test: str | None = None
) -> int:
    """Encode the collection, or the test set ``test``, into a new index; return its number of documents.

    Vectors of a large collection are kept beside the index's folder until the index is written.
    """
    collection = Collection(root / layout.of(test, layout.COLLECTION))
    folder = root / layout.of(test, layout.index(variant, seed))
    shards = folder.with_name(f"{folder.name}.shards")
    model_folder = root / layout.model("retriever", variant, seed)
    model = saving.load(SentenceTransformer, model_folder, root)
    new_index(params.index.factory, model.get_embedding_dimension() or 0)  # fail early if it is invalid
    vectors = encode_collection(
        collection,
        model,
        model_folder,
        root,
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
