from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served_study import write_served_study

from peftir.serve.engine import Engine
from peftir.study.params import load_params


@pytest.fixture(scope="session")
def served_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    write_served_study(root)
    return root


@pytest.fixture(scope="module")
def engine(served_study: Path) -> Iterator[Engine]:
    engine = Engine(served_study, load_params(served_study / "params.yaml"))
    yield engine
    engine.close()
