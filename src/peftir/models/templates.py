"""A tokenizer's special tokens around one or two texts, and its truncation of pairs.

With a template, each text is tokenized once and then used alone or in any pair. The result equals the
tokenizer's own for that text or pair.
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
        parts: (id, type id) of each special token; the id is ``None`` at the place of the next text's tokens.
        types: whether the tokenizer returns type ids.
        is_fast, keeps_end: of the tokenizer; they determine the truncation.
        end: the token used where there is none at all; ``None`` if that cannot happen.
    """

    parts: tuple[tuple[int | None, int], ...]
    types: bool
    is_fast: bool
    keeps_end: bool
    end: int | None

    @classmethod
    def of(cls, tokenizer: Any, texts: int) -> Template:
        """The template of ``tokenizer`` for one or two texts, derived from its output for a probe."""
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
        """The number of special tokens."""
        return sum(id is not None for id, _ in self.parts)

    def bare(self, tokens: list[int]) -> list[int]:
        """The tokens of a single text without the special tokens around it."""
        place = self.parts.index(next(part for part in self.parts if part[0] is None))
        return tokens[place : len(tokens) - (len(self.parts) - 1 - place)]

    def fill(self, *texts: list[int]) -> tuple[list[int], list[int]]:
        """The token ids and type ids of a text or pair that fits the maximum length."""
        ids: list[int] = []
        types: list[int] = []
        left = iter(texts)
        for id, type in self.parts:
            added = next(left) if id is None else [id]
            ids += added
            types += [type] * len(added)
        if not ids and self.end is not None:
            return [self.end], [0]
        return ids, types

    def encode(self, rows: Sequence[Sequence[list[int]]]) -> Tokens:
        """The tokenizer's output, without the attention mask, for texts or pairs with the tokens ``rows``."""
        filled = [self.fill(*row) for row in rows]
        tokens = {"input_ids": [ids for ids, _ in filled]}
        return tokens | ({"token_type_ids": [types for _, types in filled]} if self.types else {})

    def cut(
        self, first: list[int], second: list[int], sizes: tuple[int, int], length: int
    ) -> tuple[list[int], list[int]]:
        """Truncate two texts to a pair of ``length`` tokens.

        Args:
            first, second: their tokens; of a long text the first ``length`` minus the special tokens suffice.
            sizes: number of tokens of the whole texts.
            length: maximum number of tokens of the pair, special tokens included.
        """
        kept = _longest_first(*sizes, length - self.special, self.is_fast)
        return self._cut(first, kept[0]), self._cut(second, kept[1])

    def _cut(self, tokens: list[int], count: int) -> list[int]:
        return tokens[max(0, len(tokens) - count) :] if self.keeps_end else tokens[:count]


def bare_tokens(tokenizer: Any, texts: Sequence[str], count: int) -> list[list[int]]:
    """The tokens of each text without special tokens, truncated to ``count``."""
    template = Template.of(tokenizer, 1)
    encoded = tokenize(tokenizer, texts, None, count + template.special)
    tokens = [template.bare(ids) for ids in encoded["input_ids"]]
    # An empty text alone is read as the end-of-text token, but has no tokens in a pair.
    ended = [row for row, ids in enumerate(tokens) if ids == [template.end]]
    for row, size in zip(ended, whole_sizes(tokenizer, [texts[row] for row in ended]), strict=True):
        tokens[row] = tokens[row][:size]
    return tokens


def whole_sizes(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """The number of tokens of each text, without special tokens and truncation."""
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=False, truncation=False)
    return [len(ids) for ids in encoded["input_ids"]]


def _longest_first(first: int, second: int, room: int, is_fast: bool) -> tuple[int, int]:
    """The number of tokens kept of two texts with ``first`` and ``second`` tokens in ``room`` tokens.

    If both are truncated, each keeps half. An odd token belongs to the longer text, or to the second of
    equally long ones; with slow (Python) tokenizers it always belongs to the first.
    """
    half = room // 2
    if first + second <= room:
        return first, second
    if min(first, second) > half:
        return (room - half, half) if first > second or not is_fast else (half, room - half)
    return (first, room - first) if first <= half else (room - second, second)
