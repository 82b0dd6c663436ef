"""Names of collections and backbones for publication."""

from __future__ import annotations

import re
from pathlib import PurePath


def shown(source: str) -> str:
    """``source``, with a folder outside the study reduced to its last part, to keep private paths out.

    >>> [shown("beir:/home/ada/nfcorpus"), shown("../models/bert"), shown("ir_datasets:beir/scifact/test")]
    ['beir:nfcorpus', 'bert', 'ir_datasets:beir/scifact/test']
    >>> [shown("beir:/home/ada/a:b"), shown("/home/ada:c/bert"), shown("models/retriever/lora-13")]
    ['beir:a:b', 'bert', 'models/retriever/lora-13']
    """
    kind, colon, place = source.partition(":")
    if not re.fullmatch(r"[\w-]+", kind):
        kind, colon, place = "", "", source
    path = PurePath(place)
    outside = path.is_absolute() or place.startswith(("~", ".."))
    return f"{kind}{colon}{path.name}" if outside and path.name not in ("", "..") else source
