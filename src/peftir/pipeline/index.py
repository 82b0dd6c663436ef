"""Index the documents: encode them with a trained retriever and build a faiss index.

Where queries alone are tuned, all retrievers have the same document vectors. Their index is built once, by
the stage that needs it first, and has hard links in the folders of the others.
"""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from pathlib import Path

from sentence_transformers import SentenceTransformer

from peftir.data.collection import CORPUS, Collection
from peftir.models import manifest, saving
from peftir.models.precision import processor
from peftir.pipeline.encode import CODE, encode_collection
from peftir.ranking.dense import build_index, new_index
from peftir.study import layout
from peftir.study.identity import identity
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.system.files import locked, remove, replacing
from peftir.system.threads import use_threads
from peftir.training.distributed import broadcast, rank


def index_documents(
    root: Path, params: Params, variant: str, seed: Seed | None, test: str | None = None
) -> int:
    """Encode the collection, or the test set ``test``, into a new index; return its number of documents.

    Vectors of a large collection are kept beside the index's folder until the index is written. The processes
    of a group share the encoding; rank 0 builds the index, and holds the lock of a shared one.
    """
    collection = Collection(root / layout.of(test, layout.COLLECTION))
    folder = root / layout.of(test, layout.index(variant, seed))
    model_folder = root / layout.model("retriever", variant, seed)
    if params.retriever.tune != "query":
        shards = folder.with_name(f"{folder.name}.shards")
        return _build(root, params, collection, model_folder, folder, shards)
    store = root / layout.of(test, layout.SHARED_INDEX)
    shared, shards = store / _identity(params, collection, model_folder), store / "shards"
    with locked(store / "lock") if rank() == 0 else nullcontext():
        if not broadcast(lambda: float(shared.is_dir())):
            if rank() == 0:
                for outdated in set(store.glob("*/")) - {shards}:
                    remove(outdated)
            _build(root, params, collection, model_folder, shared, shards)
        if rank() == 0:
            with replacing(folder) as partial:
                shutil.copytree(shared, partial, copy_function=_link)
    return collection.count_documents()


def _build(
    root: Path, params: Params, collection: Collection, model_folder: Path, folder: Path, shards: Path
) -> int:
    """Encode ``collection`` into an index in ``folder``; return its number of documents."""
    model = saving.load(SentenceTransformer, model_folder, root)
    new_index(params.index.factory, model.get_embedding_dimension() or 0)  # fail early if it is invalid
    vectors = encode_collection(
        collection,
        model,
        model_folder,
        shards,
        precision=params.backbone.precision,
    )
    if rank() > 0:
        return collection.count_documents()
    use_threads(params.threads)  # the other processes have ended
    indexed = build_index(
        vectors,
        params.index.factory,
        folder,
        count=collection.count_documents(),
        sample=params.index.train_sample,
    )
    remove(shards)
    return indexed


def _identity(params: Params, collection: Collection, model_folder: Path) -> str:
    """The identity of all that an index of the untouched backbone's vectors depends on."""
    recorded = manifest.read(model_folder)
    output = {key: value for key, value in recorded["output"].items() if key != "tune"}
    facts = [
        [collection.manifest["sha256"][CORPUS], params.backbone.precision, processor()],
        [recorded["backbone"]["sha256"], recorded["weights"], recorded["tokens"], output],
        [params.index.factory, params.index.train_sample],
    ]
    prompts = model_folder / "config_sentence_transformers.json"
    return identity(facts, code=[*CODE, "pipeline.index", "ranking.dense"], files=[prompts])


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(source, target)
