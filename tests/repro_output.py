"""What ``peftir repro`` prints."""

from __future__ import annotations

import re


def stages_run(output: str) -> list[str]:
    """The stages that ``peftir repro`` ran, and did not only restore, by what it printed."""
    return re.findall(r"^\[\d+/\d+\] (\S+) … log:", output, re.MULTILINE)
