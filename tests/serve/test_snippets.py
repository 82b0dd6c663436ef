"""Snippets: which part of a text is shown, and what is marked in it."""

from __future__ import annotations

import random

import pytest

from peftir.serve.snippets import LENGTH, in_one_line, snippet


def shown(text: str, *terms: str) -> tuple[str, list[str]]:
    """The snippet and its marked words, where a term is a word without its last s."""
    found = snippet(text, set(terms), lambda word: word.lower().removesuffix("s"))
    return found.text, [found.text[start:end] for start, end in found.matches]


def test_a_short_text_is_shown_whole() -> None:
    assert shown("Sorts the lists\n of  a list.", "list", "sort") == (
        "Sorts the lists of a list.",
        ["Sorts", "lists", "list"],
    )
    assert shown("", "list") == ("", [])


def test_a_long_text_is_shown_where_most_different_terms_are() -> None:
    filler = "some other words here " * 30
    text = f"list list list {filler} a list that is sorted by key {filler}"
    found, marked = shown(text, "list", "sorted", "key")
    assert marked == ["list", "sorted", "key"]
    assert found.startswith("… ") and found.endswith(" …") and len(found) <= LENGTH + 4


def test_a_text_without_terms_is_shown_from_its_beginning() -> None:
    found, marked = shown("word " * 100, "nothing")
    assert (found, marked) == ("word " * 48 + "…", [])


@pytest.mark.parametrize("seed", range(20))
def test_what_is_marked_is_a_term_and_pieces_are_the_whole(seed: int) -> None:
    chance = random.Random(seed)
    words = ["a" * 300, "list", "keys", "of", "it", "<b>", "\x1b[1m", "漢字"]
    text = " ".join(chance.choices(words, k=chance.randint(1, 120)))
    found = snippet(text, {"list", "key", "漢字"}, lambda word: word.removesuffix("s"))
    pieces = found.pieces()
    assert "".join(piece for piece, _ in pieces) == found.text
    assert {piece for piece, marked in pieces if marked} <= {"list", "keys", "漢字"}
    assert found.text.removeprefix("… ").removesuffix(" …") in in_one_line(text)
    assert found.text.isprintable() and len(found.text) <= LENGTH + 4


def test_what_cannot_be_seen_is_left_out() -> None:
    assert in_one_line("a\x00b\r\nc\u202e d\x1b[0m") == "a b c d [0m"
