"""The report of a study: a page to look at, and its tables as Markdown and as LaTeX.

Internal: the stage ``report`` uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peftir.system.files import replacing

if TYPE_CHECKING:
    from peftir.study.params import Params

__all__: list[str] = []


def write_report(root: Path, params: Params) -> None:
    """Write ``index.html``, ``results.md`` and ``tables.tex`` of the study under ``root`` into ``report``.

    Variants and seeds come from ``params`` alone: whatever else lies in the folders is ignored.
    The last two say nothing of seconds or memory, so the same results give the same bytes.

    Raises:
        PeftirError: an artefact is missing or not as expected; names the file and the stage that makes it.
    """
    # Imported here, because evaluate uses modules of this package and should not wait for matplotlib.
    from peftir.report.explorer import read_explorer
    from peftir.report.markdown import render_markdown
    from peftir.report.page import render_page
    from peftir.report.reading import read_study
    from peftir.report.tex import render_tex

    study = read_study(root, params)
    texts = {
        "results.md": render_markdown(study),
        "tables.tex": render_tex(study),
        "index.html": render_page(study, read_explorer(root)),
    }
    for name, text in texts.items():
        with replacing(root / "report" / name) as path:
            path.write_text(text, encoding="utf-8")
