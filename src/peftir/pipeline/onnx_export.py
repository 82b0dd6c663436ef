"""Export a trained model to one ONNX file, checked and timed against torch: ``peftir export --onnx``."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor, nn

from peftir.data.collection import Collection
from peftir.models import saving
from peftir.models.biencoder import TextKind, texts_and_length
from peftir.models.sides import alone, modules_of, side_folder
from peftir.models.tokenizing import features, tokenize
from peftir.pipeline.backbone import as_settled
from peftir.pipeline.export import new_folder, trained_model
from peftir.pipeline.model_card import model_card
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.study.tasks import StageName
from peftir.system.errors import PeftirError, reason_of

FILE = "model.onnx"
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TEXTS = 64  # that the outputs are compared for
BATCH = 8  # texts, padded to the longest
TIMES = 3  # that each text is timed
MOST_DIFFERENCE = 1e-5  # from torch, as a share of the largest number where that is above 1
ONE_FILE = 1_500_000_000  # bytes of weights; the format allows 2 GB, and more lie in a file beside
OUTPUTS = {"retriever": "sentence_embedding", "reranker": "scores"}

Inputs = dict[str, Tensor]
Text = tuple[str, str | None, int]
"""A text or a pair of two, and the length in tokens that it is truncated to."""


@dataclass(frozen=True)
class Comparison:
    """How an ONNX file compares with torch on texts of the study.

    Attributes:
        texts: how many queries and documents, or pairs of them.
        difference: the largest between two numbers of the outputs, divided by the largest number of torch's
            where that is above 1, as float32's rounding is relative.
        seconds: per text with ONNX Runtime, one text at a time.
        torch_seconds: the same with torch, in the same run.
    """

    texts: int
    difference: float
    seconds: float
    torch_seconds: float

    def __str__(self) -> str:
        """The comparison in a line."""
        return (
            f"{self.texts} inputs: differs from torch by {self.difference:.1e} at most; one at a time "
            f"{1e3 * self.seconds:.2f} ms each, torch {1e3 * self.torch_seconds:.2f} ms"
        )


def missing_packages() -> list[str]:
    """The packages of the extra ``onnx`` that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def export_onnx(
    root: Path, params: Params, variant: str, stage: StageName, seed: Seed | None, folder: Path
) -> list[Comparison]:
    """Write a trained model to ``folder`` as ONNX, with its tokenizer and a model card.

    The graph goes from token ids to the normalized vector or the score, and has all weights. A retriever
    whose sides have weights of their own has a file for each.

    Args:
        root: the study's folder, with its collection.
        folder: the target; must not exist.

    Returns:
        The comparison with torch, of each file.

    Raises:
        PeftirError: a package is missing, the model is, ``folder`` exists, torch cannot export the model, or
            the outputs differ from torch's.
    """
    if missing := missing_packages():
        raise PeftirError(
            f"--onnx: needs {' and '.join(missing)}, which peftir does not install by default; "
            "pip install 'peftir[onnx]'"
        )
    source, params = trained_model(root, variant, stage, seed), as_settled(root, params)
    with new_folder(folder) as partial:
        model = saving.load(saving.MODEL_TYPES[stage], source, root)
        if (weights := saving.weights_of_backbone(saving.transformer_of(model))) != "float32":
            raise PeftirError(
                f"--onnx: {variant}: was trained on frozen weights in {weights}, which ONNX Runtime does "
                "not compute with as torch does; leave --onnx out"
            )
        collection = Collection(root / layout.COLLECTION)
        compared = [
            _write_side(alone(model, side), side, collection, side_folder(partial, side), variant)
            for side in modules_of(model)
        ]
        card = model_card(root, params, variant, stage, seed, form="onnx")
        (partial / "README.md").write_text(card, encoding="utf-8")
    return compared


class _Graph(nn.Module):
    """From the tokenizer's output to vectors, ``[texts, d]``, or scores, ``[texts]``."""

    def __init__(self, model: SentenceTransformer | CrossEncoder) -> None:
        super().__init__()
        self.model = model
        self.stage = "reranker" if isinstance(model, CrossEncoder) else "retriever"

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        found = self.model({name: value for name, value in given.items() if value is not None})
        output: Tensor = found[OUTPUTS[self.stage]]
        return output.reshape(len(input_ids)) if self.stage == "reranker" else output


