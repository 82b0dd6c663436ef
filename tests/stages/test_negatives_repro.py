"""Mining and a teacher added to a finished study and taken away again."""

from __future__ import annotations

import pytest
import yaml
from small_study import Study

from peftir.ranking.runs import read_run
from peftir.study import layout

pytestmark = pytest.mark.pipeline

FIRST = {"variant": "zero_shot", "seed": 13, "negatives_from": "bm25", "with_bm25": True, "depth": 20}
EXPERT = {"scores": "models/reranker/iaa_l-13", "negatives_from": "mining/first", "depth": 15}
TAUGHT = {
    "mining": {"first": FIRST},
    "teachers": {"expert": EXPERT},
    "retriever": {"negatives_from": "teachers/expert", "negatives_depth": 10, "loss": "kl"},
}
ADDED = ["train_miner@first", "mine@first", "teacher_scores@expert"]


def test_a_teacher_adds_its_stages_and_without_it_the_study_is_what_it_was(broken: Study) -> None:
    model = layout.model("retriever", "lora", 13)
    loss = layout.curve("retriever", "lora", 13) / "plots/metrics/train/loss.tsv"
    before, params = broken.bytes_under(model, loss), broken.params()
    broken.set_params(TAUGHT)
    assert broken.repro("train_retriever@lora-13") == [*ADDED, "train_retriever@lora-13"]
    scored = read_run(broken.root / layout.negatives("teachers/expert"))
    mined = read_run(broken.root / layout.negatives("mining/first"))
    assert scored.keys() == mined.keys()
    for query, hits in mined.items():
        assert {doc for doc, _ in hits[:15]} <= {doc for doc, _ in scored[query]}
    # A short training may keep the untrained model, but its losses are others.
    assert broken.bytes_under(loss).items().isdisjoint(before.items())

    text = yaml.safe_dump(params, sort_keys=False)
    (broken.root / "params.yaml").write_text(text, encoding="utf-8")
    broken.repro("train_retriever@lora-13")
    assert broken.bytes_under(model, loss) == before
    assert not [stage for stage in ADDED if stage in broken.dvc("stage", "list", "--all")]
