"""Looks through a source of documents without preparing it: ``peftir check``."""

from __future__ import annotations

from peftir.check.findings import Findings, as_text
from peftir.check.lengths import Ruler, rulers_of
from peftir.check.reading import check

__all__ = ["Findings", "Ruler", "as_text", "check", "rulers_of"]
