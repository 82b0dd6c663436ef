"""The source ``trec:<folder>``: documents, topics and qrels in the formats of TREC's ad-hoc tracks.

The folder contains ``documents/``, with files of ``<DOC>`` elements at any depth; ``topics.txt``; and
``qrels.txt``, which is divided into splits, or one file per split: ``qrels.train.txt``, ``qrels.dev.txt`` and
``qrels.test.txt``, with ``topics.train.txt`` and so on or a single ``topics.txt``. Any file may be gzipped.
The format is described in Voorhees and Harman 2005, "TREC: Experiment and Evaluation in Information
Retrieval"; a query is a topic's title.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from peftir.data.collection import SPLITS
from peftir.data.content import Again, Content, Document, Query, Report, refuse
from peftir.data.sources.columns import trec_judgements
from peftir.data.sources.folders import find, find_or_refuse, folder_of
from peftir.data.sources.lines import lines_of
from peftir.data.splits import complete, divide
from peftir.system.errors import PeftirError

LAYOUT = "a folder of TREC documents"
ELEMENT = r"<({names})\b[^>]*>(.*?)</\1\s*>"
TITLES = re.compile(ELEMENT.format(names="TITLE|HEADLINE|HEAD|HL|TTL"), re.IGNORECASE | re.DOTALL)
TEXTS = re.compile(ELEMENT.format(names="TEXT|LEADPARA|LP"), re.IGNORECASE | re.DOTALL)
NUMBER = re.compile(r"<DOCNO>\s*(.*?)\s*</DOCNO>", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]*>", re.DOTALL)
FIELD = re.compile(r"<(num|title|desc|narr)>\s*(?:(?:Number|Topic|Description|Narrative):)?", re.IGNORECASE)


def read(place: str, documents: int | None, shares: Mapping[str, float], report: Report = refuse) -> Content:
    """Read a folder of TREC documents; arguments and errors as :func:`peftir.data.sources.beir.read`."""
    folder = folder_of("trec", place, documents)
    files = sorted(path for path in (folder / "documents").rglob("*") if path.is_file())
    if not files:
        raise PeftirError(f"{folder / 'documents'}: has no files; {LAYOUT} has its documents there")
    whole = find(folder, "qrels.txt")
    if whole is not None:
        qrels = divide(Again(partial(trec_judgements, whole, report)), shares)
        topics = {find_or_refuse(folder, LAYOUT, "topics.txt")}
    else:
        found = {split: path for split in SPLITS if (path := find(folder, f"qrels.{split}.txt"))}
        if not found:
            raise PeftirError(
                f"{folder / 'qrels.txt'}: is missing; {LAYOUT} has it, or qrels.test.txt and so on"
            )
        qrels = complete(
            {split: Again(partial(trec_judgements, path, report)) for split, path in found.items()}, shares
        )
        topics = {find_or_refuse(folder, LAYOUT, f"topics.{split}.txt", "topics.txt") for split in found}
    return Content(
        documents=Again(lambda: _documents(files, report)),
        qrels=qrels,
        queries=_topics(sorted(topics), report),
        origin={"source": "trec", "folder": folder.resolve().name},
    )


def _documents(files: Iterable[Path], report: Report) -> Iterator[Document]:
    for path in files:
        for where, element in _elements(path, "DOC", report):
            number = NUMBER.search(element)
            if number is None:
                report(f"{where}: the document has no <DOCNO>; expected one")
                continue
            title = TITLES.search(element)
            texts = [text for _, text in TEXTS.findall(element)]
            if not texts:  # without a text element, all but the number and title is text
                texts = [TITLES.sub(" ", NUMBER.sub(" ", element), count=1)]
            yield Document(number[1], _plain(title[2] if title else ""), _plain(" ".join(texts)), where)


def _plain(text: str) -> str:
    """The text of an element on one line, without tags and with entities decoded."""
    return " ".join(html.unescape(TAG.sub(" ", text)).split())


def _topics(files: Iterable[Path], report: Report) -> Iterator[Query]:
    for path in files:
        for where, element in _elements(path, "top", report):
            _, *parts = FIELD.split(element)
            fields = {name.lower(): _plain(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}
            missing = [name for name in ("num", "title") if not fields.get(name)]
            if missing:
                report(f"{where}: the topic has no <{missing[0]}>; expected one")
            else:
                yield Query(fields["num"], fields["title"], where)


def _elements(path: Path, name: str, report: Report) -> Iterator[tuple[str, str]]:
    """Yield ``(place, content)`` for each element ``name``; its tags are at the start and end of a line."""
    opening, closing = f"<{name}>".casefold(), f"</{name}>".casefold()
    start, lines = "", list[str]()
    for where, line in lines_of(path, report):
        tag = line.strip().casefold()
        if tag.startswith(opening):
            if start:
                report(f"{start}: this <{name}> is not closed before the next one; expected </{name}>")
            start, lines = where, []
        if not start:
            report(f"{where}: is {line.strip()[:40]!r}; expected <{name}>, all else stands within one")
            return
        lines.append(line)
        if tag.endswith(closing):
            content = "\n".join(lines).strip()
            yield start, content[len(opening) : -len(closing)]
            start = ""
    if start:
        report(f"{start}: this <{name}> is not closed before the file ends; expected </{name}>")
