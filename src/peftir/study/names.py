"""Which names variants and test sets may have: rows, folders and files, and items of DVC's pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from peftir.study.chain import ALONE, INTERPOLATED, RRF

LONGEST = 64
NO_NAMES = dict.fromkeys(
    ("true", "false", "yes", "no", "on", "off", "null", "y", "n"), "no name in every YAML"
)
RESERVED = {
    "bm25": "the row of BM25 itself",
    **dict.fromkeys((RRF, INTERPOLATED, ALONE), "a line of the tables of chains"),
    **NO_NAMES,
}


def of_variants(methods: Iterable[str]) -> dict[str, str]:
    """``methods`` as names that nothing else may have."""
    return {name.lower(): "a variant of methods" for name in methods}


def problem(variants: Iterable[str], reserved: Mapping[str, str] = RESERVED) -> str | None:
    """The first of ``variants`` whose name is none, or another's, and what was expected.

    Lexical rankings and test sets are named by the same rules, but for ``reserved``: the former have other
    names than variants, the latter have no rows, only folders and items.

    A dot or a hyphen would be taken apart where DVC looks up ``methods.NAME`` and where a folder is called
    ``NAME-SEED``; two names that differ in case alone are one folder on many file systems.
    """
    found: dict[str, str] = {}
    for name in variants:
        folded = name.lower()
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or len(name) > LONGEST:
            return (
                f"{name}: expected a letter, then letters, digits and underscores, {LONGEST} in all at most"
            )
        if folded in reserved:
            return f"{name}: expected another name: '{folded}' is {reserved[folded]}"
        if found.setdefault(folded, name) != name:
            return (
                f"{name}: expected a name that differs from '{found[folded]}' in more than case, since on "
                "many file systems they are one folder"
            )
    return None
