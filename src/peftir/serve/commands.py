"""The command lines of ``peftir serve`` and ``peftir search``; what takes seconds to import comes later."""

from __future__ import annotations

import argparse
import os
import shlex
from functools import partial
from pathlib import Path

from peftir.system.threads import before_imports


def add_serve(commands: argparse._SubParsersAction) -> None:
    """Declare ``peftir serve``."""
    command = commands.add_parser(
        "serve",
        help="search the collection with the trained models, on a web page",
        description="Serve a search page and a JSON API over a study, or over a folder that peftir docs or "
        "peftir export made: BM25, its retrievers, re-rankers and their fusion, side by side. See "
        "docs/serve.md.",
        epilog="example: peftir serve --port 8080",
    )
    command.add_argument(
        "folder", nargs="?", type=Path, default=Path(), metavar="FOLDER", help="default: the current folder"
    )
    _add_address(command)
    command.set_defaults(run=_serve)


def add_docs(commands: argparse._SubParsersAction) -> None:
    """Declare ``peftir docs``."""
    command = commands.add_parser(
        "docs",
        help="search a folder of your own files on a web page, without training",
        description="Prepare the text, Markdown and HTML files of a folder, a document per section, and "
        "serve them: BM25 and the backbone, or a trained model. The second time, only what has changed is "
        "prepared. See docs/serve.md.",
        epilog="example: peftir docs ~/notes --adapter models/retriever/lora-13",
    )
    command.add_argument("folder", type=Path, metavar="FOLDER", help="nothing is written to it")
    command.add_argument(
        "--adapter", type=Path, metavar="MODEL", help="folder of a trained retriever or re-ranker"
    )
    command.add_argument(
        "--into",
        type=Path,
        metavar="FOLDER",
        help="where the indexes go; default: a folder under .peftir in the current folder",
    )
    _add_address(command)
    command.set_defaults(run=_docs)


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

    params = load_params(arguments.folder / "params.yaml")
    before_imports(params.threads)  # as many as the stages, to get their scores
    from peftir.serve.server import serve

    serve(arguments.folder, params, arguments.host, arguments.port)
    return 0


def _docs(arguments: argparse.Namespace) -> int:
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    before_imports(threads)
    from peftir.pipeline.docs import prepare_docs, work_folder

    into = arguments.into or work_folder(arguments.folder)
    tell = partial(print, flush=True)
    params = prepare_docs(arguments.folder, into, arguments.adapter, threads, tell)
    tell(f"{into} has the indexes; `peftir serve {shlex.quote(str(into))}` serves them again")
    from peftir.serve.server import serve

    serve(into, params, arguments.host, arguments.port)
    return 0


def _add_address(command: argparse.ArgumentParser) -> None:
    command.add_argument("--host", default="127.0.0.1", help="address to listen at; default: %(default)s")
    command.add_argument("--port", type=int, default=8000, metavar="N", help="default: %(default)s")


def _search(arguments: argparse.Namespace) -> int:
    from peftir.serve.chains import Chains
    from peftir.serve.query_checks import checked_depth, checked_query
    from peftir.study.params import load_params

    query, depth = checked_query(arguments.query), checked_depth(arguments.depth)
    params = load_params()
    name = f"{arguments.variant}/{arguments.rerank}" if arguments.rerank else arguments.variant
    chain = Chains(Path(), params).parse(name)
    before_imports(params.threads)  # as many as the stages, to get their scores
    from peftir.serve.terminal import search

    search(Path(), params, query, chain, depth)
    return 0
