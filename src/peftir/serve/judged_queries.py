"""The queries with judgements: the study's test queries, and those of its test sets on the same documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peftir.data.collection import Collection
from peftir.study import layout
from peftir.study.params import Params

OWN = "Test queries"
"""The title of the study's own."""


@dataclass(frozen=True)
class JudgedQuery:
    """A query whose text is known.

    Attributes:
        document: the id of the document that is the query itself and left out of its ranking; empty if none.
        grades: the judgements of documents by id.
    """

    document: str
    grades: dict[str, int]


class JudgedQueries:
    """The judged queries of the study in ``root``, by text.

    Of a text that several sets have, the judgements are those of the first: the study's own come first, then
    the test sets in the order of ``params.yaml``. A test set with documents of its own has no part in it.

    Attributes:
        sets: the texts of the queries by id, for each set by its title.
    """

    def __init__(self, root: Path, params: Params) -> None:
        self.sets: dict[str, dict[str, str]] = {}
        self._by_text: dict[str, JudgedQuery] = {}
        self._add(OWN, Collection(root / layout.COLLECTION))
        for name, test in params.tests.items():
            folder = root / layout.of(name, layout.COLLECTION)
            if test.corpus == "same" and folder.is_dir():
                self._add(f"{OWN} of {name}", Collection(folder))

    def get(self, text: str) -> JudgedQuery | None:
        """The query with this text, if there is one."""
        return self._by_text.get(text)

    def _add(self, title: str, collection: Collection) -> None:
        qrels, queries = collection.qrels("test"), collection.queries("test")
        self.sets[title] = queries
        for id, text in queries.items():
            document = id if collection.own_documents else ""
            self._by_text.setdefault(text, JudgedQuery(document, qrels.get(id, {})))
