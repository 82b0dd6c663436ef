from __future__ import annotations

from pathlib import Path

import pytest
from toy_project import Project


@pytest.fixture(scope="session")
def by_dvc(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project after ``dvc repro``; not to be changed."""
    project = Project(tmp_path_factory.mktemp("by-dvc") / "project")
    project.dvc("repro")
    return project


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """The project before anything ran."""
    return Project(tmp_path / "fresh")


@pytest.fixture
def finished(by_dvc: Project, tmp_path: Path) -> Project:
    """A copy of the project after ``dvc repro``, to change."""
    return by_dvc.copy(tmp_path / "finished")
