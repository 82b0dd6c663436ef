"""What a tokenizer puts around the tokens of one text, or of two, and how it cuts two that are too long.

With this, a text is tokenized once and read alone or in any pair: the tokens are those that the tokenizer
gives for the text, or the pair, itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peftir.models.tokenizing import Tokens, end_of_text, tokenize

PROBE = "a"


@dataclass(frozen=True)
class Template:
    """The special tokens of one text or of a pair.

    Attributes:
        parts: each is a special token's id, or ``None`` where the next text's tokens stand; and its type id.
        types: whether the tokenizer gives type ids at all.
        is_fast, keeps_end: of the tokenizer, by which follows what is cut.
        end: what is read where there is no token at all; ``None`` if it cannot be so.
    """

    parts: tuple[tuple[int | None, int], ...]
    types: bool
    is_fast: bool
    keeps_end: bool
    end: int | None

    @classmethod
    def of(cls, tokenizer: Any, texts: int) -> Template:
        """The template of ``tokenizer`` for one text or for two, read off what it gives for a probe."""
        alone = len(tokenizer(PROBE, add_special_tokens=False)["input_ids"])
        encoded = tokenizer(*[PROBE] * texts, return_special_tokens_mask=True)
        types = encoded.get("token_type_ids", [0] * len(encoded["input_ids"]))
        parts: list[tuple[int | None, int]] = []
        place = 0
        for id, type, special in zip(
            encoded["input_ids"], types, encoded["special_tokens_mask"], strict=True
        ):
            if special:
                parts.append((id, type))
                continue
            if place % alone == 0:
                parts.append((None, type))
            place += 1
        assert place == texts * alone
        return cls(
            tuple(parts),
            "token_type_ids" in encoded,
            tokenizer.is_fast,
            tokenizer.truncation_side == "left",
            end_of_text(tokenizer) if len(parts) == texts else None,
        )

    @property
    def special(self) -> int:
        """How many special tokens there are."""
        return sum(id is not None for id, _ in self.parts)

    def bare(self, tokens: list[int]) -> list[int]:
        """The tokens of a text alone without the special ones around it."""
        place = self.parts.index(next(part for part in self.parts if part[0] is None))
        return tokens[place : len(tokens) - (len(self.parts) - 1 - place)]

    def fill(self, *texts: list[int]) -> tuple[list[int], list[int]]:
        """The tokens, and their type ids, of texts whose tokens fit."""
        ids: list[int] = []
        types: list[int] = []
        left = iter(texts)
        for id, type in self.parts:
            put = next(left) if id is None else [id]
            ids += put
            types += [type] * len(put)
        if not ids and self.end is not None:
            return [self.end], [0]
        return ids, types

    def encode(self, rows: Sequence[Sequence[list[int]]]) -> Tokens:
        """What the tokenizer gives for texts, or pairs, whose tokens ``rows`` has, less the mask."""
        filled = [self.fill(*row) for row in rows]
        tokens = {"input_ids": [ids for ids, _ in filled]}
        return tokens | ({"token_type_ids": [types for _, types in filled]} if self.types else {})

    def cut(
        self, first: list[int], second: list[int], sizes: tuple[int, int], length: int
    ) -> tuple[list[int], list[int]]:
        """What is kept of two texts in a pair of ``length`` tokens.

        Args:
            first, second: their tokens; of a long text no more than ``length`` less the special ones matter.
            sizes: how many tokens the whole texts have.
            length: tokens of the pair, special ones included.
        """
        kept = _longest_first(*sizes, length - self.special, self.is_fast)
        return self._cut(first, kept[0]), self._cut(second, kept[1])

    def _cut(self, tokens: list[int], count: int) -> list[int]:
        return tokens[max(0, len(tokens) - count) :] if self.keeps_end else tokens[:count]


def bare_tokens(tokenizer: Any, texts: Sequence[str], count: int) -> list[list[int]]:
    """The tokens of each text without special ones, ``count`` at most: those that stay when it is cut."""
    template = Template.of(tokenizer, 1)
    encoded = tokenize(tokenizer, texts, None, count + template.special)
    tokens = [template.bare(ids) for ids in encoded["input_ids"]]
    # The end of text, that an empty one is read as alone, is no token of its in a pair.
    ended = [row for row, ids in enumerate(tokens) if ids == [template.end]]
    for row, size in zip(ended, whole_sizes(tokenizer, [texts[row] for row in ended]), strict=True):
        tokens[row] = tokens[row][:size]
    return tokens


def whole_sizes(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """How many tokens each of ``texts`` has, special ones not counted and nothing cut."""
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=False, truncation=False)
    return [len(ids) for ids in encoded["input_ids"]]


def _longest_first(first: int, second: int, room: int, is_fast: bool) -> tuple[int, int]:
    """How many tokens are kept of two texts with ``first`` and ``second`` tokens if there is room for some.

    Where both lose, they keep half each. An odd token is the longer one's, and of equally long ones the
    second's; with tokenizers written in Python it is always the first's.
    """
    half = room // 2
    if first + second <= room:
        return first, second
    if min(first, second) > half:
        return (room - half, half) if first > second or not is_fast else (half, room - half)
    return (first, room - first) if first <= half else (room - second, second)