def _write_side(
    model: SentenceTransformer | CrossEncoder, side: str, collection: Collection, folder: Path, variant: str
) -> Comparison:
    """Write a model without sides, or one of its sides, and its tokenizer."""
    folder.mkdir(exist_ok=True)
    graph = _Graph(model).cpu().eval()
    texts = list(_texts(model, side, collection))
    _write_graph(graph, _batches(model, texts, 2)[0], folder / FILE, variant)
    model.tokenizer.save_pretrained(folder)
    compared = _compare(graph, model, texts, folder / FILE)
    if compared.difference > MOST_DIFFERENCE:
        raise PeftirError(
            f"--onnx: {variant}: ONNX Runtime's outputs differ from torch's by {compared.difference:.1e}, "
            f"expected at most {MOST_DIFFERENCE:g}; leave --onnx out"
        )
    return compared


def _write_graph(graph: _Graph, example: Inputs, file: Path, variant: str) -> None:
    texts, tokens = torch.export.Dim.DYNAMIC, torch.export.Dim.DYNAMIC
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is missing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                kwargs=example,
                f=file,
                input_names=list(example),
                output_names=[OUTPUTS[graph.stage]],
                dynamic_shapes={name: {0: texts, 1: tokens} for name in example},
                external_data=sum(weight.nbytes for weight in graph.parameters()) > ONE_FILE,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # of the exporter, of whatever it meets in the model
        raise PeftirError(f"--onnx: {variant}: torch cannot export it ({reason_of(error)})") from error


def _texts(model: Any, side: str, collection: Collection) -> Iterator[Text]:
    """Texts of the study, or pairs of them."""
    queries = list(collection.queries("test").values())[:TEXTS]
    documents = [text for _, text in itertools.islice(collection.texts(), TEXTS)]
    if isinstance(model, CrossEncoder):
        length = model.max_length
        yield from (
            (query, text, length) for query, text in zip(itertools.cycle(queries), documents, strict=False)
        )
        return
    kinds: dict[TextKind, list[str]] = {"query": queries, "document": documents}
    for kind, texts in kinds.items():
        if side in ("", kind):
            prefixed, length = texts_and_length(model, texts, kind)
            yield from ((text, None, length) for text in prefixed)


def _batches(model: Any, texts: list[Text], size: int) -> list[Inputs]:
    """The graph's inputs, for so many texts each."""
    batches = []
    for start in range(0, len(texts), size):
        first, second, lengths = zip(*texts[start : start + size], strict=True)
        pairs = None if second[0] is None else second
        tokens = tokenize(model.tokenizer, first, pairs, max(lengths))
        batches.append(features(model.tokenizer, tokens, "cpu"))
    return batches


def _compare(graph: _Graph, model: Any, texts: list[Text], file: Path) -> Comparison:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def with_onnx(inputs: Inputs) -> np.ndarray:
        output: np.ndarray = session.run(None, {name: inputs[name].numpy() for name in names})[0]
        return output

    def with_torch(inputs: Inputs) -> np.ndarray:
        return graph(**inputs).numpy()

    seconds, torch_seconds, difference, scale = 0.0, 0.0, 0.0, 1.0
    with torch.inference_mode():
        for inputs in _batches(model, texts, BATCH):
            expected = with_torch(inputs)
            difference = max(difference, float(np.abs(with_onnx(inputs) - expected).max()))
            scale = max(scale, float(np.abs(expected).max()))
        for inputs in _batches(model, texts, 1):
            seconds += min(_timed(with_onnx, inputs) for _ in range(TIMES))
            torch_seconds += min(_timed(with_torch, inputs) for _ in range(TIMES))
    return Comparison(len(texts), difference / scale, seconds / len(texts), torch_seconds / len(texts))


def _timed(run: Any, inputs: Inputs) -> float:
    started = time.perf_counter()
    run(inputs)
    return time.perf_counter() - started
