"""Texts that anyone may have written do nothing in Markdown, judged by a parser of it, and on terminals."""

from __future__ import annotations

import io
import sys

import pytest

from peftir.system.errors import exits_cleanly
from peftir.system.markdown import LONGEST, code, escape, fenced, table
from peftir.system.text import visible

HOSTILE = [
    "@someone",
    "![x](https://example.org/x.png)",
    "two\nlines",
    "carriage\rreturn",
    "a | b",
    "a \\| b",
    "a \\",
    "`tick`",
    "``",
    "<img src=x>",
    "line\u2028separator",
    "right\u202eto left",
    "lone \ud800 surrogate",
    "\x1b[2J",
    " ",
    "",
    "|",
    "--- | ---",
]


def cells_of(line: str) -> list[str]:
    """The cells of a table's line, as GitHub's parser splits it: a backslash takes the next letter along."""
    cells, letters = [""], iter(line)
    for letter in letters:
        if letter == "|":
            cells.append("")
        else:
            cells[-1] += letter + (next(letters, "") if letter == "\\" else "")
    return [cell.replace("\\|", "|").strip(" ") for cell in cells[1:-1]]


def inside(span: str) -> str:
    """The text of a code span that is all of ``span``, as CommonMark 0.31, section 6.1, has it."""
    quotes = len(span) - len(span.lstrip("`"))
    assert quotes and "`" * quotes not in _runs(span[quotes:-quotes]), span
    text = span[quotes:-quotes]
    return text[1:-1] if text[:1] == text[-1:] == " " and text.strip(" ") else text


def _runs(text: str) -> list[str]:
    return [run for run in "".join(c if c == "`" else " " for c in text).split(" ") if run]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_is_one_code_span_in_one_cell(text: str) -> None:
    *_, line = table(("key", "value"), [("a", code(text))])
    assert len(line.splitlines()) == 1
    line.encode()
    key, span = cells_of(line)
    assert key == "a"
    assert inside(span).strip(" ") == visible(text).strip(" ")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_shown_is_printable_and_says_which_text_it_was(text: str) -> None:
    shown = visible(text)
    assert not shown or shown.isprintable()
    assert shown.encode("latin-1", "backslashreplace").decode("unicode_escape") == text


def test_a_long_value_is_cut_in_the_middle() -> None:
    assert len(code("x" * 10**6)) == LONGEST + 3
    assert len(code("x" * LONGEST)) == LONGEST + 2


def test_no_fence_within_ends_a_block() -> None:
    block = fenced("a\n```\nb\n`````\n", "yaml").splitlines()
    assert block == ["``````yaml", "a", "```", "b", "`````", "``````"]
    assert fenced("a") == "```\na\n```"


def test_an_escaped_text_is_one_line() -> None:
    assert escape("a_b | *c*\nd") == r"a_b \| \*c\* d"


def test_letters_that_the_terminal_lacks_are_written_plainer(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    exits_cleanly(lambda: print("é → −1 ± 2 字", flush=True))()
    assert raw.getvalue().decode("latin-1") == "é -> -1 ± 2 \\u5b57\n"
