"""A source looked through with the study's params: ``peftir check``."""

from __future__ import annotations

from peftir.data.check import Findings, Ruler, check
from peftir.pipeline.backbone import as_settled
from peftir.study.params import Params


def check_source(params: Params, source: str) -> Findings:
    """What is in ``source``, how much of it the study's lengths cut off, and every problem with it.

    Raises:
        PeftirError: there is no such source, or the backbone is not within reach.
    """
    return check(
        source,
        splits=params.collection.splits.model_dump(),
        own_documents=params.collection.own_documents,
        folds=params.collection.folds,
        rulers=_rulers_of(params),
    )


def _rulers_of(params: Params) -> dict[str, Ruler]:
    """Rulers of documents and queries, as the study's retriever reads them.

    Raises:
        PeftirError: the backbone is not within reach.
    """
    # Imported here, since these take seconds that reading a source need not wait for.
    from transformers import AutoTokenizer

    from peftir.models.backbone import backbone_folder

    backbone = as_settled(params).backbone
    tokenizer = AutoTokenizer.from_pretrained(backbone_folder(backbone.name, backbone.revision))

    def ruler(prefix: str, maximum: int) -> Ruler:
        def tokens(texts: list[str]) -> list[int]:
            return [len(ids) for ids in tokenizer([prefix + text for text in texts], verbose=False).input_ids]

        return Ruler(tokens, maximum)

    settings = params.retriever
    return {
        "document": ruler(settings.document_prefix, settings.document_length),
        "query": ruler(settings.query_prefix, settings.query_length),
    }
