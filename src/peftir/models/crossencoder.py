"""The re-ranker: a cross-encoder that scores a query and a document together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Transformer
from tqdm import tqdm

from peftir.data.collection import TextLookup
from peftir.models import manifest
from peftir.models.backbone import backbone_folder
from peftir.models.ending import append_eos, ensure_padding_token, pad_with_another_token
from peftir.models.inference import run_in_batches
from peftir.models.loading import (
    AS_DEFAULT,
    Loading,
    is_decoder,
    keep_4_bit_weights,
    loading_errors,
    refuse_other_formats,
)
from peftir.models.precision import head_in_float32
from peftir.models.starts import is_causal, refuse_several_outputs
from peftir.models.templates import Template
from peftir.models.yes_no import answer_weights, with_prompt
from peftir.ranking.runs import Run
from peftir.study.starts import YesNoParams
from peftir.system.errors import PeftirError
from peftir.tuners.places import Backbone

CHUNK = 4096  # pairs whose texts are in memory at a time; enough for batches of similar length


def new_crossencoder(
    backbone: str,
    *,
    revision: str | None = None,
    root: Path = Path(),
    length: int,
    yes_no: YesNoParams | None = None,
    loading: Loading = AS_DEFAULT,
) -> CrossEncoder:
    """Build a cross-encoder on a pre-trained backbone, with a head of one output without an activation.

    The head is that of a backbone which is a trained cross-encoder, or the difference of two logits
    (:mod:`peftir.models.yes_no`); else it is new.

    Args:
        backbone: a hub id or a local folder.
        revision, root: see :func:`peftir.models.backbone.backbone_folder`.
        length: maximum number of tokens of a pair; the longer text is truncated first.
        yes_no: prompt and answers of a causal language model that answers yes or no.
        loading: format of the weights, attention and end of texts.

    Raises:
        PeftirError: the backbone is not found or cannot be loaded in this way, its head has several outputs,
            or it does not go with ``yes_no``.
    """
    folder = backbone_folder(backbone, revision, root)
    refuse_several_outputs(folder, backbone)
    manifest.forbid_reduced_precision()
    arguments = _arguments(folder, loading)
    with loading_errors(loading):
        model = CrossEncoder(
            # sentence-transformers would take the head over the vocabulary of a causal language model.
            **({"modules": [_classifier(arguments, length)]} if is_causal(folder) else arguments),
            num_labels=1,
            max_length=length,
            activation_fn=torch.nn.Identity(),
        )
    refuse_other_formats(model, f"backbone.name: {backbone}", loading.weights)
    keep_4_bit_weights(model)
    head_in_float32(model[0].model)
    if loading.append_eos:
        append_eos(model.tokenizer)
    ensure_padding_token(model.tokenizer)
    config = model[0].model.config
    if is_decoder(config):
        pad_with_another_token(model.tokenizer)
    # The heads of decoders use it to find each text's last token.
    if config.pad_token_id is None or is_decoder(config):
        config.pad_token_id = model.tokenizer.pad_token_id
    if yes_no is not None:
        _answer(model, folder, yes_no)
    return model


def _arguments(folder: Path, loading: Loading) -> dict[str, Any]:
    return {
        "model_name_or_path": str(folder),
        "model_kwargs": loading.model_arguments(folder),
        "processor_kwargs": loading.tokenizer_arguments(folder),
    }


def _classifier(arguments: dict[str, Any], length: int) -> Transformer:
    return Transformer(
        **arguments,
        transformer_task="sequence-classification",
        config_kwargs={"num_labels": 1},
        max_seq_length=length,
    )


def _answer(model: CrossEncoder, folder: Path, yes_no: YesNoParams) -> None:
    """Give ``model`` the prompt of the causal language model in ``folder``, and its answers as head."""
    if not is_causal(folder):
        raise PeftirError(
            f"reranker.yes_no: {folder} is no causal language model; expected one that answers yes or "
            "no, or null"
        )
    module: Any = model[0]
    encoder = module.model
    weights = answer_weights(folder, encoder.get_input_embeddings().weight, model.tokenizer, yes_no)
    kind, names = encoder.config.model_type, Backbone.of(encoder).head if is_decoder(encoder.config) else []
    if len(names) != 1:
        raise PeftirError(
            f"reranker.yes_no: {folder} is of the family {kind}, whose head is not one layer that reads the "
            "last token; expected a decoder such as qwen3 or llama, or null"
        )
    with torch.no_grad():
        getattr(encoder, names[0]).weight.copy_(weights)
    module.processor = with_prompt(model.tokenizer, yes_no.prompt)
    prompt = Template.of(model.tokenizer, 2).special
    if prompt + 2 > model.max_length:
        raise PeftirError(
            f"reranker.length: {model.max_length}: expected more than {prompt + 1}, since the prompt of "
            f"reranker.yes_no takes {prompt} tokens"
        )


def score(model: CrossEncoder, pairs: list[tuple[str, str]], precision: str) -> np.ndarray:
    """Score (query, document) ``pairs``; return ``[len(pairs)]`` float32."""
    queries, documents = [query for query, _ in pairs], [document for _, document in pairs]
    scores = run_in_batches(
        model, queries, documents, length=model.max_length, output="scores", precision=precision
    )
    return scores.reshape(len(pairs))


def score_candidates(
    model: CrossEncoder, queries: dict[str, str], candidates: Run, texts: TextLookup, precision: str
) -> Run:
    """Score each query's ``candidates`` with ``model``; the order of the candidates is kept."""
    pairs = pairs_of(candidates)
    scores = np.zeros(len(pairs), dtype=np.float32)
    score_chunks(model, queries, pairs, texts, precision, scores)
    return with_scores(candidates, scores)


def pairs_of(candidates: Run) -> list[tuple[str, str]]:
    """The (query id, document id) pairs of ``candidates``, in their order."""
    return [(query, doc) for query, ranking in candidates.items() for doc, _ in ranking]


def with_scores(candidates: Run, scores: np.ndarray) -> Run:
    """``candidates`` with new ``scores``, given in the order of :func:`pairs_of`."""
    values = iter(scores.tolist())
    return {query: [(doc, next(values)) for doc, _ in ranking] for query, ranking in candidates.items()}


def score_chunks(
    model: CrossEncoder,
    queries: dict[str, str],
    pairs: list[tuple[str, str]],
    texts: TextLookup,
    precision: str,
    scores: np.ndarray,
    worker: int = 0,
    workers: int = 1,
) -> None:
    """Score every ``workers``-th chunk of ``pairs`` from ``worker`` on into ``scores``, ``[len(pairs)]``."""
    starts = range(worker * CHUNK, len(pairs), workers * CHUNK)
    few = len(pairs) <= CHUNK
    for start in tqdm(starts, desc="scoring", unit="chunk", disable=few, position=worker or None):
        chunk = slice(start, start + CHUNK)
        documents = texts([doc for _, doc in pairs[chunk]])
        query_texts = [queries[query] for query, _ in pairs[chunk]]
        scores[chunk] = score(model, list(zip(query_texts, documents, strict=True)), precision)
