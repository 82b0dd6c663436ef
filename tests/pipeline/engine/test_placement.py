"""The places of a stage's processes on the nodes of a cluster."""

from __future__ import annotations

import pytest

from peftir.pipeline.engine.needs import Needs
from peftir.pipeline.engine.placement import bundle_of
from peftir.system.errors import PeftirError

GIB = 2**30
NODES = [{"CPU": 8.0, "GPU": 2.0, "memory": 64.0 * GIB}, {"CPU": 3.0, "GPU": 1.0, "memory": 16.0 * GIB}]


def test_each_process_has_its_share_of_the_threads_a_gpu_and_memory() -> None:
    needs = Needs(threads=6, computing=True, memory_mb=2048, processes=3, key="retriever.processes")
    assert bundle_of(needs, NODES) == {"CPU": 2, "GPU": 1, "memory": 2 * GIB}


def test_more_processes_than_gpus_are_refused() -> None:
    needs = Needs(threads=4, computing=True, processes=4, key="retriever.processes")
    with pytest.raises(
        PeftirError, match=r"retriever.processes: 4: the cluster has places for 3 processes with 1 CPU"
    ):
        bundle_of(needs, NODES)


def test_without_gpus_the_cores_count() -> None:
    nodes = [{"CPU": 8.0, "memory": 64.0 * GIB}, {"CPU": 3.0, "memory": 16.0 * GIB}]
    needs = Needs(threads=8, computing=True, processes=4)
    assert bundle_of(needs, nodes) == {"CPU": 2}  # four on the first node, one on the second
    with pytest.raises(PeftirError, match="places for 5 processes with 2 CPU each"):
        bundle_of(Needs(threads=12, computing=True, processes=6), nodes)


def test_a_stage_never_asks_for_more_than_the_largest_node_has() -> None:
    needs = Needs(threads=32, computing=False, memory_mb=10**6)
    assert bundle_of(needs, NODES) == {"CPU": 8, "memory": int(64 * GIB * 0.9)}


def test_a_node_with_a_gpu_and_too_few_cores_is_said() -> None:
    nodes = [{"CPU": 8.0}, {"CPU": 1.0, "GPU": 1.0}]
    with pytest.raises(PeftirError, match=r"params.yaml: threads: 8: the cluster has places for 0 processes"):
        bundle_of(Needs(threads=8, computing=True), nodes)
