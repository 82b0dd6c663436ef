"""Places on the nodes of a Ray cluster for the processes of a stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from peftir.pipeline.engine.needs import Needs
from peftir.system.errors import PeftirError


@contextmanager
def placed(ray: Any, needs: Needs, stopped: Callable[[], bool]) -> Iterator[list[dict[str, Any]]]:
    """Wait until all processes of a stage have a place, and yield the options of a Ray task in each.

    The places are those of a placement group, on as few nodes as possible. Leaving the block ends the tasks
    that still run in them.

    Args:
        ray: the module, connected to a cluster.
        needs: of the stage.
        stopped: whether to give up waiting.

    Raises:
        PeftirError: the nodes do not have as many places.
        InterruptedError: ``stopped`` returned true.
    """
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    bundle = bundle_of(needs, [node["Resources"] for node in ray.nodes() if node["Alive"]])
    group = placement_group([bundle] * needs.processes)
    try:
        while not group.wait(1):
            if stopped():
                raise InterruptedError
        yield [
            {
                "num_cpus": bundle["CPU"],
                "num_gpus": bundle.get("GPU", 0),
                "memory": bundle.get("memory"),
                "scheduling_strategy": PlacementGroupSchedulingStrategy(
                    group, placement_group_bundle_index=index
                ),
            }
            for index in range(needs.processes)
        ]
    finally:
        remove_placement_group(group)


def bundle_of(needs: Needs, nodes: list[dict[str, float]]) -> dict[str, float]:
    """The resources of each process, at most those of the largest node.

    Args:
        needs: of the stage.
        nodes: Ray's names of resources and their amounts, for each node.

    Raises:
        PeftirError: the nodes do not have room for all processes.
    """
    most = {name: max(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU", "memory")}
    wanted = {
        "CPU": min(needs.threads_each, most["CPU"]) or 1,
        "GPU": int(needs.computing and most["GPU"] > 0),
        "memory": min(needs.memory_mb * 2**20, int(most["memory"] * 0.9)),
    }
    bundle = {name: amount for name, amount in wanted.items() if amount}
    places = sum(int(min(node.get(name, 0) // amount for name, amount in bundle.items())) for node in nodes)
    if needs.processes > places:
        setting = f"{needs.key}: {needs.processes}" if needs.processes > 1 else f"threads: {needs.threads}"
        each = f"{bundle['CPU']:g} CPU{' and 1 GPU' if 'GPU' in bundle else ''}"
        raise PeftirError(
            f"params.yaml: {setting}: the cluster has places for {places} processes with {each} each; set it "
            "lower, or add nodes"
        )
    return bundle
