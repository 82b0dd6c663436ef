"""The model card of an exported model: description, training data, evaluation and usage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from peftir import tuners
from peftir.data.collection import Collection
from peftir.models.backbone import base_name, is_local
from peftir.study import layout
from peftir.study.artefacts import Artefact
from peftir.study.params import Params
from peftir.study.rows import BM25, Row
from peftir.study.seeds import Seed, draw, numbers
from peftir.study.sources import shown
from peftir.study.tasks import BY_STAGE, UNTRAINED, StageName
from peftir.system.markdown import code, escape, fenced, table

PIPELINES = {"retriever": "sentence-similarity", "reranker": "text-ranking"}
WHAT = {
    "retriever": "A bi-encoder for first-stage retrieval: texts become vectors whose similarity ranks.",
    "reranker": "A cross-encoder for re-ranking: it reads a query and a document together and gives a score.",
}
USE = {
    "retriever": """from sentence_transformers import SentenceTransformer

model = SentenceTransformer("FOLDER")
queries, documents = model.encode_query(["a query"]), model.encode_document(["a document", "another"])
print(model.similarity(queries, documents))""",
    "reranker": """from sentence_transformers import CrossEncoder

model = CrossEncoder("FOLDER")
print(model.predict([("a query", "a document"), ("a query", "another")]))""",
}

USE_OF_SIDES = """from sentence_transformers import SentenceTransformer

of_queries, of_documents = SentenceTransformer("FOLDER"), SentenceTransformer("FOLDER/document")
queries = of_queries.encode_query(["a query"])
documents = of_documents.encode_document(["a document", "another"])
print(of_queries.similarity(queries, documents))"""
SIDES = {
    "query": "the queries’ is tuned, the documents’ is the backbone as it is",
    "separate": "each has weights of its own, counted together",
}
"""What is tuned, where one model does not encode both."""


Form = Literal["adapter", "whole", "onnx"]
"""What a folder has: the adapter alone, or all weights, for sentence-transformers or as ONNX."""


def model_card(
    root: Path, params: Params, variant: str, stage: StageName, seed: Seed | None, form: Form
) -> str:
    """The card in Markdown, with front matter for the Hugging Face hub.

    Args:
        form: what the folder has.

    Raises:
        PeftirError: the collection or the record of the training is missing.
    """
    manifest = Collection(root / layout.COLLECTION).manifest
    maker = UNTRAINED[stage] if seed is None else f"train_{stage}"
    training = Artefact(root, layout.training(stage, variant, seed), maker).json()
    public = params.for_publication()
    parts = [
        _front_matter(root, params, stage, form),
        f"# {variant}, {stage}",
        WHAT[stage],
        _table(("", ""), _facts(public, training, manifest)),
        "## Measures",
        _measures(root, params, variant, stage, manifest),
        "## Use",
        _use(root, params, stage, form, sides=seed is not None and params.retriever.tune in SIDES),
        "## Settings",
        "As in `params.yaml` when this was exported:",
        fenced(_settings(public, variant, stage), "yaml"),
        "Trained with peftir. The methods and the question are from Ma et al. 2022, “Scattered or "
        "Connected?”, arXiv 2208.09847.",
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(root: Path, params: Params, stage: StageName, form: Form) -> str:
    is_hub_id = not is_local(params.backbone.name, root)
    library = "onnx" if form == "onnx" else "sentence-transformers"
    content = {
        "library_name": library,
        "pipeline_tag": PIPELINES[stage],
        "tags": [library, stage, *(["peft"] if form == "adapter" else [])],
        **({"base_model": params.backbone.name} if is_hub_id else {}),
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False)}---"


def _facts(params: Params, training: dict[str, Any], manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    method, weights = tuners.METHODS[training["type"]], training["weights"]
    knobs = ", ".join(f"{name} {value}" for name, value in training["knobs"].items())
    yield "data", f"{shown(params.collection.source)}: {_counts(manifest)}"
    yield (
        "backbone",
        params.backbone.name + (f", revision {params.backbone.revision}" if params.backbone.revision else ""),
    )
    yield "method", f"{method.name}: {method.summary} ({method.reference})" + (f"; {knobs}" if knobs else "")
    head = f"; the head’s {weights['head']:,} are trained too" if weights["head"] else ""
    yield "weights trained", f"{weights['trained']:,}, {weights['share']:.2%} of the backbone’s{head}"
    if training["seed"] is None:
        return
    if training["stage"] == "retriever" and params.retriever.tune in SIDES:
        yield "sides", SIDES[params.retriever.tune]
    yield (
        "training",
        f"{_draw(training['seed'])}, {training['steps']} steps, the best on dev was step "
        + str(training["best_step"])
        + f" with {training['measure']} {training['best_dev']:.3f}",
    )


def _draw(seed: Seed) -> str:
    number, fold = draw(seed)
    return f"seed {number}" + (f", on the queries outside of fold {fold}" if fold else "")


def _counts(manifest: dict[str, Any]) -> str:
    splits = ", ".join(f"{found['queries']:,} {split} queries" for split, found in manifest["splits"].items())
    return f"{manifest['documents']:,} documents, {splits}"


def _measures(root: Path, params: Params, variant: str, stage: StageName, manifest: dict[str, Any]) -> str:
    """A table of the variant's measures and BM25's, or a note that there are none."""
    task = BY_STAGE[stage].name
    file = root / layout.metrics(task)
    means = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    candidates = Row(None, base=params.reranking.first_stage)
    mixed = Row(variant, interpolated=True, base=candidates.base).name
    rows = [name for name in dict.fromkeys((variant, mixed, BM25.name, candidates.name)) if name in means]
    if variant not in rows:
        return "Not measured."
    measures = list(means[variant])
    trained = variant not in params.variants.once(task)
    entries = params.seeds.at(stage)
    seeds = numbers(entries)
    over = f"; mean of the seeds {', '.join(map(str, seeds))}" if trained and len(seeds) > 1 else ""
    if trained and (folds := params.collection.folds):
        over += f", each ranked by the model of its own fold of {folds}"
    lines = [(row, *(f"{means[row][measure]:.3f}" for measure in measures)) for row in rows]
    note = f"Means over {manifest['splits']['test']['queries']:,} test queries{over}."
    if mixed in rows:
        title = candidates.title
        note += f" “+{candidates.name}” mixes the scores with {title}’s; "
        note += f"the candidates of all rows are {title}’s."
    return f"{_table(('', *measures), lines)}\n\n{note}"


def _use(root: Path, params: Params, stage: StageName, form: Form, sides: bool) -> str:
    if form == "onnx":
        return fenced(_use_of_onnx(params, stage, sides), "python")
    use = USE_OF_SIDES if sides and stage == "retriever" else USE[stage]
    if form == "whole":
        return fenced(use, "python")
    name, revision = params.backbone.name, params.backbone.revision
    pinned = f" at revision {code(revision)}" if revision else ""
    if is_local(name, root):
        pinned = " under this path from where Python starts, or its place in `adapter_config.json`"
    return (
        f"The folder has the adapter alone: it needs {code(base_name(name, root))}{pinned}, and "
        "`import peftir.tuners` before it is loaded, which makes the method known.\n\n"
        + fenced(f"import peftir.tuners\n{use}", "python")
    )


def _use_of_onnx(params: Params, stage: StageName, sides: bool) -> str:
    """Code that computes with ONNX Runtime, and with transformers for the tokenizer alone."""
    head = """import onnxruntime
