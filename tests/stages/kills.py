"""Kill ``peftir repro`` at random moments, start it again, and compare with an undisturbed ``dvc repro``.

Takes minutes, so it is no part of the suite: test_breakage.py kills two stages at chosen moments.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from small_study import SMALL, Study, clone, environment

# Without metrics of seconds and memory, and without Lucene's index.
RESULTS: tuple[str, ...] = ("data/collection", "data/index", "runs", "models", "report/results.md")
RESULTS += tuple(f"metrics/{name}" for name in ("retrieval.json", "reranking.json", "summary.json"))
RESULTS += ("metrics/per_query.parquet", "metrics/surfaces.json", "metrics/spread.tsv")
COMMAND = ["peftir", "repro", "--jobs", "2"]


def small_study(folder: Path, name: str) -> Study:
    """A fresh clone with the small study's settings."""
    root = clone(folder / name)
    study = Study(root, environment(root, models=folder / "models"))
    study.set_params(SMALL)
    return study


def killed_after(study: Study, seconds: float) -> bool:
    """Whether a ``peftir repro`` was still running when it was killed."""
    process = subprocess.Popen(
        COMMAND,
        cwd=study.root,
        env=study.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


def left_running(study: Study, seconds: float) -> list[int]:
    """Processes that still work in the study's folder so long after a kill."""
    end = time.monotonic() + seconds
    while True:
        found = [
            int(place.parent.name)
            for place in Path("/proc").glob("[0-9]*/cwd")
            if place.exists() and place.resolve().is_relative_to(study.root)
        ]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.2)


def remove_results(study: Study) -> None:
    """Remove all that the stages have written, so that they start afresh."""
    for path in ("data", "runs", "models", ".dvc/cache", "dvc.lock"):
        subprocess.run(["rm", "-rf", path], cwd=study.root, check=True)


def compared(study: Study, expected: Study) -> list[str]:
    """Print and return the result files that differ between two studies."""
    found, wanted = study.bytes_under(*RESULTS), expected.bytes_under(*RESULTS)
    different = sorted(path for path in found | wanted if found.get(path) != wanted.get(path))
    print(f"different of {len(wanted)} files: {', '.join(different) or 'nothing'}", flush=True)
    return different


def main() -> int:
    """Compare; gives the number of files that differ and of processes that were left."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: PYTHONPATH=tests python tests/stages/kills.py --kills 20"
    )
    parser.add_argument("--kills", type=int, default=20, help="how often it is killed (20)")
    parser.add_argument("--longest", type=float, default=25.0, help="most seconds until a kill (25)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments")
    args = parser.parse_args()
    moments = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = (small_study(Path(folder), name) for name in ("undisturbed", "killed"))
        undisturbed.dvc("repro")
        kills, left = 0, 0
        start = time.monotonic()
        while kills < args.kills:
            seconds = moments.uniform(0.5, args.longest)
            if killed_after(killed, seconds):
                kills += 1
                running = left_running(killed, 10)
                left += len(running)
                print(f"killed {kills} of {args.kills} after {seconds:.1f} s; left: {running}", flush=True)
            else:  # finished in between: from the start again
                remove_results(killed)
                print("finished; started afresh", flush=True)
        done = killed.run(*COMMAND)
        print(f"finished {time.monotonic() - start:.0f} s after the first start: exit code {done.returncode}")
        different = compared(killed, undisturbed)
        print(killed.dvc("status"))
    return len(different) + left


if __name__ == "__main__":
    sys.exit(main())
