"""The query explorer of the report: two rankings side by side, query by query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peftir.study import layout
from peftir.study.artefacts import Artefact


@dataclass(frozen=True)
class Explorer:
    """The data of the page's script, see :func:`peftir.pipeline.explorer.explorer`."""

    data: dict[str, Any]

    @property
    def note(self) -> str:
        """A description of the values, the rankings and the selection of queries."""
        shown, left_out = len(self.data["queries"]), self.data["left_out"]
        selection = (
            f" The {shown:,} queries are those on which the rankings differ most; {left_out:,} others are "
            "left out, so the counts here are not those of all queries."
            if left_out
            else ""
        )
        return (
            "Values are means over seeds, as in metrics/per_query.parquet. The rankings, of which the first "
            f"{self.data['depth']} documents are shown, are those of the first seed.{selection}"
        )


def read_explorer(root: Path) -> Explorer:
    """Read ``metrics/explorer.json``.

    Raises:
        PeftirError: the file is missing or malformed.
    """
    artefact = Artefact(root, layout.EXPLORER, "evaluate")
    content = artefact.json()
    for key in ("tasks", "queries", "documents", "depth", "left_out"):
        artefact.get(content, key)
    return Explorer(content)
