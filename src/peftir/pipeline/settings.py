"""Validate settings that depend on the backbone or on ir-measures, before the first model is trained.

Settings of all stages are checked, with methods of :class:`~peftir.study.params.Params`. This does not affect
results, so a stage that calls it does not depend on these settings.
"""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer

from peftir.models.backbone import backbone_folder
from peftir.models.positions import most_tokens
from peftir.ranking.measures import check_measures
from peftir.study.params import Params
from peftir.system.errors import PeftirError


def check_settings(root: Path, given: Params) -> None:
    """Check lengths, prefixes and measures.

    Raises:
        PeftirError: a length exceeds the backbone's positions, a prefix leaves no token for the text, a
            measure is unknown, or the backbone is not found.
    """
    check_measures(given.measure_names())
    folder = backbone_folder(given.backbone.name, given.backbone.revision, root)
    _check_lengths(folder, given)
    _check_prefixes(folder, given)


def _check_lengths(folder: Path, given: Params) -> None:
    maximum = most_tokens(folder)
    for key, length in given.lengths().items():
        if maximum is not None and length > maximum:
            raise PeftirError(
                f"{key}: {length}: expected {maximum} at most, the tokens that backbone.name "
                f"'{given.backbone.name}' has positions for"
            )


def _check_prefixes(folder: Path, given: Params) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for key, (prefix, limit) in given.prefixes().items():
        tokens, length = len(tokenizer(prefix).input_ids), given.lengths()[limit]
        if tokens >= length:
            raise PeftirError(
                f"{key}: {prefix!r}: is {tokens} tokens, special ones included; expected fewer than {limit}, "
                f"which is {length}, so that something of each text is read"
            )
