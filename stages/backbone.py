"""Find the backbone that all stages take, and write down its commit and what is in it."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.backbone import settle
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly


@exits_cleanly
def main() -> None:
    """Settle on a backbone."""
    stage_arguments(__doc__, "python stages/backbone.py")
    print(f"{layout.BACKBONE} says what is in {settle(ROOT, load_params())}")


if __name__ == "__main__":
    main()
