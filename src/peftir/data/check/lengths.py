"""Text lengths in tokens of the backbone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

SAMPLE = 10_000  # number of documents, and of queries, that are tokenized


class Ruler(NamedTuple):
    """Length measurement of documents or queries: a token counter, and the maximum length in the study."""

    tokens: Callable[[list[str]], list[int]]
    maximum: int


@dataclass(frozen=True)
class Lengths:
    """Statistics of the lengths of ``texts`` random texts, in tokens, special tokens included."""

    texts: int
    mean: float
    median: int
    most_of_95_percent: int
    longest: int
    maximum: int
    share_cut_off: float


class Sample:
    """A uniform random sample of at most ``size`` of the added texts (Vitter 1985, algorithm R)."""

    def __init__(self, size: int = SAMPLE) -> None:
        self.texts: list[str] = []
        self._size, self._seen, self._random = size, 0, random.Random(0)

    def add(self, text: str) -> None:
        """Add a text, which may replace another one in the sample."""
        self._seen += 1
        if len(self.texts) < self._size:
            self.texts.append(text)
        elif (place := self._random.randrange(self._seen)) < self._size:
            self.texts[place] = text


def lengths_of(sample: Sample, ruler: Ruler) -> Lengths | None:
    """The statistics of the lengths in a sample; ``None`` if it is empty."""
    if not sample.texts:
        return None
    tokens = np.fromiter(_counted(sample.texts, ruler), dtype=np.int64)
    return Lengths(
        texts=len(tokens),
        mean=round(float(tokens.mean()), 1),
        median=int(np.median(tokens)),
        most_of_95_percent=int(np.quantile(tokens, 0.95, method="higher")),
        longest=int(tokens.max()),
        maximum=ruler.maximum,
        share_cut_off=round(float((tokens > ruler.maximum).mean()), 4),
    )


def _counted(texts: list[str], ruler: Ruler) -> Iterator[int]:
    for start in tqdm(range(0, len(texts), 256), desc="tokens", unit="", mininterval=5, leave=False):
        yield from ruler.tokens(texts[start : start + 256])
