"""Validate the content of a source while it is streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from peftir.data import ids
from peftir.data.collection import SPLITS, full_text
from peftir.data.content import Content, Document, Judgement, Query, Report, refuse
from peftir.data.ids import KnownIds, short
from peftir.data.splits import Folds

TRAINED_ON = ("train", "dev")  # splits that need at least one relevant document
MOST_GRADE = 1_000_000  # trec_eval allocates a list as long as the highest grade
MOST_CHARACTERS = 20_000_000  # of a document, in UTF-16 code units: Anserini's maximum


class Validation:
    """Yield the valid parts of a source's content, report the others, and count.

    Call :meth:`documents` first, then :meth:`judgements` for every split, then :meth:`queries`. Memory holds
    eight bytes per document, the ids of the queries and one split's judgements.

    These problems are reported: an id that is repeated or invalid (:func:`peftir.data.ids.problem`); a judged
    query without text or judged in two splits; a grade that is no integer from 0 to ``MOST_GRADE``; a
    judgement that is repeated, of an unknown document or query or, with ``own_documents``, of the query
    itself; a text that is not Unicode or too long for Anserini; no documents; a split without judgements, or
    without a relevant document where one is needed. Documents without text are counted and kept, so that
    their judgements stay valid. Queries without judgements are counted and left out.

    Args:
        content: the content of the source.
        own_documents: see :func:`peftir.data.prepare.prepare`.
        report: called with each problem; the invalid part is then left out.
        reported: returns the number of problems so far, including those of the source's readers. After
            problems with documents or queries, judgements of unknown ones are reported together, since they
            are most likely consequences.
    """

    def __init__(
        self,
        content: Content,
        own_documents: bool,
        report: Report = refuse,
        reported: Callable[[], int] = lambda: 0,
    ) -> None:
        self._content, self._own, self._report, self._reported = content, own_documents, report, reported
        self._some_unread = False  # whether documents had problems
        self._ids = KnownIds()
        self._judged: dict[str, tuple[str, str]] = {}  # split and place of the first judgement, by query
        self._relevant: set[str] = set()  # queries with a relevant document
        self._empty = self._unjudged = 0
        self._splits: dict[str, dict[str, int]] = {}

    def documents(self) -> Iterator[Document]:
        """Yield the documents; repeated ids are reported at the end, and their documents kept."""
        for number, document in enumerate(self._content.documents, start=1):
            where = document.where or f"document {number}"
            if self._has_valid_id(document.id, where) and self._is_valid_document(document):
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
        """Yield the judgements of ``split``; none if the source lacks the split."""
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
        """The split of each judged query, by fold; call it after :meth:`judgements`.

        Reported are fewer queries than folds, and a fold whose train or dev split has no relevant document.
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
                if not any(split_of.get(query) == split for query in self._relevant):
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
        """Yield the judged queries with their splits; other queries are counted and left out."""
        seen: set[str] = set()
        before = self._reported()
        for number, query in enumerate(self._content.queries, start=1):
            if not self._has_valid_id(query.id, query.where or f"query {number}"):
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
        """The manifest's counts of documents, queries and judgements, after all have been read."""
        return {
            "documents": len(self._ids),
            "empty_documents": self._empty,
            "splits": {split: self._splits[split] for split in SPLITS},
            "queries_without_judgement": self._unjudged,
        }

    def _report_together(self, problems: list[str], what: str, cause: str) -> None:
        """Report the first of ``problems`` and the number of the others."""
        if problems:
            more = f"; likewise {len(problems) - 1:,} more {what}: mend the {cause} named above first"
            self._report(problems[0] + (more if len(problems) > 1 else ""))

    def _has_valid_id(self, id: str, where: str) -> bool:
        problem = ids.problem(id)
        if problem:
            self._report(f"{where}: {problem}")
        return problem is None

    def _is_valid_document(self, document: Document) -> bool:
        where = document.where or f"document {short(document.id)}"
        if not self._unicode(where, document.title, document.text):
            return False
        text = full_text(document.title, document.text)
        # A character has at most two UTF-16 code units.
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
