"""The tokens that a model reads of texts: of a long text the beginning, so no more of it is tokenized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

CHARACTERS = 6  # of a text for each token to be kept: more than most texts need

Tokens = dict[str, list[list[int]]]


def tokenize(tokenizer: Any, texts: Sequence[str], pairs: Sequence[str] | None, length: int) -> Tokens:
    """What ``tokenizer`` gives for each text, or text and its pair, of ``length`` tokens at most.

    The tokens are those of the whole texts: a beginning is taken where it has more tokens than are kept, and
    the whole text where it has not, and where the end is what the tokenizer keeps.

    Args:
        length: tokens kept of each, special ones included; of a pair the longer text is cut first.
    """
    last = list(texts if pairs is None else pairs)
    cuts = tokenizer.is_fast and tokenizer.truncation_side == "right"
    short = [_beginning(text, CHARACTERS * length) for text in last] if cuts else last
    encoded = _encoded(tokenizer, texts, pairs, short, range(len(last)), length)
    tokens: Tokens = dict(encoded)
    unsure = [
        row
        for row, (text, beginning) in enumerate(zip(last, short, strict=True))
        if len(beginning) < len(text) and not _is_cut_alike(encoded.encodings[row], pairs is not None)
    ]
    if unsure:
        whole = _encoded(tokenizer, texts, pairs, last, unsure, length)
        for key, rows in tokens.items():
            for row, values in zip(unsure, whole[key], strict=True):
                rows[row] = values
    return tokens


def features(tokenizer: Any, tokens: Tokens, device: Any) -> dict[str, Tensor]:
    """``tokens`` as a model takes them: ``[texts, longest]`` each, padded to the longest."""
    return dict(tokenizer.pad(tokens, return_tensors="pt").to(device))


def _encoded(
    tokenizer: Any,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    last: Sequence[str],
    rows: Sequence[int],
    length: int,
) -> Any:
    """The encoding of ``rows``, with ``last`` for the texts, or for the pairs where there are any."""
    replaced = [last[row] for row in rows]
    first = replaced if pairs is None else [texts[row] for row in rows]
    second = None if pairs is None else replaced
    return tokenizer(first, second, truncation="longest_first", max_length=length)


def _beginning(text: str, characters: int) -> str:
    """The words that end in the first ``characters`` of a longer ``text``; the whole if there is no space."""
    if len(text) <= characters:
        return text
    end = text.rfind(" ", 0, characters)
    return text[:end].rstrip() if end > 0 else text


def _is_cut_alike(encoding: Any, pair: bool) -> bool:
    """Whether the tokens kept of a beginning are those kept of the whole.

    Tokens of it have to be left over. Of a pair, the first text has to be there whole, which it is for sure
    if it is clearly the shorter one: were it cut, it would be as long as the other, give or take a token.
    """
    if not encoding.overflowing:
        return False
    kept = encoding.sequence_ids
    return not pair or kept.count(0) + 1 < kept.count(1)
