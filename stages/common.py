"""What the stage scripts share: their command line, and the writing of learning curves."""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from peftir.study import layout
from peftir.study.seeds import Seed, seed
from peftir.study.tasks import StageName
from peftir.system.memory import keep_freed_memory
from peftir.system.orphans import end_with
from peftir.system.quiet import silence_libraries
from peftir.system.threads import before_imports

if TYPE_CHECKING:
    from peftir.training.state import Point

ROOT = Path()  # DVC runs a stage in the study's folder

silence_libraries()
before_imports()
# The imports that follow make half a million objects that stay: to look through them for garbage again and
# again is a seventh of the time that they take. `stage_arguments`, called when all is imported, ends this.
gc.disable()


def stage_arguments(
    doc: str | None,
    example: str,
    *,
    per_test: bool = False,
    per_lexical: bool = False,
    per_retriever: bool = False,
    per_mining: bool = False,
    per_teacher: bool = False,
    per_variant: bool = False,
    per_model: bool = False,
) -> argparse.Namespace:
    """Parse a stage's command line, set its process up; per model it takes ``--variant`` and ``--seed``."""
    parser = argparse.ArgumentParser(
        description=f"{doc} Settings come from params.yaml.", epilog=f"example: {example}"
    )
    if per_test:
        parser.add_argument("--test", required=True, help="a name under tests in params.yaml")
    if per_lexical:
        parser.add_argument("--lexical", required=True, help="a name under lexical in params.yaml")
    if per_retriever:
        parser.add_argument("--retriever", required=True, help="a name under chains in params.yaml")
    if per_mining:
        parser.add_argument("--mining", required=True, help="a name under mining in params.yaml")
    if per_teacher:
        parser.add_argument("--teacher", required=True, help="a name under teachers in params.yaml")
    if per_variant or per_model:
        parser.add_argument("--variant", required=True, help="a name under methods in params.yaml")
    if per_model:
        parser.add_argument(
            "--seed", required=True, type=seed, help="seed of this run: 13, or 13f2 for fold 2"
        )
    arguments = parser.parse_args()
    gc.freeze()
    gc.enable()
    keep_freed_memory()
    if "DVC_STAGE" in os.environ:
        # A `dvc repro` that was killed leaves its stage running, which would then write beside the one that
        # the next `dvc repro` starts.
        end_with(os.getppid())
    return arguments


@contextmanager
def learning_curve(
    stage: StageName, variant: str, seed: Seed, measure: str
) -> Iterator[Callable[[Point], None]]:
    """Yield a function that writes the points it is given to the model's learning curve, with DVCLive."""
    from dvclive import Live

    folder = layout.curve(stage, variant, seed)
    with Live(str(ROOT / folder), dvcyaml=None, save_dvc_exp=False, report=None) as live:

        def write(point: Point) -> None:
            live.step = point.step
            live.log_metric(f"dev/{measure}", round(point.dev, 6))
            if point.loss is not None:
                live.log_metric("train/loss", round(point.loss, 6))

        yield write
    print(f"{folder} has the learning curve")
