"""The import graph of the project, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
TRUSTING_GIT = ("git", "-c", "safe.directory=*")
"""For the checkout under test, which may belong to another user."""


def imports_of(path: Path) -> Iterator[Path]:
    """The project's own files that the Python file ``path`` imports, wherever in the file it does so.

    Imports for type checkers alone do not count, nor do packages around an imported module.
    """
    for node in _run_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]:
                yield from _file_of(name, path)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield from _file_of(alias.name, path)


def closure(path: Path) -> set[Path]:
    """``path`` and every file of the project that it imports, directly or not."""
    return _reached([path], packages=True)


def behind(path: Path) -> set[Path]:
    """The modules that ``path`` imports, directly or not, but for packages' re-exports."""
    return _reached(list(imports_of(path)), packages=False)


def _reached(waiting: list[Path], packages: bool) -> set[Path]:
    seen: set[Path] = set()
    while waiting:
        current = waiting.pop()
        if current not in seen and (packages or current.name != "__init__.py"):
            seen.add(current)
            waiting.extend(imports_of(current))
    return seen


def _run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if not (
            isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        ):
            yield node
            yield from _run_nodes(node)


def _file_of(name: str, importer: Path) -> Iterator[Path]:
    """The file of module ``name`` if it is the project's."""
    parts = name.split(".")
    if parts == ["common"] and importer.parent.name == "stages":
        yield importer.parent / "common.py"
    if parts[0] != "peftir":
        return
    module = SRC.joinpath(*parts)
    if (module / "__init__.py").is_file():
        yield module / "__init__.py"
    elif module.with_suffix(".py").is_file():
        yield module.with_suffix(".py")


# Top to bottom: each line's rooms may import from the lines below it and from COMMON.
ARROWS = (
    ("cli",),
    ("doctor", "serve"),
    ("pipeline",),
    ("report", "diff"),
    ("statistics", "learning"),
    ("training",),
    ("models",),
    ("ranking",),
    ("data",),
    ("tuners",),
)
COMMON = ("study", "system")  # study may import system


def room_of(path: Path) -> str:
    """The folder under ``src/peftir`` that holds ``path``; the name of a module that lies there itself."""
    return path.relative_to(SRC / "peftir").parts[0].removesuffix(".py")


def modules_behind(script: Path) -> set[str]:
    """The files that the stage ``script``'s numbers come from; a folder where all of its files do.

    No number follows from ``system`` and ``study``: paths are in dvc.yaml, values of params.yaml are tracked
    as params. A package's ``__init__.py`` only re-exports.
    """
    counted = {
        path
        for path in closure(script)
        if path.name != "__init__.py"
        and path.name != "common.py"
        and not (SRC in path.parents and room_of(path) in COMMON)
    }
    return {str(name.relative_to(ROOT)) for name in _named(SRC / "peftir", counted)} | {
        str(path.relative_to(ROOT)) for path in counted if SRC not in path.parents
    }


def _named(folder: Path, counted: set[Path]) -> Iterator[Path]:
    """``counted`` under ``folder``, as folders where these are counted whole."""
    modules = {path for path in folder.rglob("*.py") if path.name != "__init__.py"}
    if modules and modules <= counted:
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _named(path, counted)
        elif path in counted:
            yield path
