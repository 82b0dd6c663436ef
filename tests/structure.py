"""The import graph of the project, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"


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
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in seen:
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


# Cannot change a number: paths are in dvc.yaml, values of params.yaml are tracked as params.
PLUMBING = {
    "__init__.py",
    "common.py",
    "errors.py",
    "files.py",
    "layout.py",
    "memory.py",
    "orphans.py",
    "params.py",
    "resources.py",
    "seeds.py",
}


def modules_behind(script: Path) -> set[str]:
    """The files that the stage ``script``'s numbers come from; ``tuners`` and ``report`` as folders."""
    found = set()
    for path in closure(script):
        name = path.relative_to(ROOT)
        if name.parts[:3] == ("src", "peftir", "tuners"):
            found.add("src/peftir/tuners")
        elif name.parts[:3] == ("src", "peftir", "report"):
            found.add("src/peftir/report")
        elif path.name not in PLUMBING:
            found.add(str(name))
    return found
