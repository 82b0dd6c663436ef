"""The command ``peftir``.

A command is one small function that declares it and says what it runs, registered in ``COMMANDS``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from peftir import doctor
from peftir.study.seeds import seed
from peftir.system.errors import PeftirError, exits_cleanly
from peftir.system.quiet import silence_libraries

# What argparse calls the object that add_subparsers returns.
Commands = argparse._SubParsersAction


@exits_cleanly
def main() -> None:
    """Run the command that the command line names, and exit with its code."""
    silence_libraries()
    arguments = command_line().parse_args()
    sys.exit(arguments.run(arguments))


def command_line() -> argparse.ArgumentParser:
    """The parser of all commands; ``run`` of what it parses takes that and gives the exit code."""
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
        help="say what on this machine would keep the study from running well",
        description="Print a line for each thing that can be wrong, and what to do about it. "
        "Exits with 1 if the study cannot run.",
        epilog="example: peftir doctor --quiet",
    )
    command.add_argument("--quiet", action="store_true", help="print only what is not ok")
    command.set_defaults(run=lambda arguments: 0 if doctor.diagnose(arguments.quiet) else 1)


def _count(commands: Commands) -> None:
    command = commands.add_parser(
        "count",
        help="count what each variant trains and stores on a backbone",
        description="Print, per variant of params.yaml: weights trained (biases counted), their share of the "
        "backbone, the re-ranker's head apart, and bytes on disk.",
        epilog="example: peftir count --backbone sentence-transformers/all-MiniLM-L6-v2 --variant lora",
    )
    command.add_argument("--backbone", metavar="PATH-OR-ID", help="default: the one in params.yaml")
    command.add_argument("--variant", action="append", metavar="V", help="may be repeated; default: all")
    command.add_argument("--json", action="store_true", help="print JSON, one object a variant")
    command.set_defaults(run=_run_count)


def _run_count(arguments: argparse.Namespace) -> int:
    # Imported here, since these take seconds that the other commands need not wait for.
    from peftir.pipeline.count import as_table, count_variants
    from peftir.study.params import load_params

    params = load_params()
    names = arguments.variant or list(params.methods)
    counts = count_variants(params, arguments.backbone or params.backbone.name, names)
    print(json.dumps([asdict(count) for count in counts], indent=2) if arguments.json else as_table(counts))
    return 0


def _diff(commands: Commands) -> None:
    command = commands.add_parser(
        "diff",
        help="say what changed between two git revisions, and whether it is more than noise",
        description="Compare the metrics that two revisions have in git, by variant, stage and measure: "
        "better, within noise or worse, beside the changed params. Needs no DVC cache. See docs/sweeps.md.",
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


def _check(commands: Commands) -> None:
    command = commands.add_parser(
        "check",
        help="look through documents, queries and judgements before they are prepared",
        description="Read all of a source and print what is in it, how much of it the lengths in params.yaml "
        "cut off, and every problem with its file and line. Exits with 1 if there is one: it would stop the "
        "stage prepare.",
        epilog="example: peftir check beir:../nfcorpus",
    )
    command.add_argument("source", metavar="SOURCE", help="as collection.source in params.yaml")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=_run_check)


def _run_check(arguments: argparse.Namespace) -> int:
    from peftir.data.check import as_text
    from peftir.pipeline.check import check_source
    from peftir.study.params import load_params

    findings = check_source(load_params(), arguments.source)
    print(json.dumps(asdict(findings), indent=2) if arguments.json else as_text(findings))
    return 1 if findings.problems else 0


def _export(commands: Commands) -> None:
    command = commands.add_parser(
        "export",
        help="write a trained model as a folder to give away",
        description="Write a trained model and its model card to a folder that sentence-transformers loads: "
        "the adapter alone or, with --merged, all weights (lora, ia3; full and zero_shot are always whole).",
        epilog="example: peftir export lora --to lora-retriever --merged",
    )
    command.add_argument("variant", metavar="VARIANT", help="a name under methods in params.yaml")
    command.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="must not be there yet")
    command.add_argument("--stage", choices=("retriever", "reranker"), default="retriever")
    command.add_argument("--seed", type=seed, metavar="N", help="default: the first in params.yaml")
    command.add_argument("--merged", action="store_true", help="add the adapter to the backbone's weights")
    command.set_defaults(run=_run_export)


def _run_export(arguments: argparse.Namespace) -> int:
    from peftir.pipeline.export import export
    from peftir.study.params import load_params

    params = load_params()
    if arguments.variant not in params.methods:
        known = ", ".join(params.methods)
        raise PeftirError(f"{arguments.variant}: expected a name under methods in params.yaml: {known}")
    which = arguments.seed
    if which is None and params.methods[arguments.variant].type != "zero_shot":
        which = params.seeds.at(arguments.stage)[0]
    export(params, arguments.variant, arguments.stage, which, arguments.to, arguments.merged)
    print(f"{arguments.to} has the model; {arguments.to / 'README.md'} says what it is and how to load it")
    return 0


def _repro(commands: Commands) -> None:
    command = commands.add_parser(
        "repro",
        help="run what a change made stale, as dvc repro does, several stages at a time",
        description="Run what dvc repro would run, as many stages at a time as the machine or a Ray cluster "
        "holds, and leave what it would leave, dvc.lock and cache too. See docs/cluster.md.",
        epilog="example: peftir repro train_retriever@lora-13 --jobs 2",
    )
    command.add_argument("target", nargs="*", metavar="TARGET", help="as for dvc repro; default: all stages")
    command.add_argument("--jobs", type=_positive, metavar="N", help="stages at a time; default: what fits")
    command.add_argument(
        "--address", metavar="HOST:PORT", help="of a running Ray cluster; auto finds this node's"
    )
    command.add_argument("--dry-run", action="store_true", help="only print what would run")
    command.set_defaults(run=_run_repro)


def _run_repro(arguments: argparse.Namespace) -> int:
    from peftir.pipeline.engine.driver import repro

    return repro(arguments.target, arguments.jobs, arguments.address, arguments.dry_run)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1")
    return int(text)


COMMANDS: tuple[Callable[[Commands], None], ...] = (_repro, _doctor, _count, _check, _diff, _export)


if __name__ == "__main__":
    main()
