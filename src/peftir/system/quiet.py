"""What libraries print beside a command's own output: their errors alone."""

from __future__ import annotations

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
    """Let the Hugging Face libraries report errors alone, in this process and in those that it starts.

    For the beginning of a command, before one of them is imported. What the environment says already, such
    as ``TRANSFORMERS_VERBOSITY=info``, stays.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", module=LIBRARIES)
