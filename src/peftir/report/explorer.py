"""The part of the report that shows two rankings query by query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftir.study import layout
from peftir.study.artefacts import Artefact


@dataclass(frozen=True)
class Explorer:
    """The data that the page's script draws from, see :func:`peftir.pipeline.explorer.explorer`."""

    data: dict[str, Any]

    @property
    def note(self) -> str:
        """What is shown, for how many queries."""
        shown, left_out = len(self.data["queries"]), self.data["left_out"]
        some = (
            f" The {shown:,} queries are those on which the rankings differ most; {left_out:,} others are "
            "left out, so the counts here are not those of all queries."
            if left_out
            else ""
        )
        return (
            "Values are means over seeds, as in metrics/per_query.parquet. The rankings, of which the first "
            f"{self.data['depth']} documents are shown, are those of the first seed.{some}"
        )


def read_explorer(root: Path) -> Explorer:
    """Read ``metrics/explorer.json``.

    Raises:
        PeftirError: it is missing or damaged.
    """
    artefact = Artefact(root, layout.EXPLORER, "evaluate")
    content = artefact.json()
    for key in ("tasks", "queries", "documents", "depth", "left_out"):
        artefact.get(content, key)
    return Explorer(content)
