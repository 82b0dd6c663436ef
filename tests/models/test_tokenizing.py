"""Tokens of long texts: those of the whole, though their ends are not read."""

from __future__ import annotations

import copy
import functools
import io
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sentencepiece import SentencePieceTrainer
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from peftir.models import tokenizing
from peftir.models.backbone import backbone_folder
from peftir.models.tokenizing import CHARACTERS, PATTERNS, beginning, can_be_cut, tokenize

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
CODE = [
    "for i in",
    "range(10):",
    "x[i]",
    "+=",
    "0x1F",
    "'" * 3,
    ");",
    "{",
    "}",
    "# it's",
    "12345",
    "}]);",
    "]]);",
    "))",
    "));",
    "-----",
    "---",
    "//",
    "\x1c",
    ";",
]
CODE_GAPS = [
    " ",
    "\n",
    "\n    ",
    "\n\n\n        ",
    " \n",
    "\r\n",
    "\t",
    "  \r\n  ",
    "\x0b",
    "\u200b ",
    "\u2028",
]
SCRIPTS = [
    "तुम्हारा",
    "क\u093c",
    "ภาษาไทยไม่มีช่องว่าง",
    "한국어",
    "각",
    "ﷺ",
    "ﬃ½²",
    "İstanbul",
    "ΣΑΣ",
    "الْعَرَبِيَّة",
    "𝔘𝔫𝔦",
    "ͺ",
    "¨",
]
# What a text is made of: words and the gaps between them.
KINDS = {
    "prose": (WORDS, GAPS),
    "code": (CODE, CODE_GAPS),
    "scripts": ([*SCRIPTS, *WORDS], [*GAPS, " \u0301", "\u200d "]),
    "no spaces": ([*SCRIPTS, *CODE, *WORDS, "語" * 40], ["", "\n", "\u3000"]),
    "nothing but gaps": (["", "a"], ["  ", "\n", "\r\n", " \n "]),
    "any characters": (
        [chr(code) for code in [*range(1, 0x250), *range(0x2000, 0x2070), *range(0x3000, 0x3060)]],
        ["", "", " ", " a", "a "],
    ),
    "special tokens": (
        ["<s>", "</s>", "<mask>", "<two words>", "<two", "words>", "MASK"],
        ["", " ", "  ", "\n"],
    ),
}


def text(generator: random.Random, words: int, kind: str = "prose") -> str:
    """Words with gaps of all kinds between them."""
    choices, gaps = KINDS[kind]
    return "".join(generator.choice(choices) + generator.choice(gaps) for _ in range(words))


def split_by(pattern: str) -> Any:
    """As Llama 3 and Qwen split: by a pattern, after which bytes stand for characters."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def charsmap() -> bytes:
    """SentencePiece's own table of normal forms, as it comes with a model."""
    model = io.BytesIO()
    words = (" ".join(WORDS) for _ in range(9))
    SentencePieceTrainer.train(
        sentence_iterator=words, model_writer=model, vocab_size=60, hard_vocab_limit=False, minloglevel=9
    )
    return ModelProto.FromString(model.getvalue()).normalizer_spec.precompiled_charsmap


def of_sentencepiece() -> Any:
    return normalizers.Sequence(
        [normalizers.Precompiled(charsmap()), normalizers.Replace(Regex(" {2,}"), "▁")]
    )


LLAMA, QWEN = PATTERNS
SPECIAL = ["<s>", "</s>", "<unk>"]
BPE, UNIGRAM = ("BPE", 1500), ("Unigram", 160)
# Normalizer, pre-tokenizer and model of the families of backbones; and whether their texts can be cut.
FAMILIES: dict[str, tuple[Callable[[], Any], Callable[[], Any], tuple[str, int], bool]] = {
    "BERT": (normalizers.BertNormalizer, pre_tokenizers.BertPreTokenizer, ("WordPiece", 200), True),
    "GPT-2": (lambda: None, lambda: pre_tokenizers.ByteLevel(add_prefix_space=False), BPE, True),
    "RoBERTa": (lambda: None, lambda: pre_tokenizers.ByteLevel(add_prefix_space=True), BPE, True),
    "ModernBERT": (normalizers.NFC, lambda: pre_tokenizers.ByteLevel(add_prefix_space=False), BPE, True),
    "Llama 3": (lambda: None, lambda: split_by(LLAMA), BPE, True),
    "Qwen": (normalizers.NFC, lambda: split_by(QWEN), BPE, True),
    "XLM-R": (of_sentencepiece, pre_tokenizers.Metaspace, UNIGRAM, True),
    "T5": (
        lambda: normalizers.Precompiled(charsmap()),
        lambda: pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
        UNIGRAM,
        True,
    ),
    "SentencePiece BPE": (normalizers.NFKC, pre_tokenizers.Metaspace, BPE, True),
    "digits apart": (
        normalizers.NFKC,
        lambda: pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel()]
        ),
        BPE,
        True,
    ),
    "SentencePiece without split": (
        lambda: None,
        lambda: pre_tokenizers.Metaspace(split=False),
        UNIGRAM,
        False,
    ),
    "Llama 2": (
        lambda: normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        lambda: None,
        BPE,
        False,
    ),
    "bytes without a pattern": (lambda: None, lambda: pre_tokenizers.ByteLevel(use_regex=False), BPE, False),
    "a pattern of its own": (lambda: None, lambda: split_by(r"\w+ \w+|\s+|."), BPE, False),
}


