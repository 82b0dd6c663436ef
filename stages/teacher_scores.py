"""Score the train queries' candidates with a teacher: a re-ranker, or a file of scores."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.teacher_scores import score_for_training
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured
from peftir.system.threads import use_threads


@exits_cleanly
def main() -> None:
    """Write the scores."""
    args = stage_arguments(__doc__, "python stages/teacher_scores.py --teacher expert", per_teacher=True)
    params = load_params()
    use_threads(params.threads)
    with measured(ROOT / layout.resources("teacher_scores", args.teacher)):
        count = score_for_training(ROOT, params, args.teacher)
    print(f"{layout.negatives(f'teachers/{args.teacher}')}: {count} queries")


if __name__ == "__main__":
    main()
