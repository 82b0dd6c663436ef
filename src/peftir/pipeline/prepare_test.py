"""The queries and judgements of a test set, and its documents if it has its own."""

from __future__ import annotations

from pathlib import Path

from peftir.data.collection import Collection
from peftir.data.testsets import prepare_test_set
from peftir.pipeline.named import block_of
from peftir.ranking.measures import check_measures
from peftir.study import layout
from peftir.study.params import Params


def prepare_test(root: Path, params: Params, test: str) -> int:
    """Write the test set ``test`` as a collection of its own; gives the number of its queries.

    Raises:
        PeftirError: something in ``params`` or in the source is wrong.
    """
    given = block_of("tests", params.tests, test)
    check_measures(params.measure_names())
    manifest = prepare_test_set(
        test,
        given.source,
        root / layout.of(test, layout.COLLECTION),
        own_documents=given.own_documents,
        collection=Collection(root / layout.COLLECTION),
        own_corpus=given.corpus == "own",
    )
    return int(manifest["splits"]["test"]["queries"])