from transformers import AutoTokenizer


def run(folder, length, *texts):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = onnxruntime.InferenceSession(f"{folder}/model.onnx")
    tokens = tokenizer(*texts, truncation=True, max_length=length, padding=True, return_tensors="np")
    return model.run(None, {given.name: tokens[given.name] for given in model.get_inputs()})[0]


"""
    if stage == "reranker":
        pairs = '["a query", "a query"], ["a document", "another"]'
        return f'{head}print(run("FOLDER", {params.reranker.length}, {pairs}))'
    given, of_documents = params.retriever, "FOLDER/document" if sides else "FOLDER"
    queries = [given.query_prefix + "a query"]
    documents = [given.document_prefix + text for text in ("a document", "another")]
    return (
        f'{head}queries = run("FOLDER", {given.query_length}, {json.dumps(queries)})\n'
        f'documents = run("{of_documents}", {given.document_length}, {json.dumps(documents)})\n'
        "print(queries @ documents.T)"
    )


def _settings(params: Params, variant: str, stage: StageName) -> str:
    """The blocks of ``params.yaml`` used in training."""
    content = {
        "backbone": params.backbone.model_dump(),
        "methods": {variant: params.methods[variant].model_dump(exclude_none=True)},
        stage: params.training(stage).model_dump(),
    }
    return yaml.safe_dump(content, sort_keys=False)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(table(head, (map(escape, cells) for cells in rows)))
