"""How the tests are shared out over processes (``pytest -n``), and what holds for all of them."""

from __future__ import annotations

import os
import tempfile

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# A process a core: more threads than cores wait for each other most of the time.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# No test asks the hub; without a network, asking in vain takes minutes.
os.environ["HF_HUB_OFFLINE"] = "1"

# ir_datasets makes its folder when it is imported: not in the tester's home.
if "IR_DATASETS_HOME" not in os.environ:
    IR_DATASETS = tempfile.TemporaryDirectory()
    os.environ["IR_DATASETS_HOME"] = IR_DATASETS.name

PIPELINE = "tests/stages/"
ONE_STUDY = ("test_breakage", "test_ci_diff", "test_negatives_repro", "test_repro", "test_testsets_repro")
"""The pipeline's files whose tests share one finished study."""


class ByFile(LoadScopeScheduling):
    """A file's tests stay together, and so do all of one study: they share what is costly to make."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return PIPELINE if file.removeprefix(PIPELINE).removesuffix(".py") in ONE_STUDY else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    # xdist's own loadgroup finds no groups with pytest 9.2.
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pipeline's tests come first, since they take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(PIPELINE))


@pytest.fixture
def other_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git take every clone for another user's, whatever the tester's own settings say is safe."""
    for name in [name for name in os.environ if name.startswith("GIT_CONFIG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own way to test this
