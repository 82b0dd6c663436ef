"""Fuse BM25's and a retriever's rankings of a test set, with the weight that was selected on dev."""

from __future__ import annotations

from pathlib import Path

from peftir.pipeline.fused import read_both, write_fused
from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.params import Params
from peftir.system.files import replacing


def fuse_test(root: Path, params: Params, test: str, retriever: str) -> None:
    """Write the fused runs of ``test``, as deep as the retriever's; arguments as of :func:`fuse.fuse`."""
    record = Artefact(root, layout.fusion_weight(retriever), "fuse")
    weight, both = record.number(record.json(), "weight"), read_both(root, retriever, "test", test)
    with replacing(root / layout.of(test, layout.fusion(retriever))) as folder:
        write_fused(folder, "test", retriever, both, weight, params.retrieval.depth)
