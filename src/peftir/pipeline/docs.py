"""Prepare a folder of files for searching, without training: ``peftir docs``.

The result is a folder with the parts of a study that ``peftir serve`` reads. What has not changed since the
last time is kept, and so are the vectors of texts that have not changed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path

import numpy as np
import yaml
from sentence_transformers import SentenceTransformer
from tqdm import tqdm

from peftir.data.collection import CORPUS, Collection
from peftir.data.content import Again, Content, Document
from peftir.data.sources.files import files_of, read_files
from peftir.data.sources.markup import READERS
from peftir.data.writing import write_collection
from peftir.models import saving
from peftir.models.biencoder import encode
from peftir.pipeline.backbone import pin
from peftir.pipeline.bm25 import index_words
from peftir.pipeline.given_model import GivenModel, read_model
from peftir.pipeline.new_retriever import new_retriever
from peftir.pipeline.prepared import KnownVectors, Record
from peftir.ranking.dense import build_index
from peftir.study import layout
from peftir.study.identity import identity
from peftir.study.params import Params
from peftir.study.yaml_text import parse_yaml
from peftir.system.errors import PeftirError
from peftir.system.files import replacing

UNTRAINED = "backbone"  # the variant of the retriever if no other is given
CHUNK = 256  # documents between two updates of the progress bar

READING = ("data", "pipeline.docs")
"""Modules that affect the documents."""

ENCODING = ("models", "tuners")
"""Modules that affect the vectors."""

Tell = Callable[[str], None]
Retriever = tuple[str, int | None]
"""Its variant and seed."""


def work_folder(folder: Path) -> Path:
    """Where ``peftir docs FOLDER`` keeps its files by default: under the current folder."""
    place = folder.resolve()
    return Path(".peftir") / f"{place.name}-{blake2b(bytes(place), digest_size=4).hexdigest()}"


def prepare_docs(folder: Path, root: Path, adapter: Path | None, threads: int, tell: Tell) -> Params:
    """Prepare the files of ``folder`` in ``root``, for BM25 and a retriever, and return the params.

    Args:
        folder: has text, Markdown and HTML files, at any depth; nothing is written to it.
        root: the folder to write to, which may exist.
        adapter: the folder of a trained retriever or re-ranker; the backbone retrieves without a retriever.
        threads: for encoding, and for the server.
        tell: called with lines about the progress, and with the problem of each file that is left out.

    Raises:
        PeftirError: ``folder`` has no files to read, or ``adapter`` is no model.
    """
    _check(folder, root)
    given = read_model(adapter) if adapter else None
    params = _params(folder, given, threads)
    with replacing(root / "params.yaml") as partial:
        partial.write_text(yaml.safe_dump(params.model_dump(), sort_keys=False), encoding="utf-8")
    pin(root, params)
    record = Record(root)
    retriever = _place_models(root, params, given, record)
    model = _identity_of(root / layout.model("retriever", *retriever))
    known = _known(root, retriever, model, record)  # before the collection that it is of is replaced
    _write_collection(root, folder, record, tell)
    corpus = Collection(root / layout.COLLECTION).manifest["sha256"][CORPUS]
    if not record.is_current(layout.BM25_INDEX, corpus):
        index_words(root, params)
        record.write(layout.BM25_INDEX, corpus)
    if record.is_current(layout.index(*retriever), [corpus, model]):
        tell("nothing has changed since the last time")
    else:
        _index(root, params, retriever, known)
        record.write(layout.index(*retriever), [corpus, model])
    return params


def _check(folder: Path, root: Path) -> None:
    if not folder.is_dir():
        raise PeftirError(f"{folder}: no such folder; expected one of {', '.join(READERS)} files")
    place, inside = root.resolve(), folder.resolve()
    if place.is_relative_to(inside):
        parts = place.relative_to(inside).parts
        if not any(part.startswith(".") for part in parts):  # hidden ones are not read
            raise PeftirError(f"--into {root}: is in {folder}, whose files are read; name a folder elsewhere")


def _params(folder: Path, given: GivenModel | None, threads: int) -> Params:
    content = parse_yaml((files("peftir.pipeline") / "docs.yaml").read_text(encoding="utf-8"), "docs.yaml")
    content["collection"]["source"] = f"texts:{folder.resolve()}"
    content["threads"] = content["bm25"]["threads"] = threads
    if given:
        for block, settings in given.settings.items():
            content[block] |= settings
        content["methods"][given.variant] = content["methods"].pop("unused")
        content["variants"] |= {"retriever": [given.variant], "reranker": [given.variant]}
        content["seeds"] |= {"retriever": [given.seed], "reranker": [given.seed]}
    return Params.model_validate(content)


def _identity_of(model: Path) -> str:
    return identity([], code=ENCODING, files=sorted(path for path in model.rglob("*") if path.is_file()))


def _place_models(root: Path, params: Params, given: GivenModel | None, record: Record) -> Retriever:
    """Write the models to ``root`` and return the retriever."""
    if given:
        part, source = layout.model(given.stage, given.variant, given.seed), _identity_of(given.folder)
        if not record.is_current(part, source):
            with replacing(root / part) as partial:
                shutil.copytree(given.folder, partial)
            record.write(part, source)
        if given.stage == "retriever":
            return given.variant, given.seed
    part = layout.model("retriever", UNTRAINED, None)
    settings = [params.backbone.model_dump(), params.retriever.model_dump()]
    source = identity(settings, code=ENCODING, files=[root / layout.BACKBONE])
    if not record.is_current(part, source):
        model = new_retriever(root, params)
        saving.attach(model, UNTRAINED, params.methods[UNTRAINED])
        saving.save(model, root / part, params.backbone.name, params.backbone.revision, root)
        record.write(part, source)
    return UNTRAINED, None


def _known(root: Path, retriever: Retriever, model: str, record: Record) -> KnownVectors:
    """The vectors of the last time, if they are of the same model and of the collection that is there."""
    index = layout.index(*retriever)
    if not (root / layout.COLLECTION).is_dir():
        return KnownVectors()
    collection = Collection(root / layout.COLLECTION)
    if not record.is_current(index, [collection.manifest["sha256"][CORPUS], model]):
        return KnownVectors()
    return KnownVectors((text for _, text in collection.texts()), root / index)


def _write_collection(root: Path, folder: Path, record: Record, tell: Tell) -> None:
    problems: dict[str, None] = {}

    def report(problem: str) -> None:
        problems[problem] = None

    def documents() -> Iterator[Document]:
        for file in read_files(folder, report):
            yield from file.documents_by_section()

    listed = files_of(folder, report)
    if not listed:
        raise PeftirError(f"{folder}: has no {', '.join(READERS)} file; expected some")
    facts = [(str(path.relative_to(folder)), *_size_and_time(path)) for path in listed]
    state = identity(facts, code=READING, files=())
    if not record.is_current(layout.COLLECTION, state):
        content = Content(Again(documents), {}, [], {"source": "texts", "place": folder.resolve().name})
        write_collection(root / layout.COLLECTION, content)
        record.write("problems", list(problems))
        record.write(layout.COLLECTION, state)
    for problem in record.read("problems", []):
        tell(f"left out: {problem}")
    count = Collection(root / layout.COLLECTION).count_documents()
    tell(f"{folder}: {len(listed):,} files, {count:,} sections")


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _index(root: Path, params: Params, retriever: Retriever, known: KnownVectors) -> None:
    """Write the dense index, with the vectors that are known and those of the other documents."""
    collection = Collection(root / layout.COLLECTION)
    model = saving.load(SentenceTransformer, root / layout.model("retriever", *retriever), root)
    count = collection.count_documents()

    def chunks() -> Iterator[tuple[list[str], np.ndarray]]:
        with tqdm(total=count, desc="encoding", unit="section") as progress:
            for ids, texts in collection.text_chunks(CHUNK):
                new = [text for text in texts if text not in known]
                vectors = encode(model, new, "document", params.backbone.precision)
                encoded = dict(zip(new, vectors, strict=True))
                yield ids, np.stack([encoded[text] if text in encoded else known[text] for text in texts])
                progress.update(len(ids))

    factory, folder = params.index.factory, root / layout.index(*retriever)
    build_index(chunks(), factory, folder, count=count, sample=params.index.train_sample)
