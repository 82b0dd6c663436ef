"""Find the folder of a source and its files."""

from __future__ import annotations

from pathlib import Path

from peftir.system.errors import PeftirError


def folder_of(source: str, place: str, documents: int | None) -> Path:
    """The folder ``place`` of a source that can only be read whole.

    Raises:
        PeftirError: the folder does not exist, or ``documents`` is given: a part of the corpus would lack
            judged documents.
    """
    folder = Path(place)
    if not place or not folder.is_dir():
        raise PeftirError(
            f"collection.source: is '{source}:{place}', no such folder; expected {source}:FOLDER"
        )
    refuse_a_part(source, documents)
    return folder


def refuse_a_part(source: str, documents: int | None) -> None:
    """Raise a PeftirError if ``documents`` is not ``None``, for a source that can only be read whole."""
    if documents is not None:
        raise PeftirError(f"collection.documents: is {documents}; expected null, '{source}' is read whole")


def find(folder: Path, *names: str) -> Path | None:
    """The first of ``names`` that exists in ``folder``, plain or with ``.gz``; ``None`` if none does."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def find_or_refuse(folder: Path, layout: str, *names: str) -> Path:
    """Like :func:`find`, but an error if no file exists; ``layout`` names the kind of folder in the message.

    Raises:
        PeftirError: none of the files exists.
    """
    path = find(folder, *names)
    if path is None:
        raise PeftirError(f"{folder / names[0]}: is missing; {layout} has it, plain or as .gz")
    return path
