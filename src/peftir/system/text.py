"""Text for terminals: untrusted, with any encoding, and as aligned columns."""

from __future__ import annotations

import codecs
import io
from collections.abc import Sequence
from typing import TextIO

# Replacements for characters that the terminal's encoding lacks.
PLAINER = {
    "→": "->",
    "−": "-",
    "–": "-",
    "\u2011": "-",
    "…": "...",
    "±": "+/-",
    "≤": "<=",
    "’": "'",
    "“": '"',
    "”": '"',
    "\u00a0": " ",
}


def aligned(rows: Sequence[Sequence[str]], words: int) -> list[str]:
    """Align columns for a terminal, a line per row: the first ``words`` to the left, others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def visible(text: str) -> str:
    """``text`` with unprintable characters, such as line breaks and control sequences, as Python escapes.

    Backslashes are doubled, so that different texts remain different.
    """
    return "".join(_visible(letter) for letter in text)


def print_anything(stream: TextIO) -> None:
    """Set ``stream`` to replace or escape characters that its encoding lacks, instead of raising an error."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="plainer")


def _visible(letter: str) -> str:
    if letter == "\\":
        return "\\\\"
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """Error handler for encoding: the replacement of the characters, and the position to continue at."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    escaped = (
        PLAINER.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in letters
    )
    return "".join(escaped), error.end


codecs.register_error("plainer", _plainer)
