from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_study import SMALL, Study, clone, environment


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """The small study after one ``peftir repro`` from a cold clone, with an empty model cache and no hub.

    Tests that change something after it run either ``repro``, stages alone, and scripts by hand.
    """
    folder = tmp_path_factory.mktemp("pipeline")
    root = clone(folder / "study")
    study = Study(root, environment(root, models=folder / "models"))
    study.set_params(SMALL)
    study.repro()
    yield study
    shutil.rmtree(folder)


@pytest.fixture
def broken(study: Study, tmp_path: Path) -> Iterator[Study]:
    """A copy of the finished study, to break."""
    root = tmp_path / "study"
    shutil.copytree(study.root, root, ignore=shutil.ignore_patterns("cache"), symlinks=True)
    # Files in DVC's cache are never written to, so that a link will do.
    shutil.copytree(study.root / ".dvc" / "cache", root / ".dvc" / "cache", copy_function=os.link)
    yield Study(root, study.environment | {"PYTHONPATH": str(root / "src")})
    shutil.rmtree(root)
