"""A teacher's scores of the train queries' candidates: from a re-ranker, or from a file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from sentence_transformers import CrossEncoder

from peftir.data.collection import Collection, Qrels
from peftir.data.teacher_file import Wanted, read_teacher_file
from peftir.data.texts import DocumentTexts
from peftir.models import manifest, saving
from peftir.pipeline.named import block_of
from peftir.pipeline.score import score_all
from peftir.pipeline.train_candidates import train_candidates, write_ranking
from peftir.ranking.runs import Hits
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from peftir.training.distributed import rank

QUERIES = 10_000  # queries whose candidates are scored together, so that memory holds no more of them


def score_for_training(root: Path, params: Params, name: str) -> int:
    """Write the ranking of ``teachers.NAME`` by the teacher's scores; gives the number of its queries.

    The processes of a group share the scoring; rank 0 writes.

    Raises:
        PeftirError: the teacher is missing or damaged, or its file lacks a score or has a wrong line.
    """
    teacher = block_of("teachers", params.teachers, name)
    collection = Collection(root / layout.COLLECTION)
    path, ranking = root / teacher.scores, root / layout.negatives(teacher.negatives_from)
    qrels = collection.qrels("train")
    candidates = train_candidates(ranking, qrels, teacher.depth)
    if path.is_dir():
        _check_reranker(path, f"teachers.{name}.scores: '{teacher.scores}'")
        hits = _by_model(root, params, path, collection, candidates)
    else:
        hits = _by_file(path, candidates, qrels, f"teachers.{name}.depth")
    if rank() == 0:
        write_ranking(root / layout.negatives(f"teachers/{name}"), hits, name)
    elif path.is_dir():
        deque(hits, maxlen=0)  # scores this process's share
    return len(candidates)


def _check_reranker(folder: Path, setting: str) -> None:
    try:
        found = manifest.is_reranker(manifest.read(folder))
    except FileNotFoundError:
        found = False
    except (OSError, ValueError):
        return  # loading says what is wrong
    if not found:
        raise PeftirError(f"{setting}: expected a re-ranker that peftir saved, or a file of scores")


def _by_file(path: Path, candidates: Wanted, qrels: Qrels, depth: str) -> Iterator[tuple[str, Hits]]:
    """The scores in a file; ``depth`` is the key of the number of candidates, for errors."""
    scores = read_teacher_file(path, candidates, qrels, depth)
    for query, documents in candidates.items():
        yield query, list(zip(documents, scores[query].tolist(), strict=True))


def _by_model(
    root: Path, params: Params, path: Path, collection: Collection, candidates: Wanted
) -> Iterator[tuple[str, Hits]]:
    """The scores of a re-ranker."""
    model = saving.load(CrossEncoder, path, root)
    texts = DocumentTexts(collection, chain.from_iterable(candidates.values()))
    queries = collection.queries("train")
    names = list(candidates)
    for start in range(0, len(names), QUERIES):
        part = names[start : start + QUERIES]
        run = {query: [(document, 0.0) for document in candidates[query]] for query in part}
        texts_of_queries = {query: queries[query] for query in run}
        scores = score_all(model, texts_of_queries, run, texts, params.backbone.precision)
        yield from scores.items()
