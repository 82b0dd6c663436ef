"""A tiny random backbone of each family, as a folder that a user would name."""

from __future__ import annotations

import copy
from pathlib import Path

from cases import CONFIGS, FURTHER
from tiny import SENTENCE, tiny_model
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from peftir.tuners import FAMILIES
from tiny_backbone import SPECIAL

DECODERS = tuple(name for name, config in (CONFIGS | FURTHER).items() if FAMILIES[config.model_type].decoder)
TEXTS = ["how do i sort a list", "order", "the stable way is to call sorted", SENTENCE]


def write_backbone(folder: Path, family: str, **sizes: int) -> Path:
    """A tiny backbone of ``family``; a decoder as published: padding on the left, and none in its config.

    As Llama's, the one tokenizer has no padding token and marks where texts begin; as Qwen 3's, the other
    has one and adds nothing.
    """
    config = copy.deepcopy((CONFIGS | FURTHER)[family])
    for name, size in sizes.items():
        setattr(config, name, size)
    if family in ("llama", "qwen3"):
        config.pad_token_id = None
    tiny_model(config).save_pretrained(folder)
    words = [*SPECIAL, *dict.fromkeys(SENTENCE.split())]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens: dict[str, str] = {"unk_token": "[UNK]", "pad_token": "[PAD]", "eos_token": "[SEP]"}
    if family == "llama":
        del tokens["pad_token"]
        begin = [("[CLS]", 2)]
        tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A", "[CLS] $A [CLS] $B", begin)
    elif family not in DECODERS:
        both = [("[CLS]", 2), ("[SEP]", 3)]
        tokenizer.post_processor = processors.TemplateProcessing(
            "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", both
        )
    side = "left" if family in DECODERS else "right"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side=side, **tokens).save_pretrained(folder)
    return folder
