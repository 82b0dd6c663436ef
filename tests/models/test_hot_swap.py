"""docs/hot-swap.md: its code runs as it stands, and each task answers as it does alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from peftir import tuners
from peftir.models import saving
from peftir.models.backbone import link_wheels
from peftir.models.biencoder import new_biencoder
from peftir.models.crossencoder import new_crossencoder
from peftir.study.params import MethodParams
from structure import ROOT

PAGE = (ROOT / "docs" / "hot-swap.md").read_text(encoding="utf-8")
SWITCHED, MIXED = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
BACKBONE = "sentence-transformers/all-MiniLM-L6-v2"

TUNED = {
    "cranfield/retriever": {"type": "lora", "rank": 3},
    "cranfield/reranker": {"type": "iaa_l", "rank": 3, "aside_rank": 5},
    "nfcorpus/retriever": {"type": "lora", "rank": 5},
    "nfcorpus/reranker": {"type": "lora", "rank": 3},
    "pydocs/retriever": {"type": "iaa_m", "rank": 3, "aside_rank": 2},
    "pydocs/reranker": {"type": "adapter", "rank": 2},
}
QUERY = "sort an array"
DOCUMENTS = ["Returns a sorted copy of an array.", "Closes a file.", "laminar flow over a flat plate"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models where the page has them, with weights that are no longer those that they started with."""
    root = tmp_path_factory.mktemp("hot-swap")
    link_wheels(root)  # as in the study's folder
    for seed, (name, settings) in enumerate(TUNED.items()):
        torch.manual_seed(seed)
        model: Any
        if name.endswith("retriever"):
            model = new_biencoder(BACKBONE, pooling="mean", query_length=16, document_length=24)
        else:
            model = new_crossencoder(BACKBONE, length=32)
        rates = {"retriever": 1e-3, "reranker": 1e-3}
        saving.attach(model, "any", MethodParams.model_validate({**settings, "learning_rate": rates}))
        with torch.no_grad():
            for weight in model.parameters():
                if weight.requires_grad:
                    weight += 0.02 * torch.randn(weight.shape)
        saving.save(model, root / "tuned" / name, BACKBONE)
    return root


def run(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that ``code`` leaves when it is run in ``folder``."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/hot-swap.md", "exec"), names)
    return names


def test_each_task_answers_as_it_does_alone(tuned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run(SWITCHED, tuned, monkeypatch)
    retriever, reranker = names["retriever"], names["reranker"]
    encoder = retriever[0].model
    assert encoder is reranker[0].model.base_model
    pairs = [(QUERY, document) for document in DOCUMENTS]
    for collection in [*names["collections"], *reversed(names["collections"])]:
        retriever.set_adapter(f"retrieve-{collection}")
        alone: Any = SentenceTransformer(f"tuned/{collection}/retriever")
        tuners.verify(alone[0].model, f"tuned/{collection}/retriever")
        assert retriever.encode_document(DOCUMENTS).tolist() == alone.encode_document(DOCUMENTS).tolist()
        reranker.set_adapter(f"rerank-{collection}")
        alone = CrossEncoder(f"tuned/{collection}/reranker")
        tuners.verify(alone[0].model, f"tuned/{collection}/reranker")
        assert reranker.predict(pairs).tolist() == alone.predict(pairs).tolist()
    answers = {str(names["search"](collection, QUERY, DOCUMENTS)) for collection in names["collections"]}
    assert len(answers) == len(names["collections"])


def test_a_batch_of_several_tasks_is_that_of_each(tuned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run(MIXED, tuned, monkeypatch)
    collections = ["cranfield", "nfcorpus"]
    # The page's call once more in float64, where what is equal hardly differs.
    with torch.no_grad():
        output = names["model"].double()(**names["batch"], adapter_names=[*collections, "__base__"])
    hidden, mask = output.last_hidden_state, names["batch"]["attention_mask"].bool()
    far = (hidden - names["output"].last_hidden_state)[mask].abs().max()
    assert far < 1e-3  # float32 has 6e-8 for each of some 1e3 roundings
    for row, collection in enumerate(collections):
        alone: Any = SentenceTransformer(f"tuned/{collection}/retriever")
        with torch.no_grad():
            expected = alone.double()[0].model(**names["batch"]).last_hidden_state
        torch.testing.assert_close(hidden[row][mask[row]], expected[row][mask[row]], rtol=0, atol=1e-11)
