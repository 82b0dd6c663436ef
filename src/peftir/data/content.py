"""The content of a source: documents, queries and judgements before validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from peftir.system.errors import PeftirError

Report = Callable[[str], None]  # called with each problem; reading then continues with the next line
Record = TypeVar("Record")


def refuse(problem: str) -> None:
    """Report that stops reading at the first problem.

    Raises:
        PeftirError: always, with ``problem`` as its message.
    """
    raise PeftirError(problem)


class Document(NamedTuple):
    """A document; ``where`` is its place in the source (``corpus.jsonl:12``), for messages."""

    id: str
    title: str
    text: str
    where: str = ""


class Query(NamedTuple):
    """A query; its split is the one with its judgements."""

    id: str
    text: str
    where: str = ""


class Judgement(NamedTuple):
    """The relevance grade of a document for a query; 0 is not relevant."""

    query: str
    document: str
    grade: int
    where: str = ""


@dataclass(frozen=True)
class Again(Generic[Record]):
    """An iterable that can be iterated over several times: each time it reads its file again."""

    read: Callable[[], Iterator[Record]]

    def __iter__(self) -> Iterator[Record]:
        """Read from the beginning."""
        return self.read()


@dataclass(frozen=True)
class Content:
    """The content of a source; its parts are read in this order and may be larger than memory.

    Attributes:
        documents: all documents; iterated over a second time if an id is repeated, to report its places.
        qrels: the judgements by split.
        queries: the queries; those without judgements are left out.
        origin: the manifest's entry about the source, in JSON types.
    """

    documents: Iterable[Document]
    qrels: Mapping[str, Iterable[Judgement]]
    queries: Iterable[Query]
    origin: Mapping[str, Any]
