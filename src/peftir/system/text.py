"""Output of untrusted texts on terminals with any encoding."""

from __future__ import annotations

import codecs
import io
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
