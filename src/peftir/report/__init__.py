"""The report of a study: ``report/results.md`` to be kept in git, ``report/index.html`` to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peftir.files import replacing
from peftir.report.markdown import render_markdown
from peftir.report.page import render_page
from peftir.report.reading import read_study

if TYPE_CHECKING:
    from peftir.params import Params


def write_report(root: Path, params: Params) -> None:
    """Write ``report/results.md`` and ``report/index.html`` of the study under ``root``.

    Variants and seeds come from ``params`` alone: whatever else lies in the folders is ignored.
    ``results.md`` says nothing of seconds or memory, so the same results give the same bytes.

    Raises:
        PeftirError: an artefact is missing or not as expected; names the file and the stage that makes it.
    """
    study = read_study(root, params)
    for name, text in (("results.md", render_markdown(study)), ("index.html", render_page(study))):
        with replacing(root / "report" / name) as path:
            path.write_text(text, encoding="utf-8")
