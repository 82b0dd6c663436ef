"""Read a source completely and collect its statistics and problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tqdm import tqdm

from peftir.data.check.findings import Findings, Replaced, Split
from peftir.data.check.lengths import Ruler, Sample, lengths_of
from peftir.data.collection import SPLITS, full_text
from peftir.data.content import Content, Document
from peftir.data.ids import KnownIds, short
from peftir.data.prepare import read_source
from peftir.data.sources.pairs import words
from peftir.data.splits import Folds, HeldOut, sizes
from peftir.data.testsets import named_after, open_test_set
from peftir.data.validation import Validation
from peftir.system.errors import PeftirError

MOST_PROBLEMS = 10_000  # kept in memory; further ones are only counted


def check(
    source: str,
    *,
    splits: Mapping[str, float],
    own_documents: bool,
    folds: int | None,
    rulers: Mapping[str, Ruler],
) -> Findings:
    """Read all of ``source`` and return its statistics and problems.

    Args:
        source: as for :func:`peftir.data.prepare.prepare`, and so are ``splits``, ``own_documents`` and
            ``folds``.
        rulers: length measurement of ``document`` and ``query`` texts.

    Raises:
        PeftirError: the source is unknown, or its files are missing.
    """
    problems = _Problems()
    content = read_source(source, documents=None, splits=splits, folds=folds, report=problems)
    made = Folds.of(folds, splits) if folds else None
    return _findings(source, content, own_documents, made, rulers, problems)


def check_test_set(
    name: str,
    source: str,
    *,
    own_documents: bool,
    corpus: Iterable[Document] | None,
    rulers: Mapping[str, Ruler],
) -> Findings:
    """As :func:`check` for the test set ``name``, which each problem names.

    Args:
        corpus: the documents that the queries are of; ``None`` for those of the source.

    Raises:
        PeftirError: the source is unknown, or its files are missing.
    """
    problems = _Problems()
    try:
        content = open_test_set(source, problems)
        if corpus is not None:
            content = replace(content, documents=corpus)
        found = _findings(source, content, own_documents, None, rulers, problems)
    except PeftirError as error:
        raise PeftirError(_of_test_set(name, str(error))) from error
    return replace(found, test=name, problems=[_of_test_set(name, problem) for problem in found.problems])


def _of_test_set(name: str, problem: str) -> str:
    return f"tests.{name}: {named_after(name, problem)}"


def _findings(
    source: str,
    content: Content,
    own_documents: bool,
    folds: Folds | None,
    rulers: Mapping[str, Ruler],
    problems: _Problems,
) -> Findings:
    checked = Validation(content, own_documents, problems, problems.count)
    samples = {kind: Sample() for kind in rulers}

    texts, documents_seen, titles_alone, replaced = KnownIds(), KnownIds(), 0, Replaced()
    for document in tqdm(checked.documents(), desc="documents", unit="", mininterval=5, leave=False):
        text = full_text(document.title, document.text)
        samples["document"].add(text)
        replaced.look_at(text, document.where or f"document {short(document.id)}")
        titles_alone += not document.text.strip() and bool(text)
        if text:
            texts.add(words(text))
            documents_seen.add(_id_and_words(document.id, text))
    judged = {split: _Judged() for split in SPLITS}
    for split in SPLITS:
        for judgement in checked.judgements(split):
            judged[split].add(judgement.query, judgement.grade)
    fold_splits = checked.folds(folds) if folds else []
    query_words: dict[str, list[str]] = {split: [] for split in SPLITS}
    queries_that_are_documents = 0
    for query, split in checked.queries():
        samples["query"].add(query.text)
        replaced.look_at(query.text, query.where or f"query {short(query.id)}")
        query_words[split].append(words(query.text))
        queries_that_are_documents += _id_and_words(query.id, query.text) in documents_seen
    counts = checked.counts()
    return Findings(
        source=source,
        documents=counts["documents"],
        empty_documents=counts["empty_documents"],
        titles_alone=titles_alone,
        repeated_documents=texts.repeats(),
        queries_without_judgement=counts["queries_without_judgement"],
        queries_that_are_documents=queries_that_are_documents,
        own_documents=own_documents,
        splits={
            split: judged[split].counts(
                query_words[split],
                train=[] if split == "train" else query_words["train"],
                without_relevant=counts["splits"][split]["queries_without_relevant"],
            )
            for split in SPLITS
        },
        dev_held_out=isinstance(content.qrels.get("dev"), HeldOut),
        folds=[sizes(fold) for fold in fold_splits],
        lengths={kind: lengths for kind in rulers if (lengths := lengths_of(samples[kind], rulers[kind]))},
        replaced=replaced,
        not_read=list(content.origin.get("not_read", [])),
        problems=list(problems.seen),
        further_problems=problems.further,
    )


def _id_and_words(id: str, text: str) -> str:
    return f"{id}\n{words(text)}"


class _Problems:
    """Collects distinct problems; a file may be read twice and then reports its problems twice."""

    def __init__(self) -> None:
        self.seen: dict[str, None] = {}
        self.further = 0

    def __call__(self, problem: str) -> None:
        if len(self.seen) < MOST_PROBLEMS or problem in self.seen:
            self.seen[problem] = None
        else:
            self.further += 1

    def count(self) -> int:
        return len(self.seen) + self.further


class _Judged:
    """Counts of a split's judgements."""

    def __init__(self) -> None:
        self._per_query: Counter[str] = Counter()
        self._grades: Counter[int] = Counter()

    def add(self, query: str, grade: int) -> None:
        self._per_query[query] += 1
        self._grades[grade] += 1

    def counts(self, texts: list[str], train: list[str], without_relevant: int) -> Split:
        """The split's statistics; ``texts`` and ``train`` are the words of its queries and of train's."""
        per_query = sorted(self._per_query.values()) or [0]
        in_train = set(train)
        return Split(
            queries=len(self._per_query),
            judgements=self._grades.total(),
            queries_without_relevant=without_relevant,
            judgements_per_query=round(sum(per_query) / len(per_query), 2),
            fewest=per_query[0],
            median=per_query[len(per_query) // 2],
            most=per_query[-1],
            grades=dict(sorted(self._grades.items())),
            repeated_queries=len(texts) - len(set(texts)),
            queries_also_in_train=sum(text in in_train for text in texts),
        )
