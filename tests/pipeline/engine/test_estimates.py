from __future__ import annotations

from pathlib import Path

import pytest

from peftir.pipeline.engine.estimates import UNKNOWN, Estimates, read_figures
from peftir.pipeline.engine.progress import duration

# What each stage needs: two trainings after one preparation, then an index each, then one evaluation.
NEEDS: dict[str, list[str]] = {
    "prepare": [],
    "train@a": ["prepare"],
    "train@b": ["prepare"],
    "index@a": ["train@a"],
    "index@b": ["train@b"],
    "evaluate": ["index@a", "index@b"],
}
MEASURED = {
    "prepare": {"seconds": 2.0, "peak_memory_mb": 300},
    "train@a": {"seconds": 40.0, "peak_memory_mb": 900},
    "train@b": {"seconds": 10.0, "peak_memory_mb": 700},
    "index@a": {"seconds": 5.0},
}


def test_the_remaining_path_is_the_longest_one() -> None:
    paths = Estimates(MEASURED).remaining_paths(list(NEEDS), NEEDS.__getitem__)
    # index@b is as index@a; nothing is known of evaluate.
    assert paths == {
        "evaluate": UNKNOWN,
        "index@a": 5 + UNKNOWN,
        "index@b": 5 + UNKNOWN,
        "train@a": 45 + UNKNOWN,
        "train@b": 15 + UNKNOWN,
        "prepare": 47 + UNKNOWN,
    }


def test_what_this_run_takes_scales_what_is_left() -> None:
    estimates = Estimates(MEASURED)
    estimates.took("prepare", 3.0)
    estimates.took("train@b", 21.0)
    assert estimates.seconds("train@a") == pytest.approx(40 * 24 / 12)
    assert estimates.seconds("index@b") == pytest.approx(5 * 24 / 12)


def test_without_figures_the_like_of_this_run_are_taken() -> None:
    estimates = Estimates({})
    assert estimates.seconds("train@a") == UNKNOWN
    estimates.took("train@b", 70.0)
    assert estimates.seconds("train@a") == 70
    assert estimates.seconds("index@a") == UNKNOWN
    assert [estimates.knows(name) for name in ("train@a", "index@a")] == [True, False]


def test_memory_is_its_own_or_the_most_of_the_like() -> None:
    estimates = Estimates(MEASURED)
    assert [estimates.memory_mb(name) for name in ("train@b", "train@c", "evaluate")] == [700, 900, 0]


def test_the_first_place_that_has_figures_counts(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("{")
    (tmp_path / "list").write_text("[1]")
    (tmp_path / "good").write_text('{"seconds": 1}')
    places = [tmp_path / name for name in ("missing", "broken", "list", "good")]
    assert read_figures(*places) == {"seconds": 1}
    assert read_figures(*places[:3]) == {}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (3570, "1 h 0 min"), (7800, "2 h 10 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said
