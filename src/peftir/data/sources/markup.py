"""Titles, headings and texts of plain text, Markdown and HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
DROPPED = ("script", "style", "template", "noscript", "svg")  # their content is no text of the page
# Elements that do not end a word; all others do.
INLINE = (
    *("a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins"),
    *("kbd", "label", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u"),
    *("var", "wbr"),
)
FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?\n)?(---|\.\.\.)[ \t]*(\n|$)", re.DOTALL)
TITLE = re.compile(r"^title:[ \t]*(.+)$", re.MULTILINE)


class TextSection(NamedTuple):
    """A heading, empty before the first, and the text below it up to the next."""

    heading: str
    text: str


class ParsedText(NamedTuple):
    """A text's title, empty if it has none, and its sections in order."""

    title: str
    sections: list[TextSection]

    @property
    def text(self) -> str:
        """The whole text without the title."""
        first = [self.sections[0].text] if self.sections[0].heading in ("", self.title) else self.sections[0]
        return "\n\n".join(part for part in [*first, *sum(self.sections[1:], ())] if part)


def plain(text: str) -> ParsedText:
    """A text without markup: one section."""
    return ParsedText("", [TextSection("", text.strip())])


def markdown(text: str) -> ParsedText:
    """CommonMark: the title is that of the front matter, or a heading before all other text."""
    front = FRONT_MATTER.match(text)
    body = text[front.end() :] if front else text
    lines = body.splitlines(keepends=True)
    tokens = MarkdownIt("commonmark").parse(body)
    # (first line, line after, heading); headings within lists and quotations belong to these
    found = [
        (token.map[0], token.map[1], _words_of(tokens[place + 1]))
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0 and token.map
    ]
    starts = [(0, 0, ""), *found]
    ends = [start for start, _, _ in found] + [len(lines)]
    sections = [
        TextSection(heading, "".join(lines[after:end]).strip())
        for (_, after, heading), end in zip(starts, ends, strict=True)
    ]
    named = TITLE.search(front[1] or "") if front else None
    return _titled(sections, named[1].strip().strip("\"'") if named else "")


def html(text: str) -> ParsedText:
    """HTML: the title is that of ``<title>``, or a heading before all other text."""
    reader = _HtmlReader()
    reader.feed(text)
    reader.close()
    sections = [TextSection(_one_line(heading), _one_line(text)) for heading, text in reader.parts]
    return _titled(sections, _one_line(reader.title))


READERS: dict[str, Callable[[str], ParsedText]] = {
    ".txt": plain,
    ".md": markdown,
    ".markdown": markdown,
    ".html": html,
    ".htm": html,
}
"""The reader of a file, by the suffix of its name in lower case."""


def _titled(sections: list[TextSection], title: str) -> ParsedText:
    """Drop an empty section before the first heading, which is the title if there is no other."""
    if len(sections) > 1 and not sections[0].text:
        sections = sections[1:]
        title = title or sections[0].heading
    return ParsedText(title, sections)


def _words_of(heading: Token) -> str:
    return _one_line("".join(child.content or " " for child in heading.children or ()))


def _one_line(text: str) -> str:
    return " ".join(text.split())


class _HtmlReader(HTMLParser):
    """Collects the title, and per heading a list of its text and the text below it."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.parts = [["", ""]]
        self._dropped = 0
        self._into = "text"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in DROPPED:
            self._dropped += 1
        elif tag in HEADINGS and not self._dropped:
            self.parts.append(["", ""])
            self._into = "heading"
        elif tag == "title" and not self._dropped and not self.title:
            self._into = "title"
        self._space(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in DROPPED:
            self._dropped = max(0, self._dropped - 1)
        elif tag in HEADINGS or tag == "title":
            self._into = "text"
        self._space(tag)

    def handle_data(self, data: str) -> None:
        if self._dropped:
            return
        if self._into == "title":
            self.title += data
        else:
            self.parts[-1][self._into == "text"] += data

    def _space(self, tag: str) -> None:
        if tag not in INLINE:
            self.handle_data(" ")
