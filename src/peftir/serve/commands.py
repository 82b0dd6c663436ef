"""The command lines of ``peftir serve`` and ``peftir search``; what takes seconds to import comes later."""

from __future__ import annotations

import argparse
from pathlib import Path

from peftir.system.threads import before_imports, use_threads


def add_serve(commands: argparse._SubParsersAction) -> None:
    """Declare ``peftir serve``."""
    command = commands.add_parser(
        "serve",
        help="search the collection with the trained models, on a web page",
        description="Serve a search page and a JSON API over the study in this folder: BM25, its retrievers, "
        "re-rankers and their fusion, side by side. See docs/serve.md.",
        epilog="example: peftir serve --port 8080",
    )
    command.add_argument("--host", default="127.0.0.1", help="address to listen at; default: %(default)s")
    command.add_argument("--port", type=int, default=8000, metavar="N", help="default: %(default)s")
    command.set_defaults(run=_serve)


def add_search(commands: argparse._SubParsersAction) -> None:
    """Declare ``peftir search``."""
    command = commands.add_parser(
        "search",
        help="search the collection with the trained models, in the terminal",
        description="Print the documents that a chain of the study in this folder finds for a query. "
        "See docs/serve.md.",
        epilog='example: peftir search "sort an array" --variant iaa_l --rerank iaa_l --depth 5',
    )
    command.add_argument("query", metavar="TEXT", help="the query")
    command.add_argument(
        "--variant",
        default="bm25",
        metavar="V",
        help="a retriever such as iaa_l, or iaa_l-13 for another than the first seed; rrf:iaa_l fuses it "
        "with BM25; default: %(default)s",
    )
    command.add_argument("--rerank", metavar="V", help="the re-ranker of what was found; default: none")
    command.add_argument("--depth", default="10", metavar="N", help="documents; default: %(default)s")
    command.set_defaults(run=_search)


def _serve(arguments: argparse.Namespace) -> int:
    from peftir.study.params import load_params

    params = load_params()
    _compute_with(params.threads)
    from peftir.serve.server import serve

    serve(Path(), params, arguments.host, arguments.port)
    return 0


def _search(arguments: argparse.Namespace) -> int:
    from peftir.serve.chains import Chains
    from peftir.serve.query_checks import checked_depth, checked_query
    from peftir.study.params import load_params

    query, depth = checked_query(arguments.query), checked_depth(arguments.depth)
    params = load_params()
    name = f"{arguments.variant}/{arguments.rerank}" if arguments.rerank else arguments.variant
    chain = Chains(Path(), params).parse(name)
    _compute_with(params.threads)
    from peftir.serve.terminal import search

    search(Path(), params, query, chain, depth)
    return 0


def _compute_with(threads: int) -> None:
    """Compute with as many threads as the stages, to get their scores."""
    before_imports()
    use_threads(threads)
