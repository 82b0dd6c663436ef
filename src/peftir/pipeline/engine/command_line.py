"""The command lines of ``peftir repro`` and ``peftir cluster``."""

from __future__ import annotations

import argparse
from typing import Any

from peftir.system.arguments import positive
from peftir.system.errors import PeftirError


def add_repro(commands: Any) -> None:
    """Add ``peftir repro`` to the command line."""
    command = commands.add_parser(
        "repro",
        help="run stale stages as dvc repro does, several at a time",
        description="Run the stages that dvc repro would run, as many at a time as fit on the machine or a "
        "Ray cluster, with the same outputs, dvc.lock and cache. See docs/cluster.md.",
        epilog="example: peftir repro train_retriever@lora-13 --jobs 2",
    )
    command.add_argument("target", nargs="*", metavar="TARGET", help="as for dvc repro; default: all stages")
    command.add_argument("--jobs", type=positive, metavar="N", help="stages at a time; default: what fits")
    command.add_argument(
        "--address", metavar="HOST:PORT", help="of a running Ray cluster; auto finds this node's"
    )
    command.add_argument("--dry-run", action="store_true", help="only print the stages that would run")
    command.set_defaults(run=_run_repro)


def _run_repro(arguments: argparse.Namespace) -> int:
    # Imported here, because importing DVC takes seconds.
    from peftir.pipeline.engine.driver import repro

    return repro(arguments.target, arguments.jobs, arguments.address, arguments.dry_run)


def add_cluster(commands: Any) -> None:
    """Add ``peftir cluster`` to the command line."""
    command = commands.add_parser(
        "cluster",
        help="run a DVC command whose stages run on a Ray cluster, such as a queue of experiments",
        description="Run a command of DVC. Each stage that it starts waits for free threads and a free GPU "
        "of a Ray cluster and runs there. See docs/sweeps.md.",
        epilog="example: peftir cluster dvc queue start -j 4",
    )
    command.add_argument(
        "--address", metavar="HOST:PORT", default="auto", help="of the Ray cluster; default: this node's"
    )
    command.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="with its arguments")
    command.set_defaults(run=_run_cluster)


def _run_cluster(arguments: argparse.Namespace) -> int:
    from peftir.pipeline.engine.experiments import run_on_cluster

    if not arguments.command:
        raise PeftirError("peftir cluster: expected a command, such as dvc queue start -j 4")
    return run_on_cluster(arguments.command, arguments.address)
