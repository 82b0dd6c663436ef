"""Queries cut from the documents themselves, so that a corpus without judgements can be tuned on.

A query is a title or a first sentence, and the one relevant document is what it was cut from: sparse
judgements, about one a query, as in MS MARCO.
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
    """A query and the document that it was cut from; ``id`` is the document's."""

    id: str
    query: str
    document: str


def query_id(id: str) -> str:
    """The id of the query cut from the document ``id``; it differs, since the query is not a document."""
    return f"summary:{id}"


def cut_pair(id: str, text: str) -> Pair | None:
    """Cut the first sentence from a text; ``None`` if the two would make no sense to someone who searches."""
    halves = cut(text)
    return None if halves is None else sensible(Pair(id, *halves))


def sensible(pair: Pair, query_words: range = QUERY_WORDS) -> Pair | None:
    """``pair``, unless its query or its document is too short or too long, or its query no whole sentence."""
    query, document = pair.query, pair.document
    if (
        len(query.split()) not in query_words
        or len(document.split()) < LEAST_DOCUMENT_WORDS
        or not (query[0].isalnum() or query[0] in "('")
        or query.endswith((":", ","))  # it goes on in what follows
    ):
        return None
    return pair


def sound(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs whose query stands for their document alone, and does not stand in it.

    A query or a document that several pairs share, compared by words, leaves all of them out.
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
    """The words of a text in lower case, each between spaces."""
    found = re.findall(r"\w+", text.casefold())
    return f" {' '.join(found)} "
