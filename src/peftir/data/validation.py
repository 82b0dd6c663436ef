"""Checks all that a source gives, on its way to wherever it is streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from peftir.data import ids
from peftir.data.collection import SPLITS, full_text
from peftir.data.content import Content, Document, Judgement, Query, Report, refuse
from peftir.data.ids import KnownIds, short
from peftir.data.splits import Folds

TRAINED_ON = ("train", "dev")  # the splits that are of no use without a relevant document
MOST_GRADE = 1_000_000  # trec_eval counts documents by grade, in a list that is as long as the highest
MOST_CHARACTERS = 20_000_000  # of a document, in UTF-16: the longest text that Anserini reads


class Validation:
    """Passes on what is right of a source's content, reports the rest, and counts.

    The documents are read first, then the judgements of every split, then the queries. Memory holds eight
    bytes per document, the ids of the queries and one split's judgements.

    Reported are: an id that comes twice or that :func:`peftir.data.ids.problem` has something against; a
    judged query that has no text or is judged in two splits; a grade that is not a whole number from 0, or is
    very high; a judgement that names an unknown document or query, comes twice or, with ``own_documents``, is
    of the query itself; a text that is not Unicode, or longer than Anserini takes; no documents; a split that
    the source has and that has no judgements, or none of relevance where that is needed. Counted are
    documents without text, which are passed on, so that judgements of them stay valid, and queries that no
    split judges, which are not.

    Args:
        content: what the source gives.
        own_documents: see :func:`peftir.data.prepare.prepare`.
        report: what is told of each problem; what is wrong is then left out.
        reported: how many problems have been reported, by the source's readers too. Where some are of
            documents, or of queries, judgements of unknown ones most likely follow from them, and are
            reported together.
    """

    def __init__(
        self,
        content: Content,
        own_documents: bool,
        report: Report = refuse,
        reported: Callable[[], int] = lambda: 0,
    ) -> None:
        self._content, self._own, self._report, self._reported = content, own_documents, report, reported
        self._some_unread = False  # documents
        self._ids = KnownIds()
        self._judged: dict[str, tuple[str, str]] = {}  # query: its split, and where it is first judged
        self._relevant: set[str] = set()  # queries with a relevant document
        self._empty = self._unjudged = 0
        self._splits: dict[str, dict[str, int]] = {}

    def documents(self) -> Iterator[Document]:
        """The documents; one that repeats an id is passed on, and reported at the end."""
        for number, document in enumerate(self._content.documents, start=1):
            where = document.where or f"document {number}"
            if self._sound_id(document.id, where) and self._sound_document(document):
                self._ids.add(document.id)
                self._empty += not full_text(document.title, document.text)
                yield document
        if not len(self._ids):
            self._report("the source has no documents; expected some")
        if self._ids.repeats():
            self._report_repeated()
        self._some_unread = self._reported() > 0

    def _report_repeated(self) -> None:
        first: dict[str, str] = {}
        for number, document in enumerate(self._content.documents, start=1):
            where = document.where or f"document {number}"
            if self._ids.count(document.id) < 2:
                continue
            if document.id in first:
                self._report(
                    f"{where}: has the id {short(document.id)} of {first[document.id]}; ids must differ"
                )
            first.setdefault(document.id, where)

    def judgements(self, split: str) -> Iterator[Judgement]:
        """The judgements of ``split``; none if the source does not have it."""
        relevant: dict[str, bool] = {}
        pairs: set[tuple[str, str]] = set()
        unknown: list[str] = []
        for number, judgement in enumerate(self._content.qrels.get(split, ()), start=1):
            where = judgement.where or f"{split} judgement {number}"
            problem = self._problem(judgement, split, pairs)
            query, document, grade, _ = judgement
            if problem is None and document not in self._ids:
                unknown.append(f"{where}: judges document {short(document)}, which is not in the corpus")
                if not self._some_unread:
                    self._report(unknown[-1])
                continue
            if problem:
                self._report(f"{where}: {problem}")
                continue
            self._judged.setdefault(query, (split, where))
            pairs.add((query, document))
            relevant[query] = relevant.get(query, False) or grade > 0
            yield judgement
        if self._some_unread:
            self._report_together(unknown, f"judgements of {split}", "documents")
        self._relevant.update(query for query, some in relevant.items() if some)
        if split in self._content.qrels:
            if not pairs:
                self._report(
                    f"{split}: has no judgements; expected some: give it a larger share in "
                    "collection.splits, take more documents, or fill its file"
                )
            elif split in TRAINED_ON and not any(relevant.values()):
                self._report(f"{split}: no query has a relevant document (a grade above 0); expected some")
        self._splits[split] = {
            "queries": len(relevant),
            "judgements": len(pairs),
            "queries_without_relevant": sum(not some for some in relevant.values()),
        }

    def folds(self, folds: Folds) -> list[dict[str, str]]:
        """The split of each judged query in each fold, once the judgements have been read.

        Reported are fewer queries than folds, and a fold without anything relevant to train on or choose by.
        """
        if len(self._judged) < folds.count:
            self._report(
                f"collection.folds: {folds.count}: the source has {len(self._judged)} judged queries; "
                "expected as many as folds at least: take fewer folds, or judge more queries"
            )
            return []
        splits = folds.splits(self._judged)
        for fold, split_of in enumerate(splits, start=1):
            for split in TRAINED_ON:
                if not any(split_of[query] == split for query in self._relevant):
                    self._report(
                        f"collection.folds: {folds.count}: no {split} query of fold {fold} has a relevant "
                        "document (a grade above 0); expected some: take another number of folds, give "
                        f"{split} a larger share in collection.splits, or judge more queries"
                    )
        return splits

    def _problem(self, judgement: Judgement, split: str, pairs: set[tuple[str, str]]) -> str | None:
        query, document, grade, _ = judgement
        if not isinstance(grade, int) or not 0 <= grade <= MOST_GRADE:
            return f"the grade is {grade!r:.40}; expected a whole number from 0 to {MOST_GRADE:,}"
        if (query, document) in pairs:
            return f"judges document {short(document)} for query {short(query)} a second time"
        if self._own and query == document:
            return (
                f"judges query {short(query)} itself, which collection.own_documents leaves out of rankings"
            )
        other = self._judged.get(query, (split, ""))[0]
        return (
            None if other == split else f"query {short(query)} is judged in {other} too; expected one split"
        )

    def queries(self) -> Iterator[tuple[Query, str]]:
        """The judged queries, each with its split; those that no split judges are left out and counted."""
        seen: set[str] = set()
        before = self._reported()
        for number, query in enumerate(self._content.queries, start=1):
            if not self._sound_id(query.id, query.where or f"query {number}"):
                continue
            where = query.where or f"query {short(query.id)}"
            if query.id in seen:
                self._report(f"{where}: the id {short(query.id)} comes a second time; ids must differ")
                continue
            seen.add(query.id)
            if query.id not in self._judged:
                self._unjudged += 1
            elif not query.text.strip():
                self._report(f"{where}: the query {short(query.id)} is judged but has no text; expected some")
            elif self._unicode(where, query.text):
                yield query, self._judged[query.id][0]
        unknown = [
            f"{where}: judges query {short(id)}, which is not among the queries"
            for id, (_, where) in self._judged.items()
            if id not in seen
        ]
        if self._reported() > before:
            self._report_together(unknown, "judged queries", "queries")
        else:
            for problem in unknown:
                self._report(problem)

    def counts(self) -> dict[str, Any]:
        """What the manifest says of documents, queries and judgements, once all have been read."""
        return {
            "documents": len(self._ids),
            "empty_documents": self._empty,
            "splits": {split: self._splits[split] for split in SPLITS},
            "queries_without_judgement": self._unjudged,
        }

    def _report_together(self, problems: list[str], what: str, of: str) -> None:
        """Report the first of ``problems``, and how many more there are."""
        if problems:
            more = f"; likewise {len(problems) - 1:,} more {what}: mend the {of} named above first"
            self._report(problems[0] + (more if len(problems) > 1 else ""))

    def _sound_id(self, id: str, where: str) -> bool:
        problem = ids.problem(id)
        if problem:
            self._report(f"{where}: {problem}")
        return problem is None

    def _sound_document(self, document: Document) -> bool:
        where = document.where or f"document {short(document.id)}"
        if not self._unicode(where, document.title, document.text):
            return False
        text = full_text(document.title, document.text)
        # No character is more than two of UTF-16's.
        if len(text) > MOST_CHARACTERS / 2 and len(text.encode("utf-16-le")) / 2 > MOST_CHARACTERS:
            self._report(
                f"{where}: the document has {len(text):,} characters; expected {MOST_CHARACTERS:,} at most: "
                "divide it into several"
            )
            return False
        return True

    def _unicode(self, where: str, *texts: str) -> bool:
        for text in texts:
            try:
                text.encode()
            except UnicodeEncodeError as error:
                self._report(f"{where}: character {error.start} of a text is half a surrogate pair")
                return False
        return True
