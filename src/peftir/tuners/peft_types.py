"""What is known of each of PEFT's types: whether it works on an encoder, and which field sizes it.

The tables to extend when PEFT has another type; a test looks for each of ``peft.PeftType`` in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_VIRTUAL_TOKENS = (
    "puts virtual tokens before the text in PeftModel.forward, which transformers and sentence-transformers "
    "do not call; use type: prefix"
)

REFUSED: Mapping[str, str] = {
    "ADAPTION_PROMPT": "exists for decoders only (Llama, Mistral, GPT-2)",
    "CARTRIDGE": "is a trained cache of a decoder",
    "CPT": "is for causal language models only",
    "MULTITASK_PROMPT_TUNING": _VIRTUAL_TOKENS,
    "POLY": "needs the number of a task with each text",
    "PREFIX_TUNING": _VIRTUAL_TOKENS,
    "PROMPT_TUNING": _VIRTUAL_TOKENS,
    "P_TUNING": _VIRTUAL_TOKENS,
    "SHADOW": "runs a second model beside a decoder's layers, whose outputs an encoder does not take",
    "XLORA": "mixes several LoRA adapters that were trained before",
}
"""The types that do not work on an encoder, and why."""

PEFT_MODEL_ONLY: Mapping[str, str] = {
    **dict.fromkeys(
        ("FROD", "PVERA", "TINYLORA", "UNILORA", "VBLORA", "VERA"),
        "keeps weights that all layers share outside the model, which transformers' add_adapter and "
        "load_adapter do not support",
    ),
    "LILY": "trains weights that layers share, which transformers' save_pretrained does not support",
}
"""The types that ``peft.get_peft_model`` alone supports, and why transformers does not."""

NO_ASIDES: Mapping[str, str] = {
    **dict.fromkeys(PEFT_MODEL_ONLY, "keeps weights that layers share"),
}
"""The types that cannot be the base of asides, and why."""

HEADLESS = ("TRAINABLE_TOKENS",)
"""Types without ``modules_to_save``: the head of a re-ranker could be neither trained nor saved."""

VALUES_NEEDED = ("ADAMSS", "BOFT", "FROD", "SHIRA", "UNILORA")
"""Types that cannot be made on the meta device, since they look at the values of weights or of masks."""

SLOW = ("ADAMSS", "FROD")
"""Of these, the types that decompose every weight; they are not made on trial."""


@dataclass(frozen=True)
class Size:
    """The field of a configuration that decides how many weights are trained.

    Attributes:
        field: the field, a whole number.
        kind: ``rank``, up to the smallest side of the weight matrices; ``share``, up to the number of weights
            in the smallest matrix; ``divisor`` of all sides; ``multiple`` of ``of``, up to the smallest side;
            ``any``; ``named`` by the user.
        of: with ``multiple``, a number, or the field that has it.
        along: fields that have the same value.
        instead: fields that would size the method, too.
    """

    field: str
    kind: str = "rank"
    of: int | str = 1
    along: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()


_R = Size("r")

SIZES: Mapping[str, Size] = {
    **dict.fromkeys(
        ("DEFT", "DELORA", "GLORA", "HIRA", "LILY", "LOHA", "LOKR", "LORA", "MISS", "PEANUT", "PSOFT"), _R
    ),
    "ADALORA": Size("init_r", along=("target_r",), instead=("r",)),
    "BOFT": Size("boft_block_size", "divisor", instead=("boft_block_num",)),
    "C3A": Size("block_size", "divisor"),
    "FOURIERFT": Size("n_frequency", "share"),
    "GRALORA": Size("r", "multiple", of="gralora_k"),
    "HRA": Size("r", "multiple", of=2),  # an odd one does not start as the backbone
    "OFT": Size("oft_block_size", "divisor", instead=("r",)),
    "PVERA": Size("r", "share"),
    "RANDLORA": Size("r", "divisor"),  # a smaller rank needs more bases and trains more
    "SHIRA": _R,
    "TINYLORA": Size("u", "share"),
    "UNILORA": Size("theta_d_length", "any"),
    "VBLORA": Size("num_vectors", "any"),
    "VERA": Size("r", "share"),
    "WAVEFT": Size("n_frequency", "share"),
}
"""What a budget picks, by type; the types that are not here have no such field, or decide by the weights."""

_DATA = "needs data before training, or files that pickle reads"

FIELDS: Mapping[str, str] = {
    "alora_invocation_tokens": "is for causal language models only",
    "arrow_config": "mixes several adapters that were trained before",
    "auto_mapping": "names a class, and PEFT fills it in",
    "base_model_name_or_path": "is the study's backbone",
    "corda_config": _DATA,
    "eva_config": _DATA,
    "inference_mode": "is set on loading",
    "layer_replication": "changes the backbone",
    "loftq_config": "needs a quantized backbone",
    "lora_ga_config": _DATA,
    "megatron_config": "imports a module that it names",
    "megatron_core": "imports a module that it names",
    "peft_version": "is filled in by PEFT",
    "revision": "is that of the study's backbone",
    "runtime_config": "is not saved with the adapter",
    "task_type": "follows from the stage, and the head is trained and saved without it",
    "trainable_token_indices": "trains embeddings beside the adapter; use peft_type: TRAINABLE_TOKENS",
}
"""Fields of PEFT's configurations that a study cannot set, and why."""

VECTORS = (
    "beft_bias",
    "boft_s",
    "glora_D",
    "glora_E",
    "lora_E",
    "randlora_gamma",
    "randlora_lambda",
)
"""Weights of two dimensions that are biases, scaling factors or singular values."""

DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "ADALORA": {"total_step": 1},  # only the reallocation of ranks counts steps
    # The frozen projections follow from projection_prng_key. All layers share them, and transformers'
    # save_pretrained refuses shared tensors.
    **{kind: {"save_projection": False} for kind in ("PVERA", "RANDLORA", "VERA")},
}
"""Fields that have another default here than in PEFT."""

DATA_INITS = ("eva", "corda", "lora_ga", "loftq")
"""Values of ``init_lora_weights`` that need data or a quantized backbone."""