@functools.cache
def trained(family: str) -> PreTrainedTokenizerFast:
    """A small tokenizer of a family, with a token before and after each text and one between a pair's."""
    normalizer, pre_tokenizer, (name, size), _ = FAMILIES[family]
    model, trainer, settings = {
        "WordPiece": (models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer, {}),
        "BPE": (models.BPE(), trainers.BpeTrainer, {}),
        "Unigram": (models.Unigram(), trainers.UnigramTrainer, {"unk_token": "<unk>"}),
    }[name]
    tokenizer = Tokenizer(model)
    if (normal := normalizer()) is not None:
        tokenizer.normalizer = normal
    if (split := pre_tokenizer()) is not None:
        tokenizer.pre_tokenizer = split
    generator = random.Random(0)
    texts = [text(generator, 50, kind) for kind in ("prose", "code", "scripts") for _ in range(10)]
    tokenizer.train_from_iterator(
        texts, trainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False, **settings)
    )
    start, end = (tokenizer.token_to_id(token) for token in ("<s>", "</s>"))
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", start), ("</s>", end)]
    )
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="</s>")
    made.add_tokens(
        [AddedToken("<mask>", lstrip=True), AddedToken("MASK", rstrip=True, single_word=True), "   "]
    )
    return made


@pytest.fixture(scope="module", params=[*FAMILIES, "MiniLM"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    if request.param == "MiniLM":
        return AutoTokenizer.from_pretrained(backbone_folder("sentence-transformers/all-MiniLM-L6-v2", None))
    return trained(request.param)


def whole(tokenizer: Any, texts: Sequence[str], pairs: Sequence[str] | None, length: int) -> dict[str, Any]:
    """The library's own way: all of the texts are read."""
    return dict(tokenizer(list(texts), pairs, truncation="longest_first", max_length=length))


@pytest.mark.parametrize("family", [family for family in FAMILIES if FAMILIES[family][-1]])
@pytest.mark.parametrize("kind", KINDS)
def test_the_tokens_of_a_beginning_are_the_first_of_the_whole(family: str, kind: str) -> None:
    generator = random.Random(kind)
    tokens = functools.partial(trained(family), add_special_tokens=False)
    cut = 0
    for _ in range(150):
        of_kind = text(generator, generator.randrange(2, 40), kind)
        start = beginning(of_kind, generator.randrange(len(of_kind)))
        first, whole = tokens(start).input_ids, tokens(of_kind).input_ids
        assert first == whole[: len(first)], (start, of_kind)
        cut += len(start) < len(of_kind)
    assert cut or kind in ("no spaces", "nothing but gaps")


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_of_the_whole_texts(
    tokenizer: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random.Random(kind)
    for characters, length in itertools.product((2, CHARACTERS), (4, 9, 33)):
        monkeypatch.setattr(tokenizing, "CHARACTERS", characters)
        texts = [text(generator, generator.randrange(120), kind) for _ in range(12)]
        assert max(map(len, texts)) > characters * length
        assert tokenize(tokenizer, texts, None, length) == whole(tokenizer, texts, None, length)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_of_the_whole_pairs_whichever_is_longer(
    tokenizer: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random.Random(kind)
    for characters, length in itertools.product((2, CHARACTERS), (9, 16)):
        monkeypatch.setattr(tokenizing, "CHARACTERS", characters)
        # Not longer: the library makes an overflow of every two parts of a pair.
        texts = [[text(generator, generator.randrange(length), kind) for _ in range(10)] for _ in range(2)]
        queries, documents = texts
        queries[:5] = [query[: generator.randrange(1, length)] for query in queries[:5]]
        assert tokenize(tokenizer, queries, documents, length) == whole(tokenizer, queries, documents, length)


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_are_cut_where_that_is_proven_and_nowhere_else(family: str) -> None:
    assert can_be_cut(trained(family)) is FAMILIES[family][-1]


def test_an_added_token_of_two_words_is_not_cut(tokenizer: Any) -> None:
    of_two_words = copy.deepcopy(tokenizer)
    of_two_words.add_tokens(["<two words>"])
    texts = ["sort " * words + "<two words> sort" * 20 for words in range(60)]
    assert not can_be_cut(of_two_words)
    assert tokenize(of_two_words, texts, None, 12) == whole(of_two_words, texts, None, 12)


def test_a_tokenizer_that_keeps_the_end_is_given_the_end(tokenizer: Any) -> None:
    keeps_end = copy.deepcopy(tokenizer)
    keeps_end.truncation_side = "left"
    texts = ["a list to sort " * 100 + "in place"]
    assert tokenize(keeps_end, texts, None, 9) == whole(keeps_end, texts, None, 9)


class Counting:
    """A tokenizer that counts the characters that it is given."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.characters = tokenizer, 0
        self.is_fast, self.truncation_side = tokenizer.is_fast, tokenizer.truncation_side
        self.backend_tokenizer = tokenizer.backend_tokenizer

    def __call__(self, texts: list[str], pairs: list[str] | None, **kwargs: Any) -> Any:
        self.characters += sum(map(len, texts))
        return self.tokenizer(texts, pairs, **kwargs)


def test_a_long_text_is_not_read_to_its_end(tokenizer: Any) -> None:
    counting = Counting(tokenizer)
    tokenize(counting, ["a list to sort " * 10_000], None, 16)
    read = CHARACTERS * 16 if can_be_cut(tokenizer) else len("a list to sort ") * 10_000
    assert 0 < counting.characters <= read


def test_a_text_whose_words_are_long_is_read_whole(tokenizer: Any) -> None:
    texts = ["an " + "a" * 500 + " of a list to sort in place", "日本語" * 200]
    assert tokenize(tokenizer, texts, None, 12) == whole(tokenizer, texts, None, 12)
