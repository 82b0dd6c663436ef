"""Examples of queries with a relevant document, for a manual check of a collection."""

from __future__ import annotations

import textwrap
from pathlib import Path

from peftir.data.collection import SPLITS, Collection


def sample_pairs(folder: Path, n: int = 10) -> str:
    """Return ``n`` judged queries, evenly spaced, each with the start of its most relevant document."""
    collection = Collection(folder)
    best = [
        (text, max(grades, key=lambda document: grades[document]))
        for split in SPLITS
        for query_texts, qrels in [(collection.queries(split), collection.qrels(split))]
        for query, text in query_texts.items()
        if max((grades := qrels[query]).values()) > 0
    ]
    selected = [best[number * len(best) // n] for number in range(min(n, len(best)))]
    shown = {document for _, document in selected}
    texts = {id: text for id, text in collection.texts() if id in shown}
    return "\n\n".join(f"{query}\n  {document}\n{_start(texts[document])}" for query, document in selected)


def _start(text: str) -> str:
    short = textwrap.shorten(text, 300, placeholder=" …")
    return textwrap.fill(short, 100, initial_indent="  | ", subsequent_indent="  | ")
