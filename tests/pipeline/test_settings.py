"""Settings that only the backbone or ir-measures can judge: refused before the first training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import processors
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from peftir.pipeline.check import check_source
from peftir.pipeline.settings import check_settings
from peftir.study.params import Params, load_params
from peftir.system.errors import PeftirError
from tiny_backbone import write_tiny_bert

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As RoBERTa: it says 50 positions and has 48."""
    folder = write_tiny_bert(tmp_path_factory.mktemp("backbone"), ["query:", "find", "this"])
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    RobertaModel(
        RobertaConfig(vocab_size=16, max_position_embeddings=50, pad_token_id=1, **sizes)
    ).save_pretrained(folder)
    return folder


def with_settings(backbone: Path, **blocks: dict[str, Any]) -> Params:
    content = load_params(ROOT / "params.yaml").model_dump()
    lengths = {"retriever": {"query_length": 8, "document_length": 48}, "reranker": {"length": 48}}
    for changes in ({"backbone": {"name": str(backbone)}, **lengths}, blocks):
        for block, settings in changes.items():
            content[block] |= settings
    return Params.model_validate(content)


WRONG: dict[str, tuple[dict[str, dict[str, Any]], str]] = {
    "a document beyond the positions": (
        {"retriever": {"document_length": 49}},
        "retriever.document_length: 49: expected 48 at most, the tokens that backbone.name '",
    ),
    "a query beyond the positions": (
        {"retriever": {"query_length": 600}},
        "retriever.query_length: 600: expected 48 at most, the tokens that backbone.name '",
    ),
    "a pair beyond the positions": (
        {"reranker": {"length": 512}},
        "reranker.length: 512: expected 48 at most, the tokens that backbone.name '",
    ),
    "a query's prefix that leaves nothing of it": (
        {"retriever": {"query_prefix": "find this find this query: query: "}},
        "retriever.query_prefix: 'find this find this query: query: ': is 8 tokens, special ones included; "
        "expected fewer than retriever.query_length, which is 8",
    ),
    "a document's prefix that leaves nothing of it": (
        {"retriever": {"document_prefix": "find " * 46}},
        f"retriever.document_prefix: '{'find ' * 46}': is 48 tokens, special ones included; ",
    ),
    "a measure to choose retrievers by": (
        {"retriever": {"selected_by": "RR@ten"}},
        "retriever.selected_by: measure 'RR@ten' is not known; expected one like RR@10",
    ),
    "a measure to choose re-rankers by": (
        {"reranker": {"selected_by": "nDCG@0"}},
        "reranker.selected_by: measure 'nDCG@0' is not known",
    ),
    "a measure of retrieval": (
        {"measures": {"retrieval": ["RR@10", "recall"]}},
        "measures.retrieval: measure 'recall' is not known",
    ),
    "a measure of re-ranking": (
        {"measures": {"reranking": ["ndcg_cut_10"]}},
        "measures.reranking: measure 'ndcg_cut_10' is not known",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_backbone_or_the_measures_cannot_do_is_refused(name: str, backbone: Path) -> None:
    blocks, message = WRONG[name]
    with pytest.raises(PeftirError) as error:
        check_settings(Path(), with_settings(backbone, **blocks))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def changed(backbone: Path, folder: Path, **config: Any) -> Path:
    """A copy of ``backbone`` whose ``config.json`` says something else."""
    shutil.copytree(backbone, folder)
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | config))
    return folder


NO_BACKBONES: dict[str, tuple[dict[str, Any], str]] = {
    "a family that transformers has": (
        {"model_type": "opt"},
        "family 'opt' is unknown, expected one of bert",
    ),
    "a family that it does not have": ({"model_type": "none"}, "The checkpoint you are trying to load has"),
    "a head of several outputs": (
        {"architectures": ["RobertaForSequenceClassification"], "id2label": {"0": "a", "1": "b", "2": "c"}},
        "has a head of 3 outputs; expected a cross-encoder with one",
    ),
}


@pytest.mark.parametrize("name", NO_BACKBONES)
def test_a_backbone_that_no_stage_could_use_is_refused(name: str, backbone: Path, tmp_path: Path) -> None:
    config, message = NO_BACKBONES[name]
    folder = changed(backbone, tmp_path / "other", **config)
    with pytest.raises(PeftirError) as error:
        check_settings(Path(), with_settings(folder))
    assert str(error.value).startswith(f"backbone.name: '{folder}': {message}")
    assert "\n" not in str(error.value)


def test_a_prefix_leaves_room_for_the_appended_token_too(backbone: Path, tmp_path: Path) -> None:
    folder = changed(backbone, tmp_path / "other")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, eos_token="[SEP]")
    tokenizer.backend_tokenizer.post_processor = processors.Sequence([])  # no special tokens
    tokenizer.save_pretrained(folder)
    seven: dict[str, Any] = {"retriever": {"query_prefix": "find " * 7}}
    params = with_settings(folder, **seven)
    check_settings(Path(), params)
    ended = params.model_copy(update={"backbone": params.backbone.model_copy(update={"append_eos": True})})
    with pytest.raises(PeftirError, match=r"^retriever\.query_prefix: .*: is 8 tokens, special ones includ"):
        check_settings(Path(), ended)


INDEX: dict[str, tuple[dict[str, dict[str, Any]], str]] = {
    "an index that faiss does not know": (
        {"index": {"factory": "Flaat"}},
        "index.factory: 'Flaat': not an index that faiss can make of vectors of 16 numbers",
    ),
    "an index that does not divide the vectors": (
        {"index": {"factory": "IVF4,PQ5"}},
        "index.factory: 'IVF4,PQ5': not an index that faiss can make of vectors of 16 numbers",
    ),
    "search parameters of another index": (
        {"retrieval": {"search_parameters": "nprobe=4"}},
        "retrieval.search_parameters: 'nprobe=4': not for this index",
    ),
    "search parameters that are none": (
        {"index": {"factory": "IVF4,Flat"}, "retrieval": {"search_parameters": "nprobes=4"}},
        "retrieval.search_parameters: 'nprobes=4': not for this index",
    ),
}


@pytest.mark.parametrize("name", INDEX)
def test_check_refuses_what_faiss_cannot_do(name: str, backbone: Path) -> None:
    blocks, message = INDEX[name]
    with pytest.raises(PeftirError) as error:
        check_source(Path(), with_settings(backbone, **blocks), "pydocs")
    assert str(error.value).startswith(message)


def test_check_takes_search_parameters_of_the_index(backbone: Path) -> None:
    blocks = {"index": {"factory": "IVF4,Flat"}, "retrieval": {"search_parameters": "nprobe=4"}}
    with pytest.raises(PeftirError, match=r"collection\.source: 'nowhere' is unknown"):
        check_source(Path(), with_settings(backbone, **blocks), "nowhere")


def test_lengths_up_to_the_last_position_are_taken(backbone: Path) -> None:
    check_settings(Path(), with_settings(backbone))
