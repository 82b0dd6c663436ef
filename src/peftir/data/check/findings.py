"""Statistics of a source, and their text form."""

from __future__ import annotations

from dataclasses import dataclass

from peftir.data.check.lengths import Lengths

SHOWN = 100  # number of problems printed
FEW_DEV_QUERIES = 10  # fewer make the choice of a step or weight unreliable


@dataclass(frozen=True)
class Split:
    """Statistics of one split; judgements per query are of all grades."""

    queries: int
    judgements: int
    queries_without_relevant: int
    judgements_per_query: float
    fewest: int
    median: int
    most: int
    grades: dict[int, int]
    repeated_queries: int
    queries_also_in_train: int


@dataclass
class Replaced:
    """Documents and queries with U+FFFD, which an earlier program put in place of undecodable characters."""

    texts: int = 0
    first: str = ""

    def look_at(self, text: str, where: str) -> None:
        """Count the text if it contains U+FFFD."""
        if "\ufffd" in text:
            self.texts += 1
            self.first = self.first or where


@dataclass(frozen=True)
class Findings:
    """Statistics and problems of a source; it can be prepared if it has no problems.

    Attributes:
        empty_documents: number of documents with neither title nor text.
        titles_alone: number of documents with a title but no text.
        dev_held_out: whether dev is held out from the source's train queries.
        folds: number of queries by split, for each fold.
        not_read: files of the source that are known but not used.
        test: the name of the test set, if the source is one.
    """

    source: str
    documents: int
    empty_documents: int
    titles_alone: int
    repeated_documents: int
    queries_without_judgement: int
    queries_that_are_documents: int
    own_documents: bool
    splits: dict[str, Split]
    dev_held_out: bool
    folds: list[dict[str, int]]
    lengths: dict[str, Lengths]
    replaced: Replaced
    not_read: list[str]
    problems: list[str]
    further_problems: int
    test: str | None = None


def as_text(findings: Findings) -> str:
    """The findings as text, problems last."""
    f = findings
    lines = [
        f.source if f.test is None else f"tests.{f.test}: {f.source}",
        f"documents  {f.documents:,}: {f.empty_documents:,} without text, {f.titles_alone:,} with a title "
        f"alone, {f.repeated_documents:,} with the words of an earlier one",
    ]
    lines += [_of_split(name, split) for name, split in f.splits.items() if split.queries]
    if f.queries_without_judgement:
        lines.append(
            f"           {f.queries_without_judgement:,} more queries that nothing judges are left out"
        )
    lines += _of_selection(f)
    lines += [_of_lengths(kind, lengths) for kind, lengths in f.lengths.items()]
    if f.queries_that_are_documents and not f.own_documents:
        lines.append(
            f"{f.queries_that_are_documents:,} of the queries are documents of the corpus, by id and words: "
            f"set {'collection' if f.test is None else f'tests.{f.test}'}.own_documents to true, or each is "
            "ranked first for itself"
        )
    if f.replaced.texts:
        lines.append(
            f"warning    {f.replaced.texts:,} documents and queries have letters that were lost before they "
            f"came here (U+FFFD), the first {f.replaced.first}: decode the original files again"
        )
    if f.not_read:
        lines.append(f"not read   {', '.join(f.not_read)}: negatives and candidates are of our own BM25 run")
    return "\n".join([*lines, *_problems(f)])


def _of_split(name: str, split: Split) -> str:
    grades = ", ".join(f"{grade}: {count:,}" for grade, count in split.grades.items())
    notes = [
        f"{count:,} {what}"
        for count, what in [
            (split.queries_without_relevant, "without a relevant document"),
            (split.repeated_queries, "with the words of another one"),
            (split.queries_also_in_train, "with the words of one of train"),
        ]
        if count
    ]
    return (
        f"{name:<10} {split.queries:,} queries, {split.judgements:,} judgements (grades {grades}), "
        f"{split.judgements_per_query:g} a query (median {split.median:,}, {split.fewest:,} to "
        f"{split.most:,})" + "".join(f"; {note}" for note in notes)
    )


def _of_selection(findings: Findings) -> list[str]:
    """The lines about the folds and the dev queries."""
    lines = [
        f"fold {number:<5} " + ", ".join(f"{count:,} {split}" for split, count in fold.items()) + " queries"
        for number, fold in enumerate(findings.folds, start=1)
    ]
    if findings.dev_held_out:
        lines.append("           dev is a share of the source's train queries, held out by collection.splits")
    dev = min([fold["dev"] for fold in findings.folds] or [findings.splits["dev"].queries])
    if 0 < dev < FEW_DEV_QUERIES:
        where = " in a fold" if findings.folds else ""
        lines.append(
            f"warning    {dev} dev queries{where}: fewer than {FEW_DEV_QUERIES} choose steps and "
            "interpolation weights as chance has it; give dev a larger share in collection.splits"
        )
    return lines


def _of_lengths(kind: str, lengths: Lengths) -> str:
    return (
        f"tokens     of a {kind}: {lengths.mean:g} in the mean, median {lengths.median:,}, 95 % up to "
        f"{lengths.most_of_95_percent:,}, longest {lengths.longest:,}; {lengths.share_cut_off:.1%} are cut "
        f"off at {lengths.maximum:,} ({lengths.texts:,} counted)"
    )


def _problems(findings: Findings) -> list[str]:
    count = len(findings.problems) + findings.further_problems
    if not count and findings.test is not None:
        return ["no problem"]
    if not count:
        return ["no problem; in params.yaml set collection.source to it and collection.documents to null"]
    stage = "prepare" if findings.test is None else f"prepare_test@{findings.test}"
    left_out = count - min(SHOWN, len(findings.problems))
    more = [f"… and {left_out:,} more; --json lists more"] if left_out else []
    return [
        f"{count:,} problem{'s' * (count > 1)}; the stage {stage} stops at the first:",
        *findings.problems[:SHOWN],
        *more,
    ]
