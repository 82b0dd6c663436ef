"""Markdown of texts that anyone may have written: they show as they are, and do nothing.

What a pull request brings, such as a value in ``params.yaml``, ends in a comment under another's name. There
a line break would end a table, ``@name`` call someone, ``![]()`` fetch an image and a link look official.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from peftir.system.text import visible

LONGEST = 200  # characters of a value that :func:`code` shows


def escape(text: str) -> str:
    """``text`` in one line, with a backslash before every character that means something in Markdown."""
    line = " ".join(text.splitlines())
    return re.sub(r"[\\`*\[\]<>|~&]|(?<!\w)_|_(?!\w)", r"\\\g<0>", line)


def code(text: str) -> str:
    """``text`` as a code span that may stand in a table, the only place where GitHub looks for nothing.

    What cannot be seen is escaped (:func:`peftir.system.text.visible`), and the middle of a text of more than
    ``LONGEST`` characters left out.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]}…{text[-LONGEST // 2 :]}"
    shown = visible(text)
    quotes = "`" * (1 + _longest_run("`", shown))
    padding = " " if not shown.strip() or "`" in (shown[0], shown[-1]) else ""
    return f"{quotes}{padding}{shown}{padding}{quotes}".replace("|", r"\|")


def fenced(text: str, language: str = "") -> str:
    """``text`` as a block of code, whatever fences are in it."""
    fence = "`" * max(3, 1 + _longest_run("`", text))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Iterable[str]], align: str = "---") -> list[str]:
    """The lines of a table whose cells are Markdown; all columns but the first are aligned by ``align``."""
    rule = ["---", *[align] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def _longest_run(letter: str, text: str) -> int:
    return max(map(len, re.findall(f"{re.escape(letter)}+", text)), default=0)
