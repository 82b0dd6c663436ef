"""The source ``smart:<folder>``: collections in the format of SMART, such as CACM, CISI, Cranfield and MED.

The folder holds a file of documents (``*.all``, ``cran.all.1400``), one of queries (``*.qry``, ``*.que``,
``query.text``) and one of judgements (``qrels.text``, ``*.rel``, ``cranqrel``). Other files are ignored, and
any file may be gzipped. A document or query starts with ``.I`` and its id, followed by ``.T`` and a title,
``.W`` and its text, authors, references and so on, each on its own lines (Salton 1971, "The SMART Retrieval
System"). The queries are divided into splits by ``collection.splits``.

The judgements have three formats: ``query document code``, ``query document 0 0`` and ``query 0 document 1``.
A listed pair is relevant, with grade 1, unless its code is 0 or negative: in some distributions of Cranfield
a higher code means more relevant, in others less. Cranfield also numbers judged queries by position in the
file instead of id: if a judged query is no query's id, all are taken as positions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from peftir.data.content import Again, Content, Document, Judgement, Query, Report, refuse
from peftir.data.sources.folders import folder_of
from peftir.data.sources.lines import lines_of
from peftir.data.splits import divide
from peftir.system.errors import PeftirError

DOCUMENTS = (r".+\.all(\.\d+)?", "*.all")
QUERIES = (r".+\.(qry|que)|query\.text", "*.qry, *.que or query.text")
JUDGEMENTS = (r".+\.rel|(?!.*readme).*qrels?.*", "qrels.text, *.rel or *qrel")
MARK = re.compile(r"\.([A-Z])\s*")
START = re.compile(r"\.I\b\s*(.*)")

Fields = dict[str, list[str]]


def read(place: str, documents: int | None, shares: Mapping[str, float], report: Report = refuse) -> Content:
    """Read a folder of SMART's files; arguments and errors as :func:`peftir.data.sources.beir.read`."""
    folder = folder_of("smart", place, documents)
    corpus, queries, qrels = (_find(folder, *names) for names in (DOCUMENTS, QUERIES, JUDGEMENTS))
    ids = [id for _, id, _ in _records(queries, refuse_nothing)]
    judged = {query for _, query, _, _ in _rows(qrels, refuse_nothing)}
    places = {str(number): id for number, id in enumerate(ids, start=1)}
    by_place = not judged <= {*ids} and judged <= places.keys()
    return Content(
        documents=Again(partial(_documents, corpus, report)),
        qrels=divide(Again(partial(_judgements, qrels, report)), shares),
        queries=Again(partial(_queries, queries, by_place, report)),
        origin={
            "source": "smart",
            "folder": folder.resolve().name,
            "queries_judged_by": "place" if by_place else "id",
        },
    )


def refuse_nothing(problem: str) -> None:
    """Report that ignores problems, for a first pass; the second pass reports them."""


def _find(folder: Path, pattern: str, names: str) -> Path:
    """The only file of ``folder`` whose name, in lower case, matches ``pattern``.

    Raises:
        PeftirError: no file matches, or several do.
    """
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and re.fullmatch(pattern, path.name.lower().removesuffix(".gz"))
    ]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(path.name for path in found) or "none"
    raise PeftirError(
        f"{folder}: has {listed} of {names}, plain or as .gz; expected one such file of SMART's"
    )


def _documents(path: Path, report: Report) -> Iterator[Document]:
    for where, id, fields in _records(path, report):
        yield Document(id, _text(fields, "T"), _text(fields, "W"), where)


def _queries(path: Path, by_place: bool, report: Report) -> Iterator[Query]:
    for place, (where, id, fields) in enumerate(_records(path, report), start=1):
        yield Query(str(place) if by_place else id, _text(fields, "W") or _text(fields, "T"), where)


def _judgements(path: Path, report: Report) -> Iterator[Judgement]:
    for where, query, document, relevant in _rows(path, report):
        yield Judgement(query, document, int(relevant), where)


def _rows(path: Path, report: Report) -> Iterator[tuple[str, str, str, bool]]:
    """Yield ``(place, query, document, is relevant)`` for each judgement."""
    for where, line in lines_of(path, report):
        fields = line.split()
        if len(fields) == 4 and fields[1] == "0":  # MED, as in TREC: query, 0, document, code
            query, document, code = fields[0], fields[2], fields[3]
        elif len(fields) == 4:  # CACM and CISI: query, document, two unused columns
            query, document, code = fields[0], fields[1], "1"
        elif len(fields) == 3:  # Cranfield: query, document, code
            query, document, code = fields
        else:
            report(f"{where}: has {len(fields)} columns; expected query, document, code")
            continue
        if re.fullmatch("-?[0-9]{1,18}", code):
            yield where, _id(query), _id(document), int(code) > 0
        else:
            report(f"{where}: the code is {code!r:.40}; expected a whole number")


def _records(path: Path, report: Report) -> Iterator[tuple[str, str, Fields]]:
    """Yield ``(place, id, lines by mark)`` for each record with an id."""
    where, id, fields, lines = "", "", Fields(), list[str]()
    for place, line in lines_of(path, report):
        if start := START.fullmatch(line.strip()):
            if id:
                yield where, id, fields
            where, id, fields, lines = place, _id(start[1]), {}, []
            if not id:
                report(f"{place}: is '.I' alone; expected an id after it")
        elif not where:
            report(
                f"{place}: is {line.strip()[:40]!r}; expected .I and an id, with which SMART's records start"
            )
            return
        elif mark := MARK.fullmatch(line):
            lines = fields.setdefault(mark[1], [])
        else:
            lines.append(line)
    if id:
        yield where, id, fields


def _text(fields: Fields, mark: str) -> str:
    return " ".join(" ".join(fields.get(mark, [])).split())


def _id(text: str) -> str:
    """The id without leading zeros, which only some files have."""
    return text.lstrip("0") or "0" if text.isdigit() else text
