"""The command ``peftir compare``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from peftir.system.errors import PeftirError


def add_compare(commands: Any) -> None:
    """Add ``peftir compare`` to the command's parser."""
    command = commands.add_parser(
        "compare",
        help="compare several studies, such as the experiments of a sweep",
        description="Compare studies that differ in backbone, budget, labels or collection, by the files "
        "that git keeps of them: one table, the claims over all studies, and a figure. p-values are "
        "corrected over all studies. See docs/sweeps.md.",
        epilog="example: peftir compare small-budget large-budget --figure budgets.svg",
    )
    command.add_argument(
        "study", nargs="+", metavar="STUDY", help="a DVC experiment, a git revision, or a folder"
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="print Markdown")
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print the rows of all studies as CSV")
    command.add_argument("--figure", type=Path, metavar="FILE", help="also write the figure, as SVG")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    # Imported here, because these imports take seconds.
    from peftir.diff.revisions import revision_or_folder, study_around
    from peftir.pipeline.compare.comparison import compare_studies
    from peftir.pipeline.compare.figure import write_figure
    from peftir.pipeline.compare.tables import as_csv, as_json, as_markdown, as_text

    if arguments.figure and arguments.figure.is_dir():
        raise PeftirError(f"--figure {arguments.figure}: is a folder; expected a file, such as figure.svg")
    root = study_around(Path())
    found = compare_studies([revision_or_folder(root, name) for name in arguments.study])
    forms = {"md": as_markdown, "json": as_json, "csv": as_csv}
    form = next((write for name, write in forms.items() if getattr(arguments, name)), as_text)
    print(form(found))
    if arguments.figure:
        write_figure(arguments.figure, found)
    return 0
