"""Validate settings that depend on the backbone or on ir-measures, before the first model is trained.

Settings of all stages are checked, with methods of :class:`~peftir.study.params.Params`. This does not affect
results, so a stage that calls it does not depend on these settings.
"""

from __future__ import annotations

from pathlib import Path

from transformers import AutoConfig, AutoTokenizer

from peftir.models.backbone import backbone_folder
from peftir.models.ending import append_eos
from peftir.models.positions import most_tokens
from peftir.models.starts import refuse_several_outputs
from peftir.ranking.measures import check_measures
from peftir.study.params import Params
from peftir.system.errors import PeftirError, reason_of
from peftir.tuners import TunerError
from peftir.tuners.places import family_of


def check_settings(root: Path, given: Params) -> None:
    """Check the backbone's architecture, lengths, prefixes and measures.

    Raises:
        PeftirError: the backbone is not found, is of an unknown family or has a head of several outputs, a
            length exceeds its positions, a prefix leaves no token for the text, or a measure is unknown.
    """
    check_measures(given.measure_names())
    folder = backbone_folder(given.backbone.name, given.backbone.revision, root)
    _check_family(folder, given)
    refuse_several_outputs(folder, given.backbone.name)
    _check_lengths(folder, given)
    _check_prefixes(folder, given)


def _check_family(folder: Path, given: Params) -> None:
    try:
        family_of(AutoConfig.from_pretrained(folder).model_type)
    except ValueError as error:  # transformers' own where it does not know the family either
        known = isinstance(error, TunerError)
        reason = str(error).removeprefix("model: ") if known else reason_of(error)
        raise PeftirError(f"backbone.name: '{given.backbone.name}': {reason}") from error


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
    if given.backbone.append_eos:
        append_eos(tokenizer)
    for key, (prefix, limit) in given.prefixes().items():
        tokens, length = len(tokenizer(prefix).input_ids), given.lengths()[limit]
        if tokens >= length:
            raise PeftirError(
                f"{key}: {prefix!r}: is {tokens} tokens, special ones included; expected fewer than {limit}, "
                f"which is {length}, so that something of each text is read"
            )
