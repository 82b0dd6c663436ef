"""A source looked through with the study's params: ``peftir check``."""

from __future__ import annotations

from pathlib import Path

from peftir.data.check import Findings, Ruler, check
from peftir.pipeline.backbone import as_settled
from peftir.study.params import Params


def check_source(root: Path, params: Params, source: str) -> Findings:
    """What is in ``source``, how much of it the study's lengths cut off, and every problem with it.

    Raises:
        PeftirError: there is no such source, the backbone is not within reach, or a setting is beyond what
            the backbone, ir-measures or faiss can do.
    """
    # Imported here, since these take seconds that the other commands need not wait for.
    from peftir.pipeline.settings import check_settings

    params = as_settled(root, params)
    check_settings(root, params)
    _check_index(root, params)
    return check(
        source,
        splits=params.collection.splits.model_dump(),
        own_documents=params.collection.own_documents,
        folds=params.collection.folds,
        rulers=_rulers_of(root, params),
    )


def _check_index(root: Path, params: Params) -> None:
    """Make an empty index as the study's.

    Raises:
        PeftirError: faiss cannot make it of the backbone's vectors, or it has no such search parameters.
    """
    from transformers import AutoConfig

    from peftir.models.backbone import backbone_folder
    from peftir.ranking.dense import new_index, set_parameters

    config = AutoConfig.from_pretrained(backbone_folder(params.backbone.name, params.backbone.revision, root))
    index = new_index(params.index.factory, config.hidden_size)
    set_parameters(index, params.retrieval.search_parameters)


def _rulers_of(root: Path, params: Params) -> dict[str, Ruler]:
    """Rulers of documents and queries, as the study's retriever reads them.

    Raises:
        PeftirError: the backbone is not within reach.
    """
    from transformers import AutoTokenizer

    from peftir.models.backbone import backbone_folder

    folder = backbone_folder(params.backbone.name, params.backbone.revision, root)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def ruler(prefix: str, maximum: int) -> Ruler:
        def tokens(texts: list[str]) -> list[int]:
            return [len(ids) for ids in tokenizer([prefix + text for text in texts], verbose=False).input_ids]

        return Ruler(tokens, maximum)

    settings = params.retriever
    return {
        "document": ruler(settings.document_prefix, settings.document_length),
        "query": ruler(settings.query_prefix, settings.query_length),
    }
