"""The results as LaTeX tables in the paper's layout: full fine-tuning, then a block a budget (booktabs)."""

from __future__ import annotations

from collections.abc import Iterator

from peftir.report import sentences, testsets
from peftir.report.cells import Cell, TableRow
from peftir.report.chains import ChainStudy
from peftir.report.results import results
from peftir.report.rivals import same_budget
from peftir.report.study import StageStudy, Study
from peftir.study.sources import shown
from peftir.study.tasks import TITLES

ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "†": r"$\dagger$",
    "…": r"\ldots{}",
    "’": "'",
    "“": "``",
    "”": "''",
    "–": "--",
    "‑": "-",
    "\u00a0": "~",
} | {letter: f"\\{letter}" for letter in "&%$#_{}"}
MARKS = {"*": "*", "†": r"\dagger"}


def render_tex(study: Study) -> str:
    """``report/tables.tex``, to be read by ``\\input`` into a document that uses ``booktabs``."""
    return "\n".join(_lines(study))


def _lines(study: Study) -> Iterator[str]:
    yield r"% In the preamble: \usepackage{booktabs}. The numbers are those of report/results.md."
    for stage in (study.retrieval, study.reranking):
        yield ""
        yield from _table(study, stage)
    for stage in (study.retrieval, study.reranking):
        if study.tests:
            yield ""
            yield from _test_sets(study, stage)
    for chain in study.chains:
        yield ""
        yield from _chains(chain)
    yield ""


def _chains(chain: ChainStudy) -> Iterator[str]:
    table = chain.table()
    blocks = [
        [
            [_escape(f"{row.title}, {group.title}"), *map(_measured, [row.cells[0], *row.cells[3:]])]
            for row in group.rows
        ]
        for group in table.groups
    ]
    columns = ["First stage and re-ranker", *map(_escape, [table.columns[0], *table.columns[3:]])]
    caption = f"{chain.title}. {chain.explanation()}"
    yield from _tabular(_escape(caption), chain.name, columns, blocks)


def _table(study: Study, stage: StageStudy) -> Iterator[str]:
    columns = ["Method", r"\#Params", *(_escape(measure) for measure in stage.measures)]
    blocks = [[[_escape(row.title), *_cells(stage, row)] for row in block] for block in _blocks(stage)]
    yield from _tabular(_caption(study, stage), stage.task, columns, blocks)


def _test_sets(study: Study, stage: StageStudy) -> Iterator[str]:
    shown = testsets.overview(study, stage)
    blocks = [
        [[_escape(row.title), *map(_measured, row.cells)] for row in group.rows] for group in shown.groups
    ]
    caption = f"{TITLES[stage.task]} on the test sets. {testsets.explanation(study, stage)}"
    columns = ["Method", *map(_escape, shown.columns)]
    yield from _tabular(_escape(caption), f"tests-{stage.task}", columns, blocks)


def _tabular(caption: str, label: str, columns: list[str], blocks: list[list[list[str]]]) -> Iterator[str]:
    """A table of blocks of lines; everything is in LaTeX already."""
    yield r"\begin{table}"
    yield r"\centering"
    yield rf"\caption{{{caption}}}"
    yield rf"\label{{tab:{label}}}"
    yield rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}"
    yield r"\toprule"
    yield _line(columns)
    for block in blocks:
        yield r"\midrule"
        yield from map(_line, block)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _caption(study: Study, stage: StageStudy) -> str:
    title = f"{TITLES[stage.task]} on {shown(study.params.collection.source)}."
    return _escape(" ".join(filter(None, (title, sentences.explanation(stage), sentences.marks(stage)))))


def _blocks(stage: StageStudy) -> Iterator[list[TableRow]]:
    """Rows that belong together: what is not trained, full fine-tuning, and then those of one budget."""
    for group in results(stage).groups:
        blocks: list[list[TableRow]] = []
        for row in group.rows:
            block = next((block for block in blocks if _alike(stage, block[0], row)), None)
            if block is None:
                blocks.append([row])
            else:
                block.append(row)
        yield from blocks


def _alike(stage: StageStudy, first: TableRow, row: TableRow) -> bool:
    if first.variant not in stage.trained or row.variant not in stage.trained:
        return first.variant not in stage.trained and row.variant not in stage.trained
    full = {name for name in stage.trained if stage.kinds[name] == "full"}
    if first.variant in full or row.variant in full:
        return first.variant in full and row.variant in full
    weights = stage.weights(first.variant).trained, stage.weights(row.variant).trained
    return same_budget(*weights)


def _cells(stage: StageStudy, row: TableRow) -> Iterator[str]:
    """The share of weights trained and the measures, of the cells of a row of results."""
    share, *measured = row.cells[1:]
    if stage.reference:
        del measured[1]  # the difference, which the paper's tables do not have
    yield _escape(share.text)
    yield from map(_measured, measured)


def _measured(cell: Cell) -> str:
    """A value with its marks; its standard deviation over seeds smaller beside it."""
    value = rf"\textbf{{{cell.text}}}" if cell.strong else cell.text
    marks = "".join(MARKS[mark] for mark in cell.marks or "")
    spread = rf" {{\scriptsize$\pm${cell.spread}}}" if cell.spread else ""
    return f"{value}{f'$^{{{marks}}}$' if marks else ''}{spread}"


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _escape(text: str) -> str:
    """``text`` with every character that means something in LaTeX, or that it lacks, spelt out."""
    return "".join(ESCAPES.get(letter, letter) for letter in text)
