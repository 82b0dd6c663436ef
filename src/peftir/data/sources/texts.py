"""The source ``texts:<place>``: documents only, with queries extracted from them as in ``pydocs``.

The place is a ``.jsonl`` file, plain or gzipped, with ``_id``, ``text`` and, optionally, ``title``; or a
folder of text, Markdown and HTML files, at any depth, whose ids are their paths. The query is the document's
title if suitable, or else its first sentence; it is removed from the document. Documents without a suitable
query are kept unchanged, as non-relevant documents for the other queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from peftir.data.collection import SPLITS
from peftir.data.content import Again, Content, Document, Judgement, Query, Report, refuse
from peftir.data.hashing import point
from peftir.data.ids import KnownIds
from peftir.data.sources.files import read_files
from peftir.data.sources.jsonl import documents_of
from peftir.data.sources.markup import READERS
from peftir.data.sources.pairs import LEAST_DOCUMENT_WORDS, Pair, cut_pair, query_id, sensible, words
from peftir.data.splits import split_of
from peftir.system.errors import PeftirError

TITLE_WORDS = range(2, 31)


def read(place: str, documents: int | None, shares: Mapping[str, float], report: Report = refuse) -> Content:
    """Read texts and extract queries from them.

    Args:
        place: a file or a folder.
        documents: number of documents, ``None`` for all; those with the lowest hashes of their ids are taken.
        shares: share of the queries by split.
        report: called with each problem, when it is read.

    Raises:
        PeftirError: ``place`` does not exist, or ``documents`` is larger than the number of documents.
    """
    path = Path(place)
    if not place or not (path.is_dir() or path.name.endswith((".jsonl", ".jsonl.gz"))):
        raise PeftirError(
            f"collection.source: is 'texts:{place}'; expected texts:FOLDER, of text, Markdown and HTML files "
            f"({', '.join(READERS)}), or texts:FILE.jsonl"
        )
    texts = Again(lambda: _of_files(path, report) if path.is_dir() else documents_of(path, report))
    if documents is not None:
        texts = _subset(texts, documents)
    pairs = Again(partial(_pairs, texts, _words_of(texts)))
    if next((pair for _, pair in pairs if pair), None) is None:
        report(
            f"{path}: no text has a title or a first sentence that could be its query, and at least "
            f"{LEAST_DOCUMENT_WORDS} words after it; expected some"
        )
    return Content(
        documents=Again(lambda: (_left_over(document, pair) for document, pair in pairs)),
        qrels={split: Again(partial(_judgements, pairs, split, shares)) for split in SPLITS},
        queries=Again(
            lambda: (Query(query_id(pair.id), pair.query, text.where) for text, pair in pairs if pair)
        ),
        origin={"source": "texts", "place": path.resolve().name},
    )


def _of_files(folder: Path, report: Report) -> Iterator[Document]:
    return (file.document() for file in read_files(folder, report))


def _subset(texts: Again[Document], documents: int) -> Again[Document]:
    points = np.fromiter((point(f"subset {text.id}") for text in texts), dtype=np.float64)
    if documents > len(points):
        raise PeftirError(
            f"collection.documents: is {documents}; expected at most {len(points)}, or null for all"
        )
    highest = np.partition(points, documents - 1)[documents - 1]
    return Again(lambda: (text for text in texts if point(f"subset {text.id}") <= highest))


def _cut(text: Document) -> Pair | None:
    titled = Pair(text.id, text.title.strip(), text.text)
    return sensible(titled, TITLE_WORDS) or cut_pair(text.id, text.text)


def _words_of(texts: Again[Document]) -> tuple[KnownIds, KnownIds]:
    """The words of all queries and of their documents, to detect repeated ones."""
    queries, documents = KnownIds(), KnownIds()
    for pair in map(_cut, texts):
        if pair is not None:
            queries.add(words(pair.query))
            documents.add(words(pair.document))
    return queries, documents


def _pairs(
    texts: Again[Document], known: tuple[KnownIds, KnownIds]
) -> Iterator[tuple[Document, Pair | None]]:
    """Yield each text with its pair, or ``None`` if :func:`peftir.data.sources.pairs.sound` leaves it out."""
    queries, documents = known
    for text in texts:
        pair = _cut(text)
        if pair is not None:
            query, document = words(pair.query), words(pair.document)
            if queries.count(query) > 1 or documents.count(document) > 1 or query in document:
                pair = None
        yield text, pair


def _left_over(text: Document, pair: Pair | None) -> Document:
    return text if pair is None else Document(text.id, "", pair.document, text.where)


def _judgements(
    pairs: Again[tuple[Document, Pair | None]], split: str, shares: Mapping[str, float]
) -> Iterator[Judgement]:
    for text, pair in pairs:
        if pair is not None and split_of(pair.id, shares) == split:
            yield Judgement(query_id(pair.id), pair.id, 1, text.where)
