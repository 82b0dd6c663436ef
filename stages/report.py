"""Write the report: report/index.html to read, report/results.md and report/tables.tex to keep."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.report import write_report
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly


@exits_cleanly
def main() -> None:
    """Write the report."""
    stage_arguments(__doc__, "python stages/report.py")
    write_report(ROOT, load_params())
    print("open report/index.html, or read report/results.md")


if __name__ == "__main__":
    main()
