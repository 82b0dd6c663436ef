"""Names of collections and backbones for publication."""

from __future__ import annotations

from pathlib import PurePath


def shown(source: str) -> str:
    """``source``, with a folder outside the study reduced to its last part, to keep private paths out.

    >>> [shown("beir:/home/ada/nfcorpus"), shown("../models/bert"), shown("ir_datasets:beir/scifact/test")]
    ['beir:nfcorpus', 'bert', 'ir_datasets:beir/scifact/test']
    """
    kind, colon, place = source.rpartition(":")
    path = PurePath(place)
    outside = path.is_absolute() or place.startswith(("~", ".."))
    return f"{kind}{colon}{path.name}" if outside and path.name not in ("", "..") else source
