"""Score the train queries' candidates with a teacher: a re-ranker, or a file of scores."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.teacher_scores import score_for_training
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.system.errors import exits_cleanly
from peftir.system.threads import use_threads
from peftir.training.distributed import launch, measured_once


@exits_cleanly
def main() -> None:
    """Write the scores."""
    args = stage_arguments(__doc__, "python stages/teacher_scores.py --teacher expert", per_teacher=True)
    params = load_params()
    use_threads(params.threads)
    launch(score_candidates, (params, args.teacher), params.reranking.processes, "reranking.processes")


def score_candidates(params: Params, name: str) -> None:
    """What each process does; rank 0 writes."""
    with measured_once(ROOT / layout.resources("teacher_scores", name)):
        count = score_for_training(ROOT, params, name)
    print(f"{layout.negatives(f'teachers/{name}')}: {count} queries")


if __name__ == "__main__":
    main()
