"""Rankings without a model beside BM25: BM25 with k1 and b selected on dev, and BM25 with RM3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, product
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from peftir.data.collection import Collection
from peftir.pipeline.corpus import corpus_of
from peftir.ranking.bm25 import build_index, search
from peftir.ranking.measures import check_measures, mean_of
from peftir.ranking.rm3 import Expansion, search_expanded
from peftir.ranking.runs import Rankings, search_excluding_own, write_run
from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.depths import cutoff
from peftir.study.params import Params
from peftir.system.files import remove, replacing, write_json

DECIMALS = 4  # of the means on dev in the record


class Bm25Values(NamedTuple):
    """Values of BM25's parameters."""

    k1: float
    b: float


Tried = dict[Bm25Values, float]
"""The mean of a measure on dev by the values of the parameters."""


class Lexical:
    """The block ``name`` under ``lexical``, as a ranking of the documents in a Lucene index.

    Args:
        params: the study's settings.
        name: of the block.
        index: the folder of the index; RM3 needs one with term vectors.
    """

    def __init__(self, params: Params, name: str, index: Path) -> None:
        self._given, self._bm25, self._index = params.lexical[name], params.bm25, index

    def try_on_dev(self, collection: Collection) -> Tried:
        """The measure on the dev queries at each point of the grid, as far down as it looks.

        RM3 has no grid: it takes BM25's ``k1`` and ``b`` as they are.
        """
        given = self._given
        if given.k1 is None or given.b is None or given.selected_by is None:
            return {Bm25Values(self._bm25.k1, self._bm25.b): 0.0}
        depth, qrels = cutoff(given.selected_by) or self._bm25.depth, collection.qrels("dev")
        return {
            values: mean_of(dict(self.rank(collection, "dev", values, depth)), qrels, given.selected_by)
            for values in (Bm25Values(k1, b) for k1, b in product(given.k1, given.b))
        }

    def rank(
        self, collection: Collection, split: str, values: Bm25Values, depth: int | None = None
    ) -> Rankings:
        """The hits of each query of ``split``, ``bm25.depth`` if no ``depth`` is given."""
        queries, expansion = collection.queries(split), self._expansion()

        def search_to(most: int) -> Rankings:
            settings = (self._index, queries, *values, most, self._bm25.threads)
            if expansion is None:
                return search(*settings)
            return search_expanded(*settings, expansion, collection.own_documents)

        return search_excluding_own(search_to, depth or self._bm25.depth, collection.own_documents)

    def _expansion(self) -> Expansion | None:
        given = self._given
        if given.feedback_terms is None or given.feedback_documents is None or given.query_weight is None:
            return None
        return Expansion(given.feedback_terms, given.feedback_documents, given.query_weight)


def rank_lexically(root: Path, params: Params, name: str) -> Bm25Values:
    """Write the runs of the block ``name`` and the record of its ``k1`` and ``b``; give these.

    With folds, they are selected for each fold, and a fold's test queries are ranked with its own.

    Raises:
        PeftirError: an artefact is missing or damaged, or a measure is not known.
    """
    check_measures(params.measure_names())
    whole = Collection(root / layout.COLLECTION)
    parts = [Collection(whole.folder, fold + 1) for fold in range(whole.folds)] or [whole]
    with _index(root, params, name, None, None) as index:
        lexical = Lexical(params, name, index)
        tried = [lexical.try_on_dev(part) for part in parts]
        with replacing(root / layout.runs("retrieval", name, None)) as folder:
            for split in ("test",) if whole.folds else ("dev", "test"):
                runs = (
                    lexical.rank(part, split, best(values)) for part, values in zip(parts, tried, strict=True)
                )
                write_run(folder / f"{split}.trec", chain.from_iterable(runs), tag=name)
    record = _record(tried, params.lexical[name].selected_by)
    write_json(root / layout.lexical(name), record)
    return Bm25Values(record["k1"], record["b"])


def rank_test_lexically(root: Path, params: Params, test: str, name: str) -> None:
    """Write the run of the block ``name`` for the queries of ``test``, with what was selected on dev."""
    artefact = Artefact(root, layout.lexical(name), "lexical")
    record = artefact.json()
    values = Bm25Values(artefact.number(record, "k1"), artefact.number(record, "b"))
    collection = Collection(root / layout.of(test, layout.COLLECTION))
    with _index(root, params, name, test, corpus_of(root, test)) as index:
        run = Lexical(params, name, index).rank(collection, "test", values)
        path = root / layout.of(test, layout.runs("retrieval", name, None)) / "test.trec"
        write_run(path, run, tag=name)


def best(tried: Tried) -> Bm25Values:
    """The values with the highest mean; of equally good ones, the first of the grid."""
    return max(tried, key=lambda values: tried[values])


def _record(tried: Sequence[Tried], measure: str | None) -> dict[str, Any]:
    """What was selected by ``measure``, if by any; with folds by the means over folds, and for each fold."""
    means = {values: fmean(each[values] for each in tried) for values in tried[0]}
    record: dict[str, Any] = best(means)._asdict()
    if measure:
        grid = [{**values._asdict(), "mean": round(mean, DECIMALS)} for values, mean in means.items()]
        record |= {"selected_by": measure, "dev": grid}
        if len(tried) > 1:
            record["folds"] = [best(each)._asdict() for each in tried]
    return record


@contextmanager
def _index(root: Path, params: Params, name: str, test: str | None, corpus: str | None) -> Iterator[Path]:
    """BM25's index of the collection; for RM3 or documents of a test set, one that is removed afterwards."""
    expands = params.lexical[name].type == "rm3"
    if corpus is None and not expands:
        yield root / layout.BM25_INDEX
        return
    folder = root / layout.of(test, layout.LEXICAL_INDEX) / name
    documents = Collection(root / layout.of(corpus, layout.COLLECTION)).texts()
    build_index(documents, folder, params.bm25.threads, term_vectors=expands)
    try:
        yield folder
    finally:
        remove(folder)
