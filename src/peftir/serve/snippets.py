"""The part of a document that shows most of a query's terms."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Set
from dataclasses import dataclass

LENGTH = 240  # characters of a snippet
BEFORE = 40  # at most so many of them stand before the first term
READ = 50_000  # characters of a document that are looked at
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Snippet:
    """A piece of text without line breaks and control characters.

    Attributes:
        matches: where the query's terms are in ``text``, as (start, end).
    """

    text: str
    matches: tuple[tuple[int, int], ...] = ()

    def pieces(self) -> list[tuple[str, bool]]:
        """``text`` in pieces, each with whether it is a term of the query."""
        pieces, end = [], 0
        for start, stop in self.matches:
            pieces += [(self.text[end:start], False), (self.text[start:stop], True)]
            end = stop
        return [piece for piece in [*pieces, (self.text[end:], False)] if piece[0]]


def snippet(text: str, terms: Set[str], term_of: Callable[[str], str]) -> Snippet:
    """The :data:`LENGTH` characters of ``text`` with the most different ``terms``; of several, the first.

    Args:
        terms: the terms of the query.
        term_of: gives the term that a word stands for, such as its stem.
    """
    line = in_one_line(text[:READ])
    words = [(word.start(), word.end(), term_of(word[0])) for word in WORD.finditer(line)]
    found = [word for word in words if word[2] in terms]
    start = _start(line, found)
    end = len(line) if len(line) - start <= LENGTH else _boundary(line, start + LENGTH)
    before, after = "… " if start else "", " …" if end < len(line) else ""
    shift = len(before) - start
    matches = tuple(
        (first + shift, last + shift) for first, last, _ in found if first >= start and last <= end
    )
    return Snippet(f"{before}{line[start:end]}{after}", matches)


def in_one_line(text: str) -> str:
    """``text`` with one space for each run of white space and of what cannot be seen."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _start(line: str, found: list[tuple[int, int, str]]) -> int:
    """Where to begin so that most different terms follow."""
    if not found or len(line) <= LENGTH:
        return 0
    starts = [start for start, _, _ in found]

    def different(first: int) -> int:
        last = bisect_left(starts, starts[first] + LENGTH - BEFORE)
        return len({term for _, _, term in found[first:last]})

    best = starts[max(range(len(found)), key=different)]
    return best if best == 0 else min(best, _after_space(line, max(0, best - BEFORE)))


def _after_space(line: str, place: int) -> int:
    """The next beginning of a word from ``place`` on."""
    return 0 if place == 0 else line.find(" ", place - 1) + 1


def _boundary(line: str, place: int) -> int:
    """The end of the last word before ``place``, unless it is very long."""
    space = line.rfind(" ", place - LENGTH // 3, place + 1)
    return space if space > 0 else place
