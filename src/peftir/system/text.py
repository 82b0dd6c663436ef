"""Texts that anyone may have written, on terminals that may not have their letters."""

from __future__ import annotations

import codecs
import io
from typing import TextIO

# What stands for a letter of ours where the terminal's encoding lacks it.
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
    """``text`` with what cannot be seen, line breaks and terminal commands too, as Python escapes it.

    A backslash is doubled, so that different texts stay different.
    """
    return "".join(_visible(letter) for letter in text)


def print_anything(stream: TextIO) -> None:
    """Let ``stream`` write letters that its encoding lacks plainer or escaped, instead of failing."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="plainer")


def _visible(letter: str) -> str:
    if letter == "\\":
        return "\\\\"
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """What to write of the letters that could not be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    escaped = (
        PLAINER.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in letters
    )
    return "".join(escaped), error.end


codecs.register_error("plainer", _plainer)
