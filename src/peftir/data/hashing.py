"""Choices that follow from a name alone: the same on every machine, whatever else there is to choose from."""

from __future__ import annotations

import hashlib


def point(text: str) -> float:
    """A number from 0 up to 1 that looks random but follows from ``text`` (its SHA-256)."""
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:6], "big") / 2**48
