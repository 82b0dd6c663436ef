"""What ``peftir export`` adds to a model: the documents with their indexes, and a copy on a hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml
from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from peftir.models.backbone import FILES, backbone_folder
from peftir.pipeline.backbone import pin
from peftir.study import layout
from peftir.study.params import Params
from peftir.study.seeds import Seed
from peftir.study.tasks import StageName
from peftir.system.errors import PeftirError, reason_of

BACKBONE = "backbone"  # the folder of its copy


def write_indexes(
    root: Path, params: Params, variant: str, stage: StageName, seed: Seed | None, to: Path
) -> None:
    """Write to ``to`` the documents, their indexes, the backbone and params, for ``peftir serve``.

    Args:
        root: the study's folder.
        params: the study's settings, with the backbone's commit.
        variant: the variant of the model.
        stage: which of its models; a retriever comes with its index, and both with that of BM25.
        seed: the seed of the model.
        to: has the model where a study has it.

    Raises:
        PeftirError: an index is missing.
    """
    parts = {layout.COLLECTION: "prepare", layout.BM25_INDEX: "bm25"}
    if stage == "retriever":
        maker = "untrained" if seed is None else "index"
        parts[layout.index(variant, seed)] = f"{maker}@{layout.key(variant, seed)}"
    for part, maker in parts.items():
        if not (root / part).is_dir():
            raise PeftirError(f"{root / part}: is missing; `dvc repro {maker}` makes it")
        shutil.copytree(root / part, to / part)
    backbone = backbone_folder(params.backbone.name, params.backbone.revision, root)
    for file in sorted({file for pattern in FILES for file in backbone.glob(pattern)}):
        (to / BACKBONE).mkdir(exist_ok=True)
        shutil.copyfile(file, to / BACKBONE / file.name)
    local = params.backbone.model_copy(update={"name": BACKBONE, "revision": None})
    given = params.for_publication().model_copy(update={"backbone": local, "tests": {}})
    text = yaml.safe_dump(given.model_dump(), sort_keys=False)
    (to / "params.yaml").write_text(text, encoding="utf-8")
    pin(to, given)


def check_hub_id(hub_id: str) -> None:
    """Raise a PeftirError unless ``hub_id`` can be the name of a model on the hub."""
    try:
        validate_repo_id(hub_id)
    except HFValidationError as error:
        raise PeftirError(f"--push {hub_id}: {reason_of(error)}") from error


def push(folder: Path, hub_id: str) -> str:
    """Upload ``folder`` as the model ``hub_id``, private if it is new, and give its address.

    Raises:
        PeftirError: the hub cannot be reached, or refuses.
    """
    api = HfApi()
    try:
        address = api.create_repo(hub_id, private=True, exist_ok=True)
        api.upload_folder(repo_id=hub_id, folder_path=folder, commit_message="Export with peftir")
    except Exception as error:  # of the HTTP client, whichever it is, and of the hub
        raise PeftirError(
            f"--push {hub_id}: not uploaded ({reason_of(error)}); {folder} is complete: log in with "
            f"`hf auth login`, then `hf upload {hub_id} {folder}`"
        ) from error
    return str(address)
