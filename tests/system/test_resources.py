"""What a piece of work took."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from peftir.system.resources import measured


def test_seconds_memory_and_the_blocks_own_figures_are_written(tmp_path: Path) -> None:
    with measured(tmp_path / "figures.json") as figures:
        figures["seconds_per_step"] = 0.25
    written = json.loads((tmp_path / "figures.json").read_text())
    assert list(written) == ["seconds", "peak_memory_mb", "seconds_per_step"]
    assert written["seconds"] >= 0
    assert written["seconds_per_step"] == 0.25


def test_the_peak_is_in_megabytes_and_the_process_s_own() -> None:
    ours = b"x" * 600 * 2**20
    code = "from peftir.system.resources import *; x = b'x' * 300 * 2**20; print(peak_memory_mb())"
    peak = int(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    del ours
    assert 300 <= peak < 500


def test_nothing_is_written_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), measured(tmp_path / "figures.json"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
