"""Limit the output of libraries to errors."""

from __future__ import annotations

import logging
import os
import warnings

SETTINGS = {
    "TRANSFORMERS_VERBOSITY": "error",  # load reports: a re-ranker's head is always new
    "HF_HUB_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # transformers follows it too
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}
LIBRARIES = r"(transformers|peft|sentence_transformers|huggingface_hub|datasets)(\.|$)"


def silence_libraries() -> None:
    """Set the Hugging Face libraries to report only errors, in this process and its children.

    Call it before one of them is imported. Variables that are already set in the environment, such as
    ``TRANSFORMERS_VERBOSITY=info``, are kept.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", module=LIBRARIES)
    # It warns of each backbone that becomes a cross-encoder.
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
