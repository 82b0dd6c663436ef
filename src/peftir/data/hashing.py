"""Pseudo-random numbers from names: the same on every machine, independent of other names."""

from __future__ import annotations

import hashlib


def point(text: str) -> float:
    """A pseudo-random number in [0, 1), from the SHA-256 of ``text``."""
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:6], "big") / 2**48
