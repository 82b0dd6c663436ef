"""Analyse how fast and how steadily the variants learned, and the loss around their models."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.learning.analysis import analyse
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured
from peftir.system.threads import use_threads


@exits_cleanly
def main() -> None:
    """Write the figures and the surfaces."""
    stage_arguments(__doc__, "python stages/learning.py")
    params = load_params()
    use_threads(params.threads)
    with measured(ROOT / layout.resources("learning")):
        analyse(ROOT, params)
    print(f"{layout.LEARNING} has the figures, {layout.SURFACES} the losses around the models")


if __name__ == "__main__":
    main()
