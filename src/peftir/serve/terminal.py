"""``peftir search``: an answer in the terminal."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TextIO

from peftir.serve.chains import Chain
from peftir.serve.engine import Engine, Result, SearchAnswer
from peftir.serve.snippets import Snippet
from peftir.study.params import Params
from peftir.system.text import visible

WIDTH = 88
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


def search(root: Path, params: Params, query: str, chain: Chain, depth: int) -> None:
    """Print what ``chain`` finds for ``query`` in the study in ``root``.

    Raises:
        PeftirError: an artefact of the study is missing or damaged.
    """
    engine = Engine(root, params)
    try:
        show(engine.search(chain, query, depth), sys.stdout)
    finally:
        engine.close()


def show(answer: SearchAnswer, stream: TextIO) -> None:
    """Write a block for each document; on a terminal the query's terms are bold."""
    bold = stream.isatty()
    for result in answer.results:
        stream.write(_block(result, bold))
    ranked, milliseconds = len(answer.ranking), 1000 * answer.seconds
    stream.write(f"{answer.chain.title}: {ranked:,} documents ranked in {milliseconds:.0f} ms\n")


def _block(result: Result, bold: bool) -> str:
    grade = "" if result.grade is None else f"  (grade {result.grade})"
    title = "" if result.title == result.id else f"    {visible(result.title)}\n"
    lines = textwrap.wrap(result.snippet.text, WIDTH, break_on_hyphens=False)
    snippet = textwrap.indent("\n".join(_with_bold(lines, result.snippet) if bold else lines), "    ")
    head = f"{result.rank:3}  {result.score:9.4f}  {visible(result.id)}{grade}\n"
    return f"{head}{title}{snippet}\n\n" if lines else f"{head}{title}\n"


def _with_bold(lines: list[str], snippet: Snippet) -> list[str]:
    """``lines``, into which the snippet was broken at single spaces, with its matches in bold."""
    found: list[str] = []
    start = 0
    for line in lines:
        start = snippet.text.index(line, start)
        matches = [
            (first - start, last - start)
            for first, last in snippet.matches
            if start <= first and last <= start + len(line)
        ]
        pieces = Snippet(line, tuple(matches)).pieces()
        found.append("".join(f"{BOLD}{piece}{PLAIN}" if is_term else piece for piece, is_term in pieces))
        start += len(line)
    return found
