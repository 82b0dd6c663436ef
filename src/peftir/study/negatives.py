"""Where training's negatives come from: BM25, a ranking under ``mining``, or one under ``teachers``.

A source is written as the folder of its run under ``runs``: ``bm25``, ``mining/NAME`` or ``teachers/NAME``,
so that ``dvc.yaml`` can name the file that a training depends on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from peftir.study import layout, names
from peftir.study.starts import own_output

if TYPE_CHECKING:
    from peftir.study.params import Params

BM25 = "bm25"
DISTILLATION = ("margin_mse", "kl")
"""The losses of a retriever that need a teacher's scores."""
RERANKERS = Path("models/reranker")


def kind_of(source: str) -> str:
    """The kind of a source: ``bm25``, ``mining`` or ``teachers``."""
    return source.partition("/")[0]


def reranker_of(scores: str) -> str | None:
    """The variant and seed, as in ``full-13``, if ``scores`` is a re-ranker that this study trains."""
    folder = Path(os.path.normpath(scores))
    return folder.name if folder.parent == RERANKERS else None


def depths_of(given: Params) -> dict[str, tuple[str, int]]:
    """By source, the key and the value of its depth."""
    found = {BM25: ("bm25.train_depth", given.bm25.train_depth)}
    found |= {f"mining/{name}": (f"mining.{name}.depth", each.depth) for name, each in given.mining.items()}
    return found | {
        f"teachers/{name}": (f"teachers.{name}.depth", each.depth) for name, each in given.teachers.items()
    }


def problem(given: Params) -> str | None:
    """The first setting of negatives, mining or teachers that is wrong, with its key; ``None`` if none is."""
    for key, blocks in (("mining", given.mining), ("teachers", given.teachers)):
        if wrong := names.problem(blocks, names.NO_NAMES):
            return f"{key}.{wrong}"
        if blocks and given.collection.folds:
            return (
                f"{key}: {', '.join(blocks)}: expected none, since collection.folds is "
                f"{given.collection.folds}: the models of one fold have seen the test queries of another"
            )
    return _unknown(given) or _cycle(given) or next(_of_training(given), None)


def _sources(given: Params) -> dict[str, str]:
    """The source that each key of ``params.yaml`` names."""
    return {
        "retriever.negatives_from": given.retriever.negatives_from,
        "reranker.negatives_from": given.reranker.negatives_from,
        **{f"mining.{name}.negatives_from": each.negatives_from for name, each in given.mining.items()},
        **{f"teachers.{name}.negatives_from": each.negatives_from for name, each in given.teachers.items()},
    }


def _unknown(given: Params) -> str | None:
    """The first name of a source, a variant or a re-ranker that there is not."""
    known = depths_of(given)
    for key, source in _sources(given).items():
        if source not in known:
            return f"{key}: '{source}': expected one of {', '.join(known)}"
    for name, mined in given.mining.items():
        if mined.variant not in given.methods:
            expected = ", ".join(given.methods)
            return f"mining.{name}.variant: '{mined.variant}': expected a name under methods: {expected}"
    trained = [layout.key(v, s) for v in given.variants.reranker for s in given.seeds.reranker]
    for name, teacher in given.teachers.items():
        reranker = reranker_of(teacher.scores)
        if reranker is not None and reranker not in trained:
            return (
                f"teachers.{name}.scores: '{teacher.scores}': expected a re-ranker that the study trains "
                f"({', '.join(trained)}), or a file of scores"
            )
        if reranker is None and own_output(teacher.scores):
            return (
                f"teachers.{name}.scores: '{teacher.scores}': expected a re-ranker, which retrievers are "
                "not, or a file of scores"
            )
    return None


def _cycle(given: Params) -> str | None:
    """The first list of negatives that depends on itself.

    A re-ranker also depends on the negatives of a trained retriever whose ranking are its candidates.
    """
    after = _dependencies(given)
    for start in after:
        seen, waiting = set[str](), [(start, list[str]())]
        while waiting:
            ranking, keys = waiting.pop(0)
            if ranking == start and keys:
                return (
                    f"{start.replace('/', '.')}: depends on its own ranking, through {', '.join(keys)}; "
                    f"expected negatives that begin with {BM25}: change one of these"
                )
            if ranking not in seen:
                seen.add(ranking)
                waiting += [(source, keys + more) for more, source in after.get(ranking, [])]
    return None


def _dependencies(given: Params) -> dict[str, list[tuple[list[str], str]]]:
    """The rankings that each one under ``mining`` and ``teachers`` depends on, with the keys that say so."""
    sources, candidates = _sources(given), given.reranking.first_stage
    trained = [layout.key(v, s) for v in given.variants.retriever for s in given.seeds.retriever]
    paths = {f"mining/{name}": [[f"mining.{name}.negatives_from"]] for name in given.mining}
    for name, teacher in given.teachers.items():
        paths[f"teachers/{name}"] = [[f"teachers.{name}.negatives_from"]]
        if reranker_of(teacher.scores):
            scores = f"teachers.{name}.scores"
            paths[f"teachers/{name}"].append([scores, "reranker.negatives_from"])
            if candidates in trained:
                keys = [scores, "reranking.candidates", "retriever.negatives_from"]
                paths[f"teachers/{name}"].append(keys)
    return {ranking: [(keys, sources[keys[-1]]) for keys in each] for ranking, each in paths.items()}


def _of_training(given: Params) -> Iterator[str]:
    """What is wrong with the negatives and the loss of either model."""
    for stage, settings in (("retriever", given.retriever), ("reranker", given.reranker)):
        source, kind = settings.negatives_from, kind_of(settings.negatives_from)
        if settings.negatives_skip >= settings.negatives_depth:
            yield (
                f"{stage}.negatives_skip: {settings.negatives_skip}: expected fewer than "
                f"{stage}.negatives_depth, which is {settings.negatives_depth}"
            )
        if settings.max_score_ratio is not None and kind != "mining":
            yield (
                f"{stage}.max_score_ratio: {settings.max_score_ratio}: expected null, since "
                f"{stage}.negatives_from is {source}: only a ranking under mining has similarities"
            )
        if settings.min_score_margin is not None and kind == BM25:
            yield (
                f"{stage}.min_score_margin: {settings.min_score_margin}: expected null, since "
                f"{stage}.negatives_from is {source}, which has no scores of most relevant documents"
            )
    retriever = given.retriever
    if retriever.loss in DISTILLATION:
        if kind_of(retriever.negatives_from) != "teachers":
            yield (
                f"retriever.loss: '{retriever.loss}': expected retriever.negatives_from to name a block "
                f"under teachers, whose scores it learns, not {retriever.negatives_from}"
            )
        if not retriever.hard_negatives:
            yield (
                f"retriever.hard_negatives: 0: expected 1 at least, since retriever.loss is "
                f"'{retriever.loss}', which compares a query's own documents"
            )
