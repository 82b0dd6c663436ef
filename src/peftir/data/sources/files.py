"""Folders of text, Markdown and HTML files as documents."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from peftir.data.content import Document, Report
from peftir.data.sources.markup import READERS, ParsedText
from peftir.system.errors import reason_of
from peftir.system.text import visible


@dataclass(frozen=True)
class TextFile:
    """A file that was read.

    Attributes:
        id: its path relative to the folder, with white space and control characters percent-encoded.
        content: its title and sections.
        path: where it is.
    """

    id: str
    content: ParsedText
    path: Path

    def document(self) -> Document:
        """The file as one document."""
        return Document(self.id, self.content.title, self.content.text, str(self.path))

    def documents_by_section(self) -> Iterator[Document]:
        """Yield each section with text as a document, with the file's title before its heading.

        The id of a section is that of the file with the heading's words after a ``#``, numbered where another
        section has it already; that of the first is the file's own, if its heading is none or the title.
        """
        title, given, repeated = self.content.title, set[str](), Counter[str]()
        for heading, text in self.content.sections:
            if not text:
                continue
            anchor = "-".join(re.findall(r"\w+", heading.casefold()))
            bare = not given and heading in ("", title)
            id = unnumbered = self.id if bare else f"{self.id}#{anchor}"
            while id in given:
                repeated[unnumbered] += 1
                id = f"{unnumbered}-{repeated[unnumbered] + 1}"
            given.add(id)
            shown = heading or title if heading in ("", title) or not title else f"{title}: {heading}"
            yield Document(id, shown, text, str(self.path))


def read_files(folder: Path, report: Report) -> Iterator[TextFile]:
    """Yield the text, Markdown and HTML files of ``folder``, at any depth, in the order of their paths.

    ``report`` is called with each file that cannot be read.
    """
    for path in files_of(folder, report):
        name = path.relative_to(folder).as_posix()
        try:
            name.encode()
            data = path.read_bytes()
            text = data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeEncodeError:
            report(f"{visible(str(path))}: the file's name is not UTF-8, and so no id; rename it")
        except OSError as error:
            report(f"{path}: cannot be read ({error.strerror}); expected a file")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            report(f"{path}:{line}: is not UTF-8; save the file as UTF-8")
        else:
            id = re.sub(r"[\s\x00-\x1f\x7f-\x9f]", lambda letter: quote(letter[0]), name)
            yield TextFile(id, READERS[path.suffix.lower()](text), path)


def files_of(folder: Path, report: Report) -> list[Path]:
    """The files that :func:`read_files` reads, sorted.

    Hidden files and folders are left out, and so are links to what is outside of ``folder``.
    """
    inside, found = folder.resolve(), []

    def not_listed(error: OSError) -> None:
        report(f"{visible(str(error.filename))}: cannot be read ({reason_of(error)}); expected a folder")

    for parent, folders, names in os.walk(folder, onerror=not_listed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(parent) / name for name in names if not name.startswith(".")]
        found += [
            path
            for path in paths
            if path.suffix.lower() in READERS and path.is_file() and path.resolve().is_relative_to(inside)
        ]
    return sorted(found)
