"""Extract docstrings from Python source, without importing it, and split off their summaries."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Iterator
from typing import NamedTuple

# `name(arguments) -> Result` as the first paragraph, as in torch and NumPy's compiled functions.
SIGNATURE = re.compile(r"[\w.]+\s?\([^`]*\)(\s*->.*)?", re.DOTALL)
ABBREVIATIONS = ("e.g", "i.e", "etc", "cf", "vs", "resp", "aka")
NOT_AFTER = "".join(rf"(?<!\b{re.escape(word)})" for word in ABBREVIATIONS) + r"(?<!\.\.)"
SENTENCE_END = re.compile(NOT_AFTER + r"[.!?](?=\s|$)")
UNDERLINE = re.compile(r"([=\-~^])\1{2,}\s*")
# A line that ends the opening paragraph without a blank line.
NOT_PROSE = re.compile(
    r"""
    \s | [-*+•|]\s | \d+[.)]\s | \\ | \$\$ | @       # an indented line, a list item, a formula, a tag
    | \.\.\s | >>> | ```                             # a directive, an example
    | [A-Z]\w*(\ \w+)?:\s*$                          # the title of a section: `Args:`
    | :\w+[^`]*:\s                                   # a field: `:param mask:`
    | \w+\ :\s | \w+\ \([^)]*\): | \w+\ \(.*:\s*$    # an argument: `mask : Tensor`, `mask (Tensor):`
    """,
    re.VERBOSE,
)
PARAGRAPH_BREAK = re.compile(r"\n[ \t]*\n")


class Cut(NamedTuple):
    """The two parts of a docstring: its summary sentence without markup, and the rest."""

    summary: str
    body: str


def public_docstrings(source: str | bytes, *, only_listed: bool = False) -> Iterator[tuple[str, str]]:
    """Yield ``(qualified name, docstring)`` for the public functions, classes and methods of a module.

    Public top-level names are those in a literal ``__all__``, or without one those without a leading
    underscore; members of a class are public without a leading underscore. Definitions inside functions are
    left out.

    Args:
        source: the module's text, or its bytes in the encoding that they declare.
        only_listed: yield nothing if the module has no literal ``__all__``.

    Raises:
        SyntaxError: the text is not Python.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in a package
        module = ast.parse(source)
    listed = _literal_all(module)
    if listed is None and only_listed:
        return
    for name, docstring in _docstrings(module.body, prefix=""):
        if listed is None or name.partition(".")[0] in listed:
            yield name, docstring


def _literal_all(module: ast.Module) -> set[str] | None:
    for statement in module.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in statement.targets
        ):
            try:
                return {str(name) for name in ast.literal_eval(statement.value)}
            except (ValueError, TypeError):
                return None
    return None


def _docstrings(statements: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if statement.name.startswith("_"):
                continue
            docstring = ast.get_docstring(statement, clean=False)
            if docstring:
                yield prefix + statement.name, inspect.cleandoc(docstring)
            if isinstance(statement, ast.ClassDef):
                yield from _docstrings(statement.body, f"{prefix}{statement.name}.")
        elif isinstance(statement, ast.If | ast.Try | ast.With):  # `if is_available():` around a definition
            yield from _docstrings(statement.body, prefix)
            for handler in getattr(statement, "handlers", []):
                yield from _docstrings(handler.body, prefix)
            yield from _docstrings(getattr(statement, "orelse", []), prefix)


def cut(docstring: str) -> Cut | None:
    """Split off the first sentence of a docstring; ``None`` if the docstring does not start with one.

    A signature in the first paragraph (``add(input, other) -> Tensor``) is skipped and stays in the body.
    """
    signature = ""
    paragraph, rest = _split_paragraph(docstring)
    if SIGNATURE.fullmatch(paragraph):
        signature = paragraph
        paragraph, rest = _split_paragraph(rest)
    lines = paragraph.split("\n")
    prose = _leading_prose(lines)
    if not prose:
        return None
    if len(prose) < len(lines) and UNDERLINE.fullmatch(lines[len(prose)]):
        prose.pop()  # the last line is the title of a section
        if not prose:
            return None
    sentence, tail = _split_sentence(" ".join(line.strip() for line in prose))
    after = "\n".join(part for part in (tail, *lines[len(prose) :]) if part)
    body = "\n\n".join(part for part in (signature, after, rest.strip("\n")) if part.strip())
    return Cut(plain(sentence), body)


def _split_paragraph(text: str) -> tuple[str, str]:
    first, *rest = PARAGRAPH_BREAK.split(text, maxsplit=1)
    return first.strip("\n"), "".join(rest)


def _leading_prose(lines: list[str]) -> list[str]:
    for number, line in enumerate(lines):
        if NOT_PROSE.match(line) or UNDERLINE.fullmatch(line):
            return lines[:number]
    return list(lines)


def _split_sentence(text: str) -> tuple[str, str]:
    end = SENTENCE_END.search(text)
    return (text, "") if end is None else (text[: end.end()], text[end.end() :].strip())


MARKUP = [
    (re.compile(r":[\w:]+:`([^`<]+?)\s*<[^`>]*>`"), r"\1"),  # :func:`the words <target>`
    (re.compile(r":[\w:]+:`[~!.]*([^`]+)`"), r"\1"),  # :func:`~torch.add`
    (re.compile(r"\[`~?([^`\]]+)`\](\([^)]*\))?"), r"\1"),  # [`Trainer`]
    (re.compile(r"\[([^\]]+)\]\([^)]*\)"), r"\1"),  # [the words](target)
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`_{1,2}"), r"\1"),  # `the words <address>`_
    (re.compile(r"(`{1,2})[~!.]*([^`]+)\1_{0,2}"), r"\2"),  # ``code``, `name`
    (re.compile(r"(?<!\w)(\*{1,2})([^\s*][^*]*)\1(?!\w)"), r"\2"),  # *argument*, **strong**
    (re.compile(r"\s+"), " "),
]


def plain(text: str) -> str:
    """Return ``text`` on one line, without the markup of reStructuredText and Markdown."""
    for mark, words in MARKUP:
        text = mark.sub(words, text)
    return text.strip()
