"""Encoding, re-ranking and training beside plain sentence-transformers, in one run.

Both sides get the same texts, backbone, dropout, lengths and examples in the same order, and take turns.
Ours computes in params.yaml's backbone.precision; theirs is sentence-transformers as its documentation shows
it. Run it where `dvc repro` has run, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import datasets
import numpy as np
import torch
import transformers
from sentence_transformers import CrossEncoder

import plain
from inputs import MEASURE, Candidates, Lessons, Search
from large_batches import cached_rows
from ours import Model, new_model, train_in_place
from peftir.models import saving
from peftir.models.biencoder import encode
from peftir.models.crossencoder import score
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.system.errors import PeftirError, exits_cleanly
from side_by_side import Row, Stopwatch, in_turns, report, timed

VARIANTS = ("full", "lora")
DEPTH = 10  # candidates per query that are re-ranked


def encoding(params: Params, texts: int, repeats: int, theirs_in: str) -> Row:
    """Documents encoded per second, with the backbone as it comes."""
    search, precision = Search.of("test", max(1, texts // 4), texts), params.backbone.precision
    ours_model = new_model(params, "retriever")
    theirs_model = plain.new_retriever(params.backbone, params.retriever.document_length, theirs_in)
    # The queries are for the measure; they come first, so that what a first pass sets up is not timed.
    queries = encode(ours_model, search.queries, "query", precision)
    their_queries = theirs_model.encode(search.queries)
    ours, theirs = in_turns(
        repeats,
        lambda _: timed(
            len(search.documents), lambda: encode(ours_model, search.documents, "document", precision)
        ),
        lambda _: timed(len(search.documents), lambda: theirs_model.encode(search.documents)),
    )
    vectors, their_vectors = ours.results[0], theirs.results[0]
    same = (
        f"{MEASURE} {search.mrr(queries, vectors):.4f} and {search.mrr(their_queries, their_vectors):.4f}, "
        f"lowest cosine {(vectors * their_vectors).sum(axis=1).min():.4f}"
    )
    return Row("encoding", "texts/s", ours.rates, theirs.rates, same)


def reranking(params: Params, pairs: int, repeats: int, theirs_in: str) -> Row:
    """Pairs of query and candidate scored per second, with the study's fully tuned re-ranker."""
    candidates, precision = Candidates.of("test", max(1, pairs // DEPTH), DEPTH), params.backbone.precision
    with tempfile.TemporaryDirectory() as scratch:
        folder = _trained_reranker(params, Path(scratch))
        ours_model = saving.load(CrossEncoder, folder)
        theirs_model = CrossEncoder(str(folder), model_kwargs={"dtype": getattr(torch, theirs_in)})
    score(ours_model, candidates.pairs[:DEPTH], precision)
    theirs_model.predict(candidates.pairs[:DEPTH])
    ours, theirs = in_turns(
        repeats,
        lambda _: timed(len(candidates.pairs), lambda: score(ours_model, candidates.pairs, precision)),
        lambda _: timed(len(candidates.pairs), lambda: theirs_model.predict(candidates.pairs)),
    )
    scores, their_scores = ours.results[0], theirs.results[0]
    same = (
        f"{MEASURE} {candidates.mrr(scores):.4f} and {candidates.mrr(their_scores):.4f}, "
        f"scores from {their_scores.min():.2f} to {their_scores.max():.2f} "
        f"differ by at most {np.abs(scores - their_scores).max():.3f}"
    )
    return Row("re-ranking", "pairs/s", ours.rates, theirs.rates, same)


def training(params: Params, stage: str, variant: str, steps: int, repeats: int, theirs_in: str) -> Row:
    """Examples (a query with its documents) trained on per second.

    Every repeat has a seed of its own, the same for both sides; the measure on dev is of the last step.
    """
    settings = params.training(stage)
    lessons = Lessons.of(params, stage, steps)
    dev: Search | Candidates = (
        Search.of("dev", settings.dev_queries, settings.dev_documents)
        if stage == "retriever"
        else Candidates.of("dev", settings.dev_queries, settings.dev_depth)
    )

    def ours_once(seed: int) -> tuple[float, float]:
        torch.manual_seed(seed)
        model, watch = new_model(params, stage), Stopwatch()
        train_in_place(params, stage, variant, model, lessons, watch)
        return settings.batch_size / watch.seconds_per_step, _ours_on_dev(
            model, dev, params.backbone.precision
        )

    def theirs_once(seed: int) -> tuple[float, float]:
        method, watch = params.methods[variant], Stopwatch()
        trainer = plain.train_retriever if stage == "retriever" else plain.train_reranker
        model = trainer(params, method, lessons, seed, watch, theirs_in)
        return settings.batch_size / watch.seconds_per_step, _theirs_on_dev(model, dev)

    before = _ours_on_dev(new_model(params, stage), dev, params.backbone.precision)
    ours, theirs = in_turns(repeats, ours_once, theirs_once)
    means, lows, highs = zip(
        *((statistics.fmean(s.results), min(s.results), max(s.results)) for s in (ours, theirs)), strict=True
    )
    same = (
        f"dev {MEASURE} from {before:.3f} to {means[0]:.3f} ({lows[0]:.3f}–{highs[0]:.3f}) "
        f"and {means[1]:.3f} ({lows[1]:.3f}–{highs[1]:.3f})"
    )
    return Row(f"training, {stage}, {variant}", "examples/s", ours.rates, theirs.rates, same)


def _ours_on_dev(model: Model, dev: Search | Candidates, precision: str) -> float:
    if isinstance(dev, Candidates):
        return dev.mrr(score(model, dev.pairs, precision))
    return dev.mrr(
        encode(model, dev.queries, "query", precision), encode(model, dev.documents, "document", precision)
    )


def _theirs_on_dev(model: Model, dev: Search | Candidates) -> float:
    if isinstance(dev, Candidates):
        return dev.mrr(model.predict(dev.pairs))
    return dev.mrr(model.encode(dev.queries), model.encode(dev.documents))


def _trained_reranker(params: Params, scratch: Path) -> Path:
    """The study's re-ranker, or one trained for a few steps where there is none."""
    folder = layout.model("reranker", "full", params.seeds.reranker[0])
    if not folder.is_dir():
        folder = scratch / "reranker"
        model = new_model(params, "reranker")
        train_in_place(params, "reranker", "full", model, Lessons.of(params, "reranker", 5), Stopwatch())
        saving.save(model, folder, params.backbone.name, params.backbone.revision)
    return folder


@exits_cleanly
def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python benchmarks/throughput.py --texts 500 --steps 10",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--texts", type=int, default=2000, help="documents encoded, and pairs scored (2000)")
    parser.add_argument("--steps", type=int, default=40, help="optimizer steps of each training (40)")
    parser.add_argument("--repeats", type=int, default=3, help="turns that each side takes (3)")
    parser.add_argument(
        "--theirs-in",
        choices=("float32", "bfloat16"),
        default="float32",
        help="what sentence-transformers computes in (float32, its default)",
    )
    parser.add_argument(
        "--batch", type=int, default=1024, help="the batch of gradient caching; 0: none (1024)"
    )
    parser.add_argument("--mini-batch", type=int, default=32, help="its mini-batch (32)")
    parser.add_argument("--batch-steps", type=int, default=2, help="optimizer steps with this batch (2)")
    parser.add_argument(
        "--tevatron", help="a folder with the packages tevatron and grad_cache, for a row beside tevatron"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results.json"), help="%(default)s")
    args = parser.parse_args()
    for name, least in (("texts", DEPTH), ("steps", 2), ("batch_steps", 1), ("repeats", 1)):
        if getattr(args, name) < least:
            raise PeftirError(f"--{name.replace('_', '-')}: {getattr(args, name)}: expected {least} or more")
    params = load_params()
    for variant in VARIANTS:
        if variant not in params.methods or params.methods[variant].learning_rate is None:
            raise PeftirError(f"params.yaml: methods.{variant}: missing; the comparison trains this one")
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    rows = [encoding(params, args.texts, args.repeats, args.theirs_in)]
    rows.append(reranking(params, args.texts, args.repeats, args.theirs_in))
    for stage in ("retriever", "reranker"):
        for variant in VARIANTS:
            rows.append(training(params, stage, variant, args.steps, args.repeats, args.theirs_in))
    if args.batch:
        rows += cached_rows(
            args.batch, args.mini_batch, args.batch_steps, args.repeats, args.theirs_in, args.tevatron
        )
    report(rows, args.output)


if __name__ == "__main__":
    main()
