"""Kill ``dvc repro`` at random moments, start it again, and compare the metrics with an undisturbed run's.

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

METRICS = ("metrics/retrieval.json", "metrics/reranking.json", "metrics/summary.json", "report/results.md")


def small_study(folder: Path, name: str) -> Study:
    """A fresh clone with the small study's settings."""
    root = clone(folder / name)
    study = Study(root, environment(root, models=folder / "models"))
    study.set_params(SMALL)
    return study


def killed_after(study: Study, seconds: float) -> bool:
    """Whether a ``dvc repro`` was still running when it was killed."""
    process = subprocess.Popen(
        ["dvc", "repro"],
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


def main() -> int:
    """Compare; gives the number of files that differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python tests/pipeline/kills.py --kills 20"
    )
    parser.add_argument("--kills", type=int, default=20, help="how often dvc is killed (20)")
    parser.add_argument("--longest", type=float, default=25.0, help="most seconds until a kill (25)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments")
    args = parser.parse_args()
    moments = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = (small_study(Path(folder), name) for name in ("undisturbed", "killed"))
        undisturbed.dvc("repro")
        kills = 0
        start = time.monotonic()
        while kills < args.kills:
            seconds = moments.uniform(0.5, args.longest)
            if killed_after(killed, seconds):
                kills += 1
                print(f"killed {kills} of {args.kills} after {seconds:.1f} s", flush=True)
            else:  # finished in between: from the start again
                for path in ("data", "runs", "models", ".dvc/cache", "dvc.lock"):
                    subprocess.run(["rm", "-rf", path], cwd=killed.root, check=True)
                print("finished; started afresh", flush=True)
        killed.dvc("repro")
        print(f"finished {time.monotonic() - start:.0f} s after the first start")
        expected = undisturbed.bytes_under(*METRICS)
        different = [path for path in METRICS if killed.bytes_under(path)[path] != expected[path]]
        print(f"different: {', '.join(different) or 'nothing'}")
    return len(different)


if __name__ == "__main__":
    sys.exit(main())
