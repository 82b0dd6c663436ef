"""Read the collection's source and write documents, queries and judgements to data/collection."""

from __future__ import annotations

from common import ROOT, stage_arguments
from peftir.data.prepare import prepare
from peftir.data.sample import sample_pairs
from peftir.study import layout
from peftir.study.params import load_params
from peftir.system.errors import exits_cleanly
from peftir.system.resources import measured


@exits_cleanly
def main() -> None:
    """Prepare the collection."""
    stage_arguments(__doc__, "python stages/prepare.py")
    params = load_params().collection
    with measured(ROOT / layout.resources("prepare")):
        prepare(
            params.source,
            ROOT / layout.COLLECTION,
            documents=params.documents,
            splits=params.splits.model_dump(),
            train_share=params.train_share,
            own_documents=params.own_documents,
            folds=params.folds,
        )
    print(sample_pairs(ROOT / layout.COLLECTION))
    print(f"{layout.COLLECTION}/manifest.json has the counts")


if __name__ == "__main__":
    main()
