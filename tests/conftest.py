"""How the tests are shared out over processes (``pytest -n``)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# A process a core: more threads than cores wait for each other most of the time.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay together, and so do those of the pipeline: they share what is costly to make.

    The pipeline's come first, since they take longest.
    """
    for item in items:
        path = item.path.relative_to(TESTS)
        item.add_marker(pytest.mark.xdist_group("pipeline" if path.parts[0] == "pipeline" else str(path)))
    items.sort(key=lambda item: "pipeline" not in item.path.parts)
