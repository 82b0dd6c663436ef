"""Test measures of the chains with a retriever on a test set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from peftir.pipeline.evaluate_chains import write_chain_metrics
from peftir.pipeline.named import block_of
from peftir.study.params import Params


def evaluate_chain_test(root: Path, params: Params, test: str, retriever: str) -> Iterator[Path]:
    """Evaluate the chains with ``retriever`` on ``test`` in its own measures; give the files' paths."""
    measures = block_of("tests", params.tests, test).measures
    yield from write_chain_metrics(root, params, retriever, test, measures)
