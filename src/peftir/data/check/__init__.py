"""Validate a source and compute its statistics without preparing it: ``peftir check``."""

from __future__ import annotations

from peftir.data.check.findings import Findings, as_text
from peftir.data.check.lengths import Ruler
from peftir.data.check.reading import check, check_test_set

__all__ = ["Findings", "Ruler", "as_text", "check", "check_test_set"]
