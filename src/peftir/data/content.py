"""What a source gives: documents, queries and judgements as they were read, before they are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from peftir.system.errors import PeftirError

Report = Callable[[str], None]  # what a reader tells a problem to, before it goes on with the next line
Record = TypeVar("Record")


def refuse(problem: str) -> None:
    """The report that ends reading at the first problem.

    Raises:
        PeftirError: always, with ``problem`` as its message.
    """
    raise PeftirError(problem)


class Document(NamedTuple):
    """A document; ``where`` says where it was read (``corpus.jsonl:12``), for messages."""

    id: str
    title: str
    text: str
    where: str = ""


class Query(NamedTuple):
    """A query; its split is the one that judges it."""

    id: str
    text: str
    where: str = ""


class Judgement(NamedTuple):
    """How relevant a document is to a query: 0 is not, more is better."""

    query: str
    document: str
    grade: int
    where: str = ""


@dataclass(frozen=True)
class Again(Generic[Record]):
    """An iterable that reads its file anew each time it is iterated over."""

    read: Callable[[], Iterator[Record]]

    def __iter__(self) -> Iterator[Record]:
        """Start reading from the beginning."""
        return self.read()


@dataclass(frozen=True)
class Content:
    """What a source gives: the parts are read in this order, and need not fit in memory.

    Attributes:
        documents: every document of the corpus; they are read once more if an id comes twice, to say where.
        qrels: the judgements of each split that the source has.
        queries: the queries; those that no split judges are left out.
        origin: what the manifest says about where all this came from, in JSON types.
    """

    documents: Iterable[Document]
    qrels: Mapping[str, Iterable[Judgement]]
    queries: Iterable[Query]
    origin: Mapping[str, Any]
