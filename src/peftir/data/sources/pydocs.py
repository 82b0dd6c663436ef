"""The default source, ``pydocs``: the reference documentation of installed Python packages.

A document is the docstring of a public function, class or method without its summary sentence. The sentence
is the query, and this document its only relevant one: sparse judgements, about one per query, as in MS MARCO.
The sources are parsed, not imported, so the collection depends only on the package versions. Documents have
no title, since the object's name often paraphrases the query.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

from peftir.data import splits
from peftir.data.collection import SPLITS
from peftir.data.content import Content, Document, Judgement, Query, Report, refuse
from peftir.data.hashing import point
from peftir.data.sources.docstrings import public_docstrings
from peftir.data.sources.pairs import Pair, cut_pair, query_id, sound
from peftir.system.errors import PeftirError

# Packages to read: module name -> distribution name.
PACKAGES = {
    "matplotlib": "matplotlib",
    "networkx": "networkx",
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "sympy": "sympy",
    "torch": "torch",
    "transformers": "transformers",
}
LEFT_OUT = ("numpy.distutils",)  # only in numpy's wheels for Python 3.11; left out for equal collections
TESTS = ("test", "tests", "testing", "conftest")
COPIES_OF_OTHERS = ("externals", "vendor")


def read(
    place: str,
    documents: int | None,
    shares: Mapping[str, float],
    report: Report = refuse,
    *,
    packages: Mapping[str, str] = PACKAGES,
) -> Content:
    """Read the collection from the installed packages.

    Args:
        place: must be empty.
        documents: number of documents, ``None`` for all; those with the lowest hashes of their ids are taken,
            so that a larger collection contains every smaller one.
        shares: share of the queries by split, see :func:`split_of`.
        report: not used.
        packages: distribution names by module name of the packages to read.

    Raises:
        PeftirError: a package is not installed, or ``documents`` is larger than the number of documents.
    """
    if place:
        raise PeftirError(f"collection.source: is 'pydocs:{place}'; expected 'pydocs', it takes no place")
    pairs = sound(pair for package in packages for pair in package_pairs(package, find_folder(package)))
    if documents is not None:
        if documents > len(pairs):
            raise PeftirError(
                f"collection.documents: is {documents}; expected at most {len(pairs)}, or null for all"
            )
        pairs = sorted(pairs, key=lambda pair: point(f"subset {pair.id}"))[:documents]
    pairs = sorted(pairs)
    return Content(
        documents=[Document(pair.id, "", pair.document) for pair in pairs],
        qrels={
            split: [
                Judgement(query_id(pair.id), pair.id, 1)
                for pair in pairs
                if split_of(pair.id, shares) == split
            ]
            for split in SPLITS
            if shares.get(split)
        },
        queries=[Query(query_id(pair.id), pair.query) for pair in pairs],
        origin={
            "source": "pydocs",
            "packages": {name: _version(packages[name]) for name in sorted(packages)},
        },
    )


def find_folder(package: str) -> Path:
    """The folder of an installed package, which is not imported.

    Raises:
        PeftirError: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise PeftirError(f"package {package}: is not installed; run pip install 'peftir[pipeline]'")
    return Path(spec.submodule_search_locations[0])


def _version(distribution: str) -> str:
    """A package's version without the build tag (``+cpu``), which does not affect docstrings."""
    return importlib.metadata.version(distribution).partition("+")[0]


def package_pairs(package: str, folder: Path) -> Iterator[Pair]:
    """Yield the pairs of one package, in the order of its files.

    Tests, vendored packages and private objects are left out. Files with a private name are read, since they
    may define public objects (``sklearn/linear_model/_ridge.py``). Modules in private folders are read only
    if they list public names in ``__all__`` (``numpy/_core/fromnumeric.py``).
    """
    seen: set[str] = set()
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if not all(_belongs(part) for part in parts):
            continue
        private = any(part.startswith("_") for part in parts[:-1])
        source = path.read_bytes()
        if private and b"__all__" not in source:
            continue
        module = ".".join((package, *parts)).removesuffix(".__init__")
        if any(f"{module}.".startswith(f"{name}.") for name in LEFT_OUT):
            continue
        try:
            docstrings = list(public_docstrings(source, only_listed=private))
        except SyntaxError:  # a template, or for another Python version
            continue
        for name, docstring in docstrings:
            pair = _pair(f"{module}.{name}", docstring)
            if pair is not None and pair.id not in seen:  # the same name can be defined twice, under `if`
                seen.add(pair.id)
                yield pair


def _belongs(part: str) -> bool:
    """Whether a folder or module of this name is importable code of the package itself, and no test."""
    name = part.strip("_")
    left_out = name in (*TESTS, *COPIES_OF_OTHERS) or name.startswith(("test_", "testing_"))
    return part.isidentifier() and not left_out


def _pair(id: str, docstring: str) -> Pair | None:
    """Extract a pair; ``None`` if it makes no useful query."""
    pair = cut_pair(id, docstring)
    if pair is None or "{" in pair.query or "%(" in pair.query:  # a template, filled in at import
        return None
    return pair


def split_of(id: str, shares: Mapping[str, float]) -> str:
    """The split of the query of the object ``id``, by a hash of the last part of its name.

    So objects with the same name (``fit`` of ``sklearn.svm.SVC.fit``), which often have similar docstrings,
    are in the same split.
    """
    return splits.split_of(id.rpartition(".")[2], shares)
