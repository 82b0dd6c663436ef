"""Validate a source with the study's params: ``peftir check``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from peftir.data.check import Findings, Ruler, check, check_test_set
from peftir.data.content import Document
from peftir.data.prepare import read_source
from peftir.pipeline.backbone import as_settled
from peftir.study.params import Params


def check_source(root: Path, params: Params, source: str) -> Findings:
    """The statistics of ``source``, its share of truncated texts, and all its problems.

    Raises:
        PeftirError: the source or the backbone is not found, or the backbone, ir-measures or faiss does not
            support a setting.
    """
    params = _checked(root, params)
    return _check_collection(params, source, _rulers_of(root, params))


def check_sources(root: Path, params: Params) -> list[Findings]:
    """As :func:`check_source` for the collection and every test set of ``params``."""
    params = _checked(root, params)
    rulers, given = _rulers_of(root, params), params.collection
    found = [_check_collection(params, given.source, rulers)]
    for name, test in params.tests.items():
        corpus = _documents_of(params) if test.corpus == "same" else None
        found.append(
            check_test_set(name, test.source, own_documents=test.own_documents, corpus=corpus, rulers=rulers)
        )
    return found


def _documents_of(params: Params) -> Iterable[Document]:
    """The documents of the collection, whose own problems are reported elsewhere."""
    given = params.collection
    content = read_source(
        given.source,
        documents=given.documents,
        splits=given.splits.model_dump(),
        folds=given.folds,
        report=lambda problem: None,
    )
    return content.documents


def _checked(root: Path, params: Params) -> Params:
    """``params`` with the backbone's commit, after a check of its settings."""
    # Imported here, since it takes seconds, which other commands do not need.
    from peftir.pipeline.settings import check_settings

    params = as_settled(root, params)
    check_settings(root, params)
    _check_index(root, params)
    return params


def _check_collection(params: Params, source: str, rulers: dict[str, Ruler]) -> Findings:
    return check(
        source,
        splits=params.collection.splits.model_dump(),
        own_documents=params.collection.own_documents,
        folds=params.collection.folds,
        rulers=rulers,
    )


def _check_index(root: Path, params: Params) -> None:
    """Create an empty index with the study's settings.

    Raises:
        PeftirError: the index does not fit the backbone's dimension, or lacks the search parameters.
    """
    from transformers import AutoConfig

    from peftir.models.backbone import backbone_folder
    from peftir.ranking.dense import new_index, set_parameters

    config = AutoConfig.from_pretrained(backbone_folder(params.backbone.name, params.backbone.revision, root))
    index = new_index(params.index.factory, config.hidden_size)
    set_parameters(index, params.retrieval.search_parameters)


def _rulers_of(root: Path, params: Params) -> dict[str, Ruler]:
    """The length measurement of documents and queries with the study's tokenizer and prefixes.

    Raises:
        PeftirError: the backbone is not found.
    """
    from transformers import AutoTokenizer

    from peftir.models.backbone import backbone_folder
    from peftir.models.ending import append_eos

    folder = backbone_folder(params.backbone.name, params.backbone.revision, root)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if params.backbone.append_eos:
        append_eos(tokenizer)

    def ruler(prefix: str, maximum: int) -> Ruler:
        def tokens(texts: list[str]) -> list[int]:
            return [len(ids) for ids in tokenizer([prefix + text for text in texts], verbose=False).input_ids]

        return Ruler(tokens, maximum)

    settings = params.retriever
    return {
        "document": ruler(settings.document_prefix, settings.document_length),
        "query": ruler(settings.query_prefix, settings.query_length),
    }
