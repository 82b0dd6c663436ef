"""The study's backbone, settled once: which commit and which content all of its stages take.

``backbone.lock`` says so. It lies in git, so that a clone takes the same, whatever a hub's main branch has by
then, and a content that changes under the study is an error and not another number.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peftir.models.backbone import TOKENIZER, WEIGHTS, backbone_folder, commit_of, link_wheels
from peftir.study import layout
from peftir.study.params import Params
from peftir.system.errors import PeftirError
from peftir.system.files import changed_file, fingerprint, unusable, write_json


def settle(root: Path, params: Params) -> Path:
    """Find the backbone, write ``backbone.lock``, and give the folder that the backbone is in.

    A hub id without a revision takes the commit that an earlier ``backbone.lock`` has of it, else the cached
    or newest one; of a folder the content is taken as it is now.

    Raises:
        PeftirError: the backbone is nowhere to be had, or has no tokenizer.
    """
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
            "sha256": fingerprint(folder, (*WEIGHTS, *TOKENIZER)),
        },
    )
    link_wheels(root)
    return folder


def settled(root: Path, params: Params) -> Params:
    """``params`` with the commit in ``backbone.lock`` as the backbone's revision, its content checked.

    Raises:
        PeftirError: ``backbone.lock`` is missing or of other params, or the backbone has changed since.
    """
    lock = _lock_of(root, params)
    if lock is None:
        raise PeftirError(
            f"{layout.BACKBONE}: expected that of {params.backbone.name!r} with backbone.revision "
            f"{params.backbone.revision!r}; run the stage 'backbone', which writes it"
        )
    params = as_settled(root, params)
    folder = backbone_folder(params.backbone.name, params.backbone.revision, root)
    file = changed_file(lock["sha256"], fingerprint(folder, (*WEIGHTS, *TOKENIZER)))
    if file is not None:
        raise PeftirError(
            f"{folder / file}: is not what it was when {layout.BACKBONE} was written; bring it back, or take "
            "it as it is now: `dvc repro --force backbone`, then `dvc repro`, which trains all models anew"
        )
    return params


def is_settled(root: Path, params: Params) -> bool:
    """Whether there is a ``backbone.lock`` of these params."""
    return _lock_of(root, params) is not None


def as_settled(root: Path, params: Params) -> Params:
    """As :func:`settled`, unchecked, where there is a ``backbone.lock`` of these params; else ``params``."""
    lock = _lock_of(root, params)
    return params if lock is None or lock["commit"] is None else params.at_commit(lock["commit"])


def _lock_of(root: Path, params: Params) -> dict[str, Any] | None:
    """What ``backbone.lock`` has, if it is of the backbone in ``params``."""
    try:
        lock: dict[str, Any] = json.loads((root / layout.BACKBONE).read_text(encoding="utf-8"))
        of_these = (lock["name"], lock["revision"]) == (params.backbone.name, params.backbone.revision)
        return lock if of_these and {"commit", "sha256"} <= lock.keys() else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        again = "bring it back: `git restore --source=HEAD"
        raise unusable(layout.BACKBONE, error, f"{again} {layout.BACKBONE}`") from error
