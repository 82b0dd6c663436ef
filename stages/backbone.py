"""Find the backbone of all stages, and record its commit and hashes."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.backbone import settle
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly


@exits_cleanly
def main() -> None:
    """Write ``backbone.lock``."""
    stage_arguments(__doc__, "python stages/backbone.py")
    print(f"{layout.BACKBONE} says what is in {settle(ROOT, load_params())}")


if __name__ == "__main__":
    main()
