"""The command ``peftir``.

Each command is declared by one small function, registered in ``COMMANDS``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from peftir.system.arguments import fraction, positive
from peftir.system.errors import PeftirError, exits_cleanly
from peftir.system.quiet import silence_libraries

# What argparse calls the object that add_subparsers returns.
Commands = argparse._SubParsersAction


@exits_cleanly
def main() -> None:
    """Run the command that the command line names, and exit with its code."""
    silence_libraries()
    try:
        arguments = command_line().parse_args()
        code = arguments.run(arguments)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.partition(".")[0] in ("", "peftir"):
            raise
        # The library alone installs the command, too, and none of what the study needs.
        raise PeftirError(
            f"{missing}: is not installed; a study needs `pip install 'peftir[pipeline]'`, "
            "and its search page 'peftir[pipeline,serve]'"
        ) from error
    sys.exit(code)


def command_line() -> argparse.ArgumentParser:
    """The parser of all commands; in what it returns, ``run`` is the function that runs the command."""
    parser = argparse.ArgumentParser(
        prog="peftir",
        description="Parameter-efficient tuning for information retrieval, as a reproducible study.",
        epilog="example: peftir doctor",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for register in COMMANDS:
        register(commands)
    return parser


def _doctor(commands: Commands) -> None:
    command = commands.add_parser(
        "doctor",
        help="check that the study can run on this machine",
        description="Print a line per check, with the remedy if something is wrong. "
        "Exits with 1 if the study cannot run.",
        epilog="example: peftir doctor --quiet",
    )
    command.add_argument("--quiet", action="store_true", help="print only what is not ok")
    command.set_defaults(run=_diagnose)


def _diagnose(arguments: argparse.Namespace) -> int:
    from peftir import doctor

    return 0 if doctor.diagnose(arguments.quiet) else 1


def _count(commands: Commands) -> None:
    command = commands.add_parser(
        "count",
        help="count the weights that each variant trains and stores",
        description="Print for each variant of params.yaml the number of trained weights (including biases), "
        "their share of the backbone, the weights of the re-ranker's head, and bytes on disk.",
        epilog="example: peftir count --backbone sentence-transformers/all-MiniLM-L6-v2 --variant lora",
    )
    command.add_argument("--backbone", metavar="PATH-OR-ID", help="default: the one in params.yaml")
    command.add_argument("--variant", action="append", metavar="V", help="may be repeated; default: all")
    command.add_argument("--json", action="store_true", help="print JSON, one object per variant")
    command.set_defaults(run=_run_count)


def _run_count(arguments: argparse.Namespace) -> int:
    # Imported here, because these imports take seconds.
    from peftir.pipeline.count import as_table, count_variants
    from peftir.study.params import load_params

    params = load_params()
    names = arguments.variant or list(params.methods)
    counts = count_variants(Path(), params, arguments.backbone or params.backbone.name, names)
    print(json.dumps([asdict(count) for count in counts], indent=2) if arguments.json else as_table(counts))
    return 0


def _diff(commands: Commands) -> None:
    command = commands.add_parser(
        "diff",
        help="compare the results of two git revisions: which differences are more than noise",
        description="Compare the metrics of two revisions by variant, stage and measure: better, within "
        "noise or worse. Also lists changed params. Reads git only, not DVC's cache. See docs/sweeps.md.",
        epilog="example: peftir diff main --fail-on worse",
    )
    command.add_argument("before", nargs="?", default="HEAD", metavar="REV_A", help="default: HEAD")
    command.add_argument("after", nargs="?", metavar="REV_B", help="default: the workspace")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="print Markdown, for a pull request")
    form.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--fail-on", choices=["worse"], help="exit with 1 if any line is worse")
    command.set_defaults(run=_run_diff)


def _run_diff(arguments: argparse.Namespace) -> int:
    from peftir.diff.compare import compare
    from peftir.diff.revisions import revision, study_around, workspace
    from peftir.diff.tables import as_json, as_markdown, as_text

    root = study_around(Path())
    before = revision(root, arguments.before)
    found = compare(before, revision(root, arguments.after) if arguments.after else workspace(root))
    print((as_markdown if arguments.md else as_json if arguments.json else as_text)(found))
    return int(any(line.verdict == arguments.fail_on for line in found.lines))


def _compare(commands: Commands) -> None:
    from peftir.pipeline.compare.command import add_compare

    add_compare(commands)


def _power(commands: Commands) -> None:
    command = commands.add_parser(
        "power",
        help="compute how many seeds and test queries a study needs",
        description="From the variances in a study's metrics, print how many seeds and test queries it takes "
        "to find a difference between two methods, and to show that they are alike. See docs/statistics.md.",
        epilog="example: peftir power docs/study/pydocs-gpu --difference 0.02",
    )
    command.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="has metrics/queries.parquet; default: the study around the current folder",
    )
    command.add_argument("--difference", type=fraction, default=0.01, metavar="D", help="default: 0.01")
    command.add_argument(
        "--comparisons", type=positive, default=1, metavar="N", help="correct for N comparisons; default: 1"
    )
    command.set_defaults(run=_run_power)


def _run_power(arguments: argparse.Namespace) -> int:
    from peftir.diff.revisions import study_around
    from peftir.pipeline.power import as_table, requirements

    difference, comparisons = arguments.difference, arguments.comparisons
    found = requirements(arguments.folder or study_around(Path()), difference, comparisons)
    print(as_table(found, difference, comparisons))
    return 0


def _check(commands: Commands) -> None:
    command = commands.add_parser(
        "check",
        help="check documents, queries and judgements of a source",
        description="Read all of a source, or of the sources in params.yaml, and print their contents, how "
        "much of the texts the lengths in params.yaml truncate, and every problem with its file and line. "
        "Exits with 1 if there is a problem, which would stop the stage prepare or prepare_test.",
        epilog="example: peftir check beir:../nfcorpus",
    )
    command.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="as collection.source in params.yaml; default: the collection and the test sets there",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=_run_check)


def _run_check(arguments: argparse.Namespace) -> int:
    from peftir.data.check import as_text
    from peftir.pipeline.check import check_source, check_sources
    from peftir.study.params import load_params

    if arguments.source:
        found = [check_source(Path(), load_params(), arguments.source)]
    else:
        found = check_sources(Path(), load_params())
    if arguments.json:
        contents = [asdict(findings) for findings in found]
        print(json.dumps(contents[0] if arguments.source else contents, indent=2))
    else:
        print("\n\n".join(map(as_text, found)))
    return int(any(findings.problems for findings in found))


def _export(commands: Commands) -> None:
    from peftir.pipeline.export_command import add_export

    add_export(commands)


def _repro(commands: Commands) -> None:
    from peftir.pipeline.engine.command_line import add_repro

    add_repro(commands)


def _cluster(commands: Commands) -> None:
    from peftir.pipeline.engine.command_line import add_cluster

    add_cluster(commands)


def _serve(commands: Commands) -> None:
    from peftir.serve.commands import add_serve

    add_serve(commands)


def _docs(commands: Commands) -> None:
    from peftir.serve.commands import add_docs

    add_docs(commands)


def _search(commands: Commands) -> None:
    from peftir.serve.commands import add_search

    add_search(commands)


COMMANDS: tuple[Callable[[Commands], None], ...] = (
    _repro,
    _cluster,
    _doctor,
    _count,
    _check,
    _diff,
    _compare,
    _power,
    _export,
    _serve,
    _search,
    _docs,
)


if __name__ == "__main__":
    main()
