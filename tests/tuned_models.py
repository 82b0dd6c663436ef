"""A script that tests run in a process of their own: tunes and saves models, and scores with saved ones.

``python tuned_models.py OUT [EARLIER]`` saves each model to OUT twice and prints, as JSON, the hashes of its
files each time, and the scores that it gives before it is saved, or else those that EARLIER's models give.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch

BACKBONE = "sentence-transformers/all-MiniLM-L6-v2"
VARIANTS = {
    "full": {"type": "full"},
    "lora": {"type": "lora", "rank": 3},  # odd sizes put weights at odd addresses of the file
    "adapter": {"type": "adapter", "rank": 3},
    "iaa_l": {"type": "iaa_l", "rank": 3, "aside_rank": 5},
}
RATES = {"retriever": 1e-3, "reranker": 1e-3}
TEXTS = ["", "sort a list", "Return the items in ascending order.", "a text longer than the maximum " * 20]
PAIRS = [("sort a list", text) for text in TEXTS]


def main() -> None:
    torch.set_num_threads(1)
    out, *earlier = map(Path, sys.argv[1:])
    saved = saved_scores(earlier[0]) if earlier else {}
    scores, hashes = {}, {}
    for name in VARIANTS:
        for kind, score in (("retriever", retriever_scores), ("reranker", reranker_scores)):
            model = tuned(kind, name)
            scores[f"{kind}/{name}"] = score(model)
            hashes[f"{kind}/{name}"] = []
            for length in (5, 9):
                model.tokenizer(TEXTS, truncation=True, padding=True, max_length=length)
                hashes[f"{kind}/{name}"].append(hashes_after_saving(model, out / kind / name))
    print(json.dumps({"scores": saved or scores, "hashes": hashes}))


def tuned(kind: str, name: str) -> Any:
    """A model whose trainable weights are no longer those that it started with."""
    from peftir.models import saving
    from peftir.models.biencoder import new_biencoder
    from peftir.models.crossencoder import new_crossencoder
    from peftir.study.params import MethodParams

    torch.manual_seed(5)
    if kind == "retriever":
        model = new_biencoder(BACKBONE, pooling="mean", query_length=8, document_length=12)
    else:
        model = new_crossencoder(BACKBONE, length=16)
    saving.attach(model, name, MethodParams(**VARIANTS[name], learning_rate=RATES))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.02 * torch.randn(weight.shape)
    return model.eval()


def hashes_after_saving(model: Any, folder: Path) -> dict[str, str]:
    from peftir.models import saving

    saving.save(model, folder, BACKBONE)
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def saved_scores(root: Path) -> dict[str, Any]:
    """Scores as a user gets them, without the rest of peftir."""
    from sentence_transformers import CrossEncoder, SentenceTransformer

    import peftir.tuners  # noqa: F401

    assert "peftir.models.saving" not in sys.modules
    scores = {}
    for name in VARIANTS:
        for kind, load, score in (
            ("retriever", SentenceTransformer, retriever_scores),
            ("reranker", CrossEncoder, reranker_scores),
        ):
            scores[f"{kind}/{name}"] = score(load(str(root / kind / name)))
    return scores


def retriever_scores(model: Any) -> list[list[float]]:
    return model.encode_query(TEXTS).tolist() + model.encode_document(TEXTS).tolist()


def reranker_scores(model: Any) -> list[float]:
    return model.predict(PAIRS).tolist()


if __name__ == "__main__":
    main()
