"""Read a test set's source and write its queries, judgements and own documents to data/tests."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.pipeline.prepare_test import prepare_test
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured


@exits_cleanly
def main() -> None:
    """Prepare the test set."""
    args = stage_arguments(__doc__, "python stages/prepare_test.py --test scifact", per_test=True)
    with measured(ROOT / layout.resources("prepare_test", args.test)):
        count = prepare_test(ROOT, load_params(), args.test)
    print(f"{layout.of(args.test, layout.COLLECTION)}: {count} queries")


if __name__ == "__main__":
    main()
