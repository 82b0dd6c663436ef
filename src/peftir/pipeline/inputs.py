"""Detect changes of a study's inputs outside of its folder, and of the installed packages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path

from packaging.requirements import Requirement

from peftir.data.sources.fingerprint import fingerprint_of
from peftir.models.backbone import ADAPTER, is_local
from peftir.pipeline.backbone import is_settled, settled
from peftir.study import layout
from peftir.study.params import Params, load_params
from peftir.study.tasks import TASKS, StageName
from peftir.system.errors import PeftirError
from peftir.system.files import changed_file, fingerprint


def changed_inputs(root: Path) -> Iterator[str]:
    """Yield a message for each input that has changed since the study read it.

    Inputs are the folders of a backbone, of sources and of models to start from. There is no message if
    ``params.yaml`` names another folder, since the stages that read it run again.
    """
    file = root / "params.yaml"
    if not file.is_file():
        return
    try:
        params = load_params(file)
        if is_local(params.backbone.name, root) and is_settled(root, params):
            settled(root, params)
    except PeftirError as error:
        yield str(error)
        return
    yield from _changed_starts(root, params)
    if changed := _changed_source(root / layout.COLLECTION, params.collection.source):
        yield _told(changed, "the collection", "prepare")
    for name, test in params.tests.items():
        if changed := _changed_source(root / layout.of(name, layout.COLLECTION), test.source):
            yield _told(changed, f"the test set {name}", f"prepare_test@{name}")


def _changed_starts(root: Path, params: Params) -> Iterator[str]:
    for stage, variant, path, trained_by in _trainings(params):
        given, record = params.methods[variant].start_from, root / path
        if given is None or (folder := given.at(stage)) is None or not record.is_file():
            continue
        before = json.loads(record.read_text(encoding="utf-8")).get("start_from", {})
        if file := changed_file(before, fingerprint(root / folder, ADAPTER)):
            yield (
                f"{folder}/{file}: is not what it was when {variant} was trained from it; bring it back, "
                f"or train again: `dvc repro --force {trained_by}`"
            )


def _trainings(params: Params) -> Iterator[tuple[StageName, str, Path, str]]:
    """Yield the kind of model, the variant, the record and the item of DVC's pipeline of each training."""
    for name, mined in params.mining.items():
        yield "retriever", mined.variant, layout.miner_paths(name).record, f"train_miner@{name}"
    for stage in (task.stage for task in TASKS):
        for variant, seed in product(params.variants.trained(stage), params.seeds.at(stage)):
            item = f"train_{stage}@{layout.key(variant, seed)}"
            yield stage, variant, layout.training(stage, variant, seed), item


def _told(changed: Path, what: str, stage: str) -> str:
    return (
        f"{changed}: is not what it was when {what} was prepared; bring it back, or take it as it is now: "
        f"`dvc repro --force {stage}`, then `dvc repro`"
    )


def _changed_source(folder: Path, source: str) -> Path | None:
    """The first file of ``source`` that was changed, added or removed since ``folder`` was prepared."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not prepared, or damaged
        return None
    name, _, place = source.partition(":")
    path, origin = Path(place), manifest.get("origin", {})
    named = origin.get("folder", origin.get("place"))
    if "files" not in manifest or (name, path.resolve().name) != (origin.get("source"), named):
        return None
    file = changed_file(manifest["files"], fingerprint_of(source))
    return None if file is None else (path / file if path.is_dir() else path)


def other_packages(lock: Path = Path("requirements.lock")) -> Iterator[str]:
    """Yield a message if installed packages differ from the lock, on which all results depend."""
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.is_file() else []
    wanted = [Requirement(line) for line in lines if line.strip() and not line.startswith(("#", "-"))]
    others = [
        f"{package.name} {installed or 'is missing'} ({package.specifier})"
        for package in wanted
        if package.marker is None or package.marker.evaluate()
        if not package.specifier.contains(installed := _installed(package.name), prereleases=True)
    ]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        yield (
            f"{', '.join(others[:3])}{more}: not as in {lock}, so results may differ from those of others; "
            f"run: pip install -r {lock}"
        )


def _installed(package: str) -> str:
    try:
        return version(package).partition("+")[0]  # a build, such as +cpu, is not in the lock
    except PackageNotFoundError:
        return ""
