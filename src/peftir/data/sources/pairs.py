"""Queries extracted from the documents, for training on a corpus without judgements.

A query is a title or a first sentence. Its only relevant document is the rest of the text: sparse judgements,
about one per query, as in MS MARCO.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from peftir.data.sources.docstrings import cut

QUERY_WORDS = range(4, 31)
LEAST_DOCUMENT_WORDS = 20


class Pair(NamedTuple):
    """A query and the document from which it was extracted; ``id`` is the document's."""

    id: str
    query: str
    document: str


def query_id(id: str) -> str:
    """The id of the query extracted from the document ``id``."""
    return f"summary:{id}"


def cut_pair(id: str, text: str) -> Pair | None:
    """Split a text into its first sentence, the query, and the rest; ``None`` if they are unsuitable."""
    halves = cut(text)
    return None if halves is None else sensible(Pair(id, *halves))


def sensible(pair: Pair, query_words: range = QUERY_WORDS) -> Pair | None:
    """``pair``; ``None`` if its query or document is too short or long, or its query is no whole sentence."""
    query, document = pair.query, pair.document
    if (
        len(query.split()) not in query_words
        or len(document.split()) < LEAST_DOCUMENT_WORDS
        or not (query[0].isalnum() or query[0] in "('")
        or query.endswith((":", ","))  # the sentence continues
    ):
        return None
    return pair


def sound(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs whose query belongs to one document only and is not contained in it.

    Pairs that share a query or a document, compared by words, are all left out.
    """
    pairs = list(pairs)
    queries = [words(pair.query) for pair in pairs]
    documents = [words(pair.document) for pair in pairs]
    query_count, document_count = Counter(queries), Counter(documents)
    return [
        pair
        for pair, query, document in zip(pairs, queries, documents, strict=True)
        if query_count[query] == 1 and document_count[document] == 1 and query not in document
    ]


def words(text: str) -> str:
    """The words of a text in lower case, each surrounded by spaces."""
    found = re.findall(r"\w+", text.casefold())
    return f" {' '.join(found)} "
