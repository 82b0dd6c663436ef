"""Markdown of untrusted texts, escaped so that they are shown literally.

Content of a pull request, such as a value in ``params.yaml``, appears in a comment of another account. There
a line break would end a table, ``@name`` notify someone, ``![]()`` load an image and a link look official.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from peftir.system.text import visible

LONGEST = 200  # characters of a value that :func:`code` shows


def escape(text: str) -> str:
    """``text`` on one line, with a backslash before every special character of Markdown."""
    line = " ".join(text.splitlines())
    return re.sub(r"[\\`*\[\]<>|~&]|(?<!\w)_|_(?!\w)", r"\\\g<0>", line)


def code(text: str) -> str:
    """``text`` as a code span for a table; GitHub interprets nothing inside a code span.

    Invisible characters are escaped (:func:`peftir.system.text.visible`). The middle of a text of more than
    ``LONGEST`` characters is left out.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]}…{text[-LONGEST // 2 :]}"
    shown = visible(text)
    quotes = "`" * (1 + _longest_run("`", shown))
    padding = " " if not shown.strip() or "`" in (shown[0], shown[-1]) else ""
    return f"{quotes}{padding}{shown}{padding}{quotes}".replace("|", r"\|")


def fenced(text: str, language: str = "") -> str:
    """``text`` as a fenced code block, with a fence longer than those in ``text``."""
    fence = "`" * max(3, 1 + _longest_run("`", text))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Iterable[str]], align: str = "---") -> list[str]:
    """The lines of a table with Markdown cells; ``align`` applies to all columns but the first."""
    rule = ["---", *[align] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def _longest_run(letter: str, text: str) -> int:
    return max(map(len, re.findall(f"{re.escape(letter)}+", text)), default=0)
