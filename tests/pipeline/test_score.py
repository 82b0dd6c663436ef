"""Scoring candidates: the same scores whether by one process or by two."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder

from peftir.data.collection import Collection
from peftir.data.content import Content, Document, Judgement, Query
from peftir.data.texts import DocumentTexts
from peftir.data.writing import write_collection
from peftir.models import saving
from peftir.models.crossencoder import CHUNK, new_crossencoder, score_candidates
from peftir.pipeline.score import score_all
from peftir.ranking.runs import Run
from peftir.training.distributed import launch, rank
from tiny_backbone import write_tiny_bert

WORDS = ["sort", "list", "file", "open", "line", "path", "number", "text", "model", "matrix", "graph"]
DEPTH = 60


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As each of two processes has on two cores, so that the sums are the same to the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def score_by_each(folder: Path, queries: dict[str, str], candidates: Run, texts: DocumentTexts) -> None:
    """What each of several processes does."""
    model = saving.load(CrossEncoder, folder / "model")
    scores = score_all(model, queries, candidates, texts, "float32")
    (folder / f"scores-{rank()}.json").write_text(json.dumps(scores))


def test_two_processes_give_what_one_gives(one_thread: None, tmp_path: Path) -> None:
    generator = random.Random(3)
    documents = [Document(f"d{i}", "", " ".join(generator.choices(WORDS, k=1 + i % 5))) for i in range(200)]
    queries = {
        f"q{i}": " ".join(generator.choices(WORDS, k=1 + i % 3)) for i in range(2 * CHUNK // DEPTH + 5)
    }
    content = Content(
        documents=documents,
        qrels={"test": [Judgement("q0", "d0", 1)]},
        queries=[Query(id, text) for id, text in queries.items()],
        origin={"source": "a test"},
    )
    write_collection(tmp_path / "collection", content)
    backbone = str(write_tiny_bert(tmp_path / "tiny", WORDS))
    saving.save(new_crossencoder(backbone, length=16), tmp_path / "model", backbone)
    candidates: Run = {
        query: [(document.id, 0.0) for document in generator.sample(documents, DEPTH)] for query in queries
    }
    texts = DocumentTexts(Collection(tmp_path / "collection"), [document.id for document in documents])
    model = saving.load(CrossEncoder, tmp_path / "model")
    alone = score_candidates(model, queries, candidates, texts, "float32")
    assert sum(map(len, candidates.values())) > 2 * CHUNK  # three chunks, the last one short
    launch(score_by_each, (tmp_path, queries, candidates, texts), 2, "reranking.processes")
    for process in range(2):
        shared = json.loads((tmp_path / f"scores-{process}.json").read_text())
        assert {query: [(doc, score) for doc, score in hits] for query, hits in shared.items()} == alone
