"""Tokens of long texts: those of the whole, though their ends are not read."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from peftir.models.backbone import backbone_folder
from peftir.models.tokenizing import CHARACTERS, tokenize

WORDS = [
    "sort",
    "Über",
    "naïve",
    "in-place",
    "x_1",
    "(list)",
    "日本語",
    "word's",
    "e\u0301te\u0301",
    "😀",
    "a" * 130,
]
GAPS = [" ", " ", " ", "  ", "   ", "\n", "\n    ", " \t ", "\u00a0", "\u3000"]


def text(generator: random.Random, words: int) -> str:
    """Words with gaps of all kinds between them."""
    return "".join(generator.choice(WORDS) + generator.choice(GAPS) for _ in range(words))


def trained(pre_tokenizer: Any, model: Any, trainer: Any) -> PreTrainedTokenizerFast:
    """A tokenizer made from the words above, with a token before and after each text."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    generator = random.Random(0)
    tokenizer.train_from_iterator([text(generator, 50) for _ in range(50)], trainer)
    start, end = (tokenizer.token_to_id(token) for token in ("<s>", "</s>"))
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", start), ("</s>", end)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="</s>")


@pytest.fixture(scope="module", params=["WordPiece", "byte-level BPE", "Unigram"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    special = ["<s>", "</s>", "<unk>"]
    if request.param == "byte-level BPE":
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
        return trained(pre_tokenizers.ByteLevel(add_prefix_space=False), models.BPE(), trainer)
    if request.param == "Unigram":
        trainer = trainers.UnigramTrainer(
            vocab_size=80, special_tokens=special, unk_token="<unk>", show_progress=False
        )
        return trained(pre_tokenizers.Metaspace(), models.Unigram(), trainer)
    return AutoTokenizer.from_pretrained(backbone_folder("sentence-transformers/all-MiniLM-L6-v2", None))


def whole(tokenizer: Any, texts: Sequence[str], pairs: Sequence[str] | None, length: int) -> dict[str, Any]:
    """The library's own way: all of the texts are read."""
    return dict(tokenizer(list(texts), pairs, truncation="longest_first", max_length=length))


@pytest.mark.parametrize("length", [4, 9, 16, 33])
def test_tokens_are_those_of_the_whole_texts(tokenizer: Any, length: int) -> None:
    generator = random.Random(length)
    texts = [text(generator, generator.randrange(80)) for _ in range(300)]
    assert max(map(len, texts)) > 2 * CHARACTERS * length
    assert tokenize(tokenizer, texts, None, length) == whole(tokenizer, texts, None, length)


@pytest.mark.parametrize("length", [9, 16, 33])
def test_tokens_are_those_of_the_whole_pairs_whichever_is_longer(tokenizer: Any, length: int) -> None:
    generator = random.Random(length)
    queries, documents = ([text(generator, generator.randrange(60)) for _ in range(120)] for _ in range(2))
    queries[:40] = [query[: generator.randrange(1, length)] for query in queries[:40]]
    assert tokenize(tokenizer, queries, documents, length) == whole(tokenizer, queries, documents, length)


def test_a_tokenizer_that_keeps_the_end_is_given_the_end(tokenizer: Any) -> None:
    keeps_end = copy.deepcopy(tokenizer)
    keeps_end.truncation_side = "left"
    texts = ["a list to sort " * 100 + "in place"]
    assert tokenize(keeps_end, texts, None, 9) == whole(keeps_end, texts, None, 9)


class Counting:
    """A tokenizer that counts the characters that it is given."""

    is_fast, truncation_side = True, "right"

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.characters = tokenizer, 0

    def __call__(self, texts: list[str], pairs: list[str] | None, **kwargs: Any) -> Any:
        self.characters += sum(map(len, texts))
        return self.tokenizer(texts, pairs, **kwargs)


def test_a_long_text_is_not_read_to_its_end(tokenizer: Any) -> None:
    counting = Counting(tokenizer)
    tokenize(counting, ["a list to sort " * 10_000], None, 16)
    assert 0 < counting.characters <= CHARACTERS * 16


def test_a_text_whose_words_are_long_is_read_whole(tokenizer: Any) -> None:
    texts = ["an " + "a" * 500 + " of a list to sort in place", "日本語" * 200]
    assert tokenize(tokenizer, texts, None, 12) == whole(tokenizer, texts, None, 12)
