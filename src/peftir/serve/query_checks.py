"""Checks of the query and the depth of a request, from the server or the command line."""

from __future__ import annotations

import unicodedata

from peftir.system.errors import PeftirError

MOST_CHARACTERS = 2000  # of a query
MOST_DOCUMENTS = 1000
WHITE_SPACE = "\t\n\r"


class Refused(PeftirError):
    """What is asked cannot be answered.

    Attributes:
        status: the HTTP status that says so.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def checked_query(text: str) -> str:
    """``text`` as it is.

    Raises:
        Refused: it is blank, too long, or has control characters other than white space.
    """
    if not text.strip():
        raise Refused("q: empty; expected the text of a query")
    if len(text) > MOST_CHARACTERS:
        raise Refused(f"q: {len(text):,} characters; expected {MOST_CHARACTERS:,} at most", status=413)
    for letter in text:
        if unicodedata.category(letter) in ("Cc", "Cs") and letter not in WHITE_SPACE:
            raise Refused(f"q: has the control character U+{ord(letter):04X}; expected text without any")
    return text


def checked_depth(text: str) -> int:
    """The number of documents that ``text`` asks for.

    Raises:
        Refused: it is no whole number from 1 to :data:`MOST_DOCUMENTS`.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MOST_DOCUMENTS):
        raise Refused(f"depth: {text[:20]!r}: expected a whole number from 1 to {MOST_DOCUMENTS}")
    return int(text)
