from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import WORDS, stir, tiny_config, tiny_configs, tiny_model
from transformers import BertForSequenceClassification, BertModel, PreTrainedModel

from tiny_backbone import write_tokenizer


@pytest.fixture
def make_bert() -> Callable[..., PreTrainedModel]:
    """A random tiny BERT, the same at each call; the bare encoder, or with a head on it."""

    def make(head: bool = False, **changes: object) -> PreTrainedModel:
        torch.manual_seed(0)
        bert = (BertForSequenceClassification if head else BertModel)(tiny_config(**changes))
        stir(bert.parameters())
        return bert.eval()

    return make


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Three texts of 7, 4 and 1 tokens, padded."""
    ids = torch.randint(5, 40, (3, 7), generator=torch.Generator().manual_seed(2))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6])
    return {"input_ids": ids * mask, "attention_mask": mask}


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with its tokenizer, saved as a user's backbone would be."""
    folder = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    bert = BertModel(tiny_config())
    stir(bert.parameters())
    bert.save_pretrained(folder)
    write_tokenizer(folder, WORDS, 32)
    return folder


@pytest.fixture(scope="session")
def family_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny backbone of each family, saved with its tokenizer."""
    folders = {}
    for family, config in tiny_configs().items():
        folders[family] = tmp_path_factory.mktemp(family)
        tiny_model(config).save_pretrained(folders[family])
        write_tokenizer(folders[family], WORDS, 32)
    return folders
