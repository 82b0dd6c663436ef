"""The search page, written by the server: it needs no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from peftir.report.explorer import Explorer
from peftir.report.style import BY_DAY, BY_NIGHT
from peftir.report.templating import environment
from peftir.serve.chains import BM25, FUSED, Chain, Chains, ModelName
from peftir.serve.engine import Engine, Result, SearchAnswer
from peftir.serve.query_checks import MOST_CHARACTERS
from peftir.study.params import Params
from peftir.study.sources import shown

COLUMNS = 3
LISTED = 200  # queries of a set on the page

Selection = list[tuple[str, str]]
"""For each column the first stage and the re-ranker; either may be empty."""


@dataclass(frozen=True)
class ResultRow:
    """A document in a column, and where it moved against the first column."""

    result: Result
    movement: str | None
    direction: str


@dataclass(frozen=True)
class Column:
    """One chain's answer."""

    answer: SearchAnswer
    rows: list[ResultRow]


@dataclass(frozen=True)
class QuerySet:
    """Judged queries to click: texts and links of the first ones, and how many there are."""

    title: str
    links: list[tuple[str, str]]
    count: int


def chains_of(selection: Selection, chains: Chains) -> list[Chain]:
    """The chain of each column that has one.

    Raises:
        UnknownChain: the study has no such chain.
    """
    names = (f"{first}/{reranker}" if reranker else first for first, reranker in selection if first)
    return [chains.parse(name) for name in names]


def default_selection(params: Params, chains: Chains) -> Selection:
    """BM25, a retriever, and BM25 re-ranked, as far as the study has them: adapters, if there are any."""
    retriever = _first_adapter(params, chains.retrievers)
    reranker = _first_adapter(params, chains.rerankers)
    return [
        (BM25, ""),
        *([(retriever, "")] if retriever else []),
        *([(BM25, reranker)] if reranker else []),
    ]


def columns_of(answers: Sequence[SearchAnswer]) -> Iterator[Column]:
    """The columns of the page; movements are against the whole ranking of the first."""
    for number, answer in enumerate(answers):
        before = {id: rank for rank, (id, _) in enumerate(answers[0].ranking, start=1)} if number else None
        yield Column(answer, [ResultRow(result, *_movement(result, before)) for result in answer.results])


def render_search(
    engine: Engine,
    query: str,
    selection: Selection,
    answers: Sequence[SearchAnswer],
    error: str | None = None,
) -> str:
    """The page with the answers to ``query``, or with what was wrong with it."""
    padded = [*selection, *[("", "")] * COLUMNS][:COLUMNS]
    chosen = [pair for pair in padded if pair[0]]
    return _page(
        "search.html",
        collection=shown(engine.params.collection.source),
        documents=engine.collection.count_documents(),
        query=query,
        most=MOST_CHARACTERS,
        selection=padded,
        bm25=BM25,
        fused=FUSED,
        chains=engine.chains,
        columns=list(columns_of(answers)),
        error=error,
        query_sets=[
            _query_set(title, queries, chosen) for title, queries in engine.judged.sets.items() if queries
        ],
        evaluated=engine.is_evaluated,
    )


def render_queries(engine: Engine, explorer: Explorer) -> str:
    """The page that compares two variants query by query, with the report's explorer."""
    return _page("queries.html", collection=shown(engine.params.collection.source), explorer=explorer)


def render_api(engine: Engine, description: dict[str, Any]) -> str:
    """The page that describes the API, from its OpenAPI description."""
    return _page("api.html", description=description, chains=engine.chains)


def explorer_script() -> str:
    """The script of the page :func:`render_queries`."""
    return _page("explorer.js")


@cache
def style_sheet() -> str:
    """The report's style sheet and what the search page has beyond it."""
    hues = "".join(f"--hue-{number}: {colour};" for number, colour in enumerate(BY_DAY))
    dark = "".join(f"--hue-{number}: {colour};" for number, colour in enumerate(BY_NIGHT))
    of_report = (files("peftir.report") / "templates" / "page.css").read_text(encoding="utf-8")
    own = (files("peftir.serve") / "templates" / "search.css").read_text(encoding="utf-8")
    schemes = f":root {{{hues}}}\n@media screen and (prefers-color-scheme: dark) {{:root {{{dark}}}}}\n"
    return schemes + of_report + own


def _first_adapter(params: Params, models: dict[str, ModelName]) -> str | None:
    adapters = (
        key for key, name in models.items() if params.methods[name.variant].type not in ("full", "zero_shot")
    )
    return next(adapters, None) or next(iter(models), None)


def _movement(result: Result, before: dict[str, int] | None) -> tuple[str | None, str]:
    """How a document moved, and a word for it; ``before`` has the ranks in the first column."""
    if before is None:
        return None, ""
    if result.id not in before:
        return "new", "new"
    moved = before[result.id] - result.rank
    return (f"▲ {moved}", "up") if moved > 0 else (f"▼ {-moved}", "down") if moved else ("=", "same")


def _query_set(title: str, queries: dict[str, str], selection: Selection) -> QuerySet:
    texts = list(queries.values())
    return QuerySet(title, [(text, f"/?{_link(text, selection)}") for text in texts[:LISTED]], len(texts))


def _link(query: str, selection: Selection) -> str:
    pairs = [("q", query)]
    for first, reranker in selection:
        pairs += [("first", first), ("rerank", reranker)]
    return urlencode(pairs)


def _page(template: str, **values: Any) -> str:
    return environment("peftir.serve", "peftir.report").get_template(template).render(**values)
