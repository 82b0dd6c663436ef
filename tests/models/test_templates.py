"""Texts tokenized once and put together are what their tokenizer gives for the text, or for the pair."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Metaspace, PreTokenizer, WhitespaceSplit
from tokenizers.processors import RobertaProcessing, TemplateProcessing
from transformers import AutoTokenizer, ByT5Tokenizer, CanineTokenizer, PreTrainedTokenizerFast

from peftir.models.backbone import backbone_folder
from peftir.models.templates import Template, bare_tokens, whole_sizes
from peftir.models.tokenizing import tokenize

WORDS = ["sort", "list", "file", "antidisestablishmentarianism", "a", "b", "zebra", "number"]
SPECIAL = {"[PAD]": 0, "[UNK]": 1, "<s>": 2, "</s>": 3}
WORD_ENDS = {f"▁{word}": 4 + i for i, word in enumerate(WORDS)}


def word_level(processor: Any, split: PreTokenizer | None = None) -> Callable[[], Any]:
    """A tokenizer in Rust of these words, with special tokens by ``processor``."""

    def make() -> Any:
        words = {word.removeprefix("▁" if split is None else ""): id for word, id in WORD_ENDS.items()}
        tokenizer = Tokenizer(WordLevel(SPECIAL | words, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = split or WhitespaceSplit()
        if processor is not None:
            tokenizer.post_processor = processor
        names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "<s>", "eos_token": "</s>"}
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)

    return make


BOS = TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B:1", special_tokens=[("<s>", 2)])
TOKENIZERS: dict[str, Callable[[], Any]] = {
    "bert": lambda: AutoTokenizer.from_pretrained(backbone_folder("sentence-transformers/all-MiniLM-L6-v2")),
    "roberta": word_level(RobertaProcessing(("</s>", 3), ("<s>", 2))),
    "llama": word_level(BOS, Metaspace()),
    "qwen": word_level(None),  # no special tokens at all
    "byt5": ByT5Tokenizer,  # in Python, no special token before
    "canine": CanineTokenizer,  # in Python
}


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokens_are_those_of_the_tokenizer(name: str, side: str) -> None:
    tokenizer, draw = TOKENIZERS[name](), random.Random(5)
    tokenizer.truncation_side = side
    single, pair = Template.of(tokenizer, 1), Template.of(tokenizer, 2)
    both_cut = 0
    for _ in range(200):
        first, second = (" ".join(draw.choices(WORDS, k=draw.randrange(1, most))) for most in (14, 20))
        length = draw.choice([8, 9, 16, 23])
        room = length - pair.special
        tokens, sizes = bare_tokens(tokenizer, [first, second], room), whole_sizes(tokenizer, [first, second])
        assert max(map(len, tokens)) <= room
        expected = tokenizer([first], [second], truncation="longest_first", max_length=length)
        found = pair.encode([pair.cut(*tokens, (sizes[0], sizes[1]), length)])
        assert found == {key: expected[key] for key in found}
        assert set(expected) - set(found) <= {"attention_mask"}
        both_cut += min(sizes) > room

        expected = tokenizer([first], truncation=True, max_length=length)
        found = single.encode([bare_tokens(tokenizer, [first], length - single.special)])
        assert found == {key: expected[key] for key in found}
    assert both_cut > 5


@pytest.mark.parametrize("name", ["bert", "llama", "qwen"])
def test_empty_texts_are_read_as_in_inference(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    single, pair = Template.of(tokenizer, 1), Template.of(tokenizer, 2)
    for first, second in (("sort list", ""), ("", "file"), ("", "")):
        tokens = bare_tokens(tokenizer, [first, second], 9)
        sizes = whole_sizes(tokenizer, [first, second])
        expected = tokenize(tokenizer, [first], [second], 9 + pair.special)
        found = pair.encode([pair.cut(*tokens, (sizes[0], sizes[1]), 9 + pair.special)])
        assert found == {key: expected[key] for key in found}
        expected = tokenize(tokenizer, [second], None, 9 + single.special)
        found = single.encode([tokens[1:]])
        assert found == {key: expected[key] for key in found}
        assert found["input_ids"][0]
