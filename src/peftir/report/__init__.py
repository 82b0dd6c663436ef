"""The report of a study: an HTML page, and its tables as Markdown and LaTeX.

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
    """Write ``index.html``, ``results.md`` and ``tables.tex`` of the study in ``root`` to its ``report``.

    Only the variants and seeds in ``params`` are read; other artefacts are ignored. ``results.md`` and
    ``tables.tex`` contain no seconds or memory, so equal results produce identical files.

    Raises:
        PeftirError: an artefact is missing or malformed; names the file and the stage that writes it.
    """
    # Imported here, so that the stage evaluate, which uses this package, does not import matplotlib.
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
