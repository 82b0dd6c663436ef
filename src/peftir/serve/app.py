"""The web application: its pages, the JSON API, and what is counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from peftir.serve.chains import BM25, Chain, UnknownChain
from peftir.serve.engine import Engine, SearchAnswer
from peftir.serve.headers import SecurityHeaders
from peftir.serve.metrics import CONTENT_TYPE, ServerMetrics
from peftir.serve.openapi import DEPTH, description
from peftir.serve.page import (
    COLUMNS,
    chains_of,
    default_selection,
    explorer_script,
    render_api,
    render_queries,
    render_search,
    style_sheet,
)
from peftir.serve.query_checks import Refused, checked_depth, checked_query
from peftir.system.errors import PeftirError

THREADS = 32  # requests that are worked on at a time; the others wait
log = logging.getLogger("peftir.serve")


class SearchServer:
    """Answers requests with an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._metrics = ServerMetrics()
        # Threads that stay: Java remembers each one that has called it.
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="search")

    def routes(self) -> list[Route]:
        """What is served at which path."""
        return [
            Route("/", self._page),
            Route("/queries", self._queries),
            Route("/explorer.js", self._script),
            Route("/api", self._api),
            Route("/api/search", self._search),
            Route("/openapi.json", self._openapi),
            Route("/healthz", self._health),
            Route("/metrics", self._counted),
            Route("/style.css", self._style),
        ]

    async def error(self, request: Request, error: Exception) -> Response:
        """The answer to a request that failed: one line in JSON."""
        status, message = _status_and_message(error)
        self._metrics.failed(status)
        if isinstance(error, PeftirError) and status >= 500:  # what nobody expected is logged by uvicorn
            log.error("%s", message)
        return JSONResponse({"error": message}, status)

    async def _page(self, request: Request) -> Response:
        given = request.query_params
        query = given.get("q", "")
        first, rerankers = given.getlist("first"), given.getlist("rerank")
        selection = [*zip(first, [*rerankers, *[""] * len(first)], strict=False)][:COLUMNS]
        selection = selection or default_selection(self._engine.params, self._engine.chains)
        try:
            chains = chains_of(selection, self._engine.chains)
            if query:
                checked_query(query)
            answers = await self._answers(chains, query, DEPTH) if query else []
        except PeftirError as error:
            status, message = _status_and_message(error)
            self._metrics.failed(status)
            if status >= 500:
                log.error("%s", message)
            page = render_search(self._engine, query if status != 413 else "", selection, [], message)
            return HTMLResponse(page, status)
        return HTMLResponse(render_search(self._engine, query, selection, answers))

    async def _search(self, request: Request) -> Response:
        given = request.query_params
        query = checked_query(given.get("q", ""))
        depth = checked_depth(given.get("depth", str(DEPTH)))
        chain = self._engine.chains.parse(given.get("chain", BM25))
        (answer,) = await self._answers([chain], query, depth)
        return JSONResponse(_as_json(query, answer))

    async def _answers(self, chains: Sequence[Chain], query: str, depth: int) -> list[SearchAnswer]:
        """One chain after the other, so that none waits for another's work."""
        answers = []
        for chain in chains:
            search = partial(self._engine.search, chain, query, depth)
            try:
                answer = await asyncio.get_running_loop().run_in_executor(self._pool, search)
            except asyncio.CancelledError:  # by uvicorn, which does not wait any longer
                raise HTTPException(503, "the server is ending") from None
            self._metrics.answered(str(chain), answer.seconds)
            answers.append(answer)
        return answers

    async def _queries(self, request: Request) -> Response:
        if not self._engine.is_evaluated:
            raise HTTPException(404)

        def page() -> str:
            return render_queries(self._engine, self._engine.explorer)

        return HTMLResponse(await asyncio.get_running_loop().run_in_executor(self._pool, page))

    async def _script(self, request: Request) -> Response:
        return PlainTextResponse(explorer_script(), media_type="text/javascript")

    async def _api(self, request: Request) -> Response:
        return HTMLResponse(render_api(self._engine, description()))

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(description())

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _counted(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    async def _style(self, request: Request) -> Response:
        return PlainTextResponse(style_sheet(), media_type="text/css")


def create_app(engine: Engine, hosts: Sequence[str]) -> ASGIApp:
    """The application that answers from ``engine``.

    Args:
        hosts: the names under which the server may be asked for, ``["*"]`` for any: a page of another site
            that lets its own name point here must not read answers (DNS rebinding).
    """
    server = SearchServer(engine)
    handled: tuple[type[Exception], ...] = (HTTPException, PeftirError, Exception)
    app = Starlette(
        routes=server.routes(),
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
        exception_handlers=dict.fromkeys(handled, server.error),
    )
    return SecurityHeaders(app)


def _status_and_message(error: Exception) -> tuple[int, str]:
    """What is said of an error; nothing of one that nobody expected."""
    match error:
        case Refused():
            return error.status, str(error)
        case UnknownChain():
            return 404, str(error)
        case PeftirError():
            return 500, str(error)
        case HTTPException():
            return error.status_code, error.detail
        case _:
            return 500, "internal error; the server's log says more"


def _as_json(query: str, answer: SearchAnswer) -> dict[str, Any]:
    return {
        "query": query,
        "chain": str(answer.chain),
        "milliseconds": round(1000 * answer.seconds, 2),
        "ranked": len(answer.ranking),
        "results": [
            {
                "rank": result.rank,
                "score": result.score,
                "id": result.id,
                "title": result.title,
                "snippet": result.snippet.text,
                "matches": [list(match) for match in result.snippet.matches],
                "grade": result.grade,
            }
            for result in answer.results
        ],
    }
