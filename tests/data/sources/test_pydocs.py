"""The collection cut from installed packages: which objects, pairs and splits, and the same each time."""

import hashlib
import os
import subprocess
import sys
from collections import Counter

import pytest

from peftir.data.collection import SPLITS, Collection
from peftir.data.prepare import prepare, pydocs
from peftir.data.sample import sample_pairs
from peftir.data.sources.pydocs import Pair, package_pairs, sound, split_of
from peftir.data.writing import write_collection
from peftir.system.errors import PeftirError

SHARES = {"train": 0.65, "dev": 0.1, "test": 0.25}
BODY = (
    "It goes over the whole array once, in the order of memory, and keeps what it has seen in a small table."
)


def function(name: str, summary: str, body: str = BODY) -> str:
    return f'def {name}():\n    """{summary}\n\n    {body}\n    """\n\n'


def write_package(folder, files):
    for name, source in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


def test_a_pair_is_a_docstring_cut_in_two(tmp_path):
    folder = write_package(tmp_path, {"sums.py": function("total", "Return the sum of ``a``.")})
    assert list(package_pairs("tiny", folder)) == [Pair("tiny.sums.total", "Return the sum of a.", BODY)]


def test_which_files_are_read(tmp_path):
    listed = "__all__ = ['f']\n"
    files = {
        "__init__.py": True,
        "a.py": True,
        "_private_file.py": True,
        "sub/b.py": True,
        "latest/testable.py": True,
        "_folder/internal.py": False,
        "tests/c.py": False,
        "testing/c.py": False,
        "_testing/c.py": False,
        "sub/tests/helpers/c.py": False,
        "test_d.py": False,
        "testing_utils.py": False,
        "conftest.py": False,
        "externals/e.py": False,
        "_vendor/e.py": False,
        "not-a-module.py": False,
    }
    folder = write_package(tmp_path, {name: function("f", "Return the sum of it.") for name in files})
    write_package(tmp_path, {"_core/public.py": listed + function("f", "Return the sum of it.")})
    write_package(tmp_path, {"python2.py": "print 'no longer Python'\n"})
    assert [pair.id for pair in package_pairs("p", folder)] == [
        "p.f",
        "p._core.public.f",
        "p._private_file.f",
        "p.a.f",
        "p.latest.testable.f",
        "p.sub.b.f",
    ]


def test_what_numpys_wheels_have_on_one_python_alone_is_left_out(tmp_path):
    text = function("f", "Return the sum of it.")
    of_all = {"a.py": text, "distutilsx.py": text}
    folder = write_package(tmp_path, of_all)
    before = list(package_pairs("numpy", folder))
    write_package(tmp_path, {"distutils/misc_util.py": text})
    assert len(before) == 2
    assert list(package_pairs("numpy", folder)) == before
    assert len(list(package_pairs("p", folder))) == 3


@pytest.mark.parametrize(
    ("summary", "body"),
    [
        ("Too short.", BODY),
        ("Many words " * 16, BODY),
        ("Return the sum of it.", "A body of far too few words."),
        ("Compute it in this way:", BODY),
        ("Return the sum of it,", BODY),
        ("Return the {kind} of it.", BODY),
        ("Return the %(kind)s of it.", BODY),
        ("#!usr bin env python", BODY),
    ],
)
def test_pairs_that_make_no_sense_are_left_out(tmp_path, summary, body):
    write_package(tmp_path, {"a.py": function("f", summary, body) + function("g", "Return the sum of it.")})
    assert [pair.id for pair in package_pairs("p", tmp_path)] == ["p.a.g"]


def test_an_object_that_is_defined_twice_counts_once(tmp_path):
    source = "if fast:\n    " + function("f", "Return the quick sum.").replace("\n", "\n    ")
    write_package(
        tmp_path, {"a.py": source.rstrip() + "\nelse:\n    def f():\n        '''Return the slow sum.'''\n"}
    )
    assert [(pair.id, pair.query) for pair in package_pairs("p", tmp_path)] == [
        ("p.a.f", "Return the quick sum.")
    ]


def test_repeated_and_revealing_pairs_are_left_out():
    pairs = [
        Pair("a", "Return the sum of it.", "One document."),
        Pair("b", "return  the SUM of it", "Another document."),  # the words of a's query
        Pair("c", "Return the mean of it.", "The document of two."),
        Pair("d", "Return the median of it.", "The document, of two!"),  # the words of c's document
        Pair(
            "e", "Return the range of it.", "A document. Return the range\n  of it. More."
        ),  # tells its query
        Pair("f", "Return the range of them.", "A document that returns the ranges of them."),
    ]
    assert [pair.id for pair in sound(pairs)] == ["f"]


def test_splits_follow_an_objects_own_name_in_the_shares_asked_for():
    names = [f"package.module.function_{number}" for number in range(4000)]
    counts = Counter(split_of(name, SHARES) for name in names)
    for split in SPLITS:  # four standard deviations of a binomial
        share = SHARES[split]
        assert abs(counts[split] - 4000 * share) < 4 * (4000 * share * (1 - share)) ** 0.5
    assert split_of("sklearn.svm.SVC.fit", SHARES) == split_of("scipy.stats.norm.fit", SHARES)
    assert {split_of(name, {"test": 1.0}) for name in names} == {"test"}


def test_the_split_is_where_the_names_hash_falls():
    place = int(hashlib.sha256(b"split fit").hexdigest(), 16) / 2**256
    for near, split in ((place - 1e-6, "test"), (place + 1e-6, "train")):
        assert split_of("a.fit", {"train": near, "dev": 0.0, "test": 1 - near}) == split


@pytest.fixture(scope="module")
def networkx():
    """The collection of one real package, all of it."""
    return pydocs.read("", None, SHARES, packages={"networkx": "networkx"})


def test_a_real_package_gives_many_sound_pairs(networkx):
    documents = {document.id: document for document in networkx.documents}
    queries = {query.id: query.text for query in networkx.queries}
    assert len(documents) == len(queries) > 700
    assert queries["summary:networkx.algorithms.shortest_paths.generic.has_path"] == (
        "Returns True if G has a path from source to target."
    )
    assert not any(document.title for document in documents.values())
    for split in SPLITS:
        for query, document, grade, _ in networkx.qrels[split]:
            assert (query, grade) == (f"summary:{document}", 1)
            assert queries[query] not in documents[document].text
    assert list(documents) == sorted(documents)


def test_a_subset_is_within_every_larger_one(networkx):
    read = [
        {
            document.id: document
            for document in pydocs.read("", size, SHARES, packages={"networkx": "networkx"}).documents
        }
        for size in (50, 100)
    ]
    everything = {document.id: document for document in networkx.documents}
    assert [len(documents) for documents in read] == [50, 100]
    assert read[0].items() <= read[1].items() <= everything.items()


def test_the_same_bytes_from_processes_that_hash_otherwise_and_read_elsewhere(tmp_path):
    script = (
        "import sys; from pathlib import Path; from peftir.data.prepare import pydocs, write_collection;"
        "shares = {'train': .6, 'dev': .2, 'test': .2};"
        "write_collection(Path('out'), pydocs.read('', 30, shares, packages={'tiny': 'networkx'}))"
    )
    written = []
    for seed, folder in (("1", tmp_path / "one"), ("2", tmp_path / "further" / "away" / "two")):
        package = {"__init__.py": ""}
        for number in range(40):
            source = function(f"f{number}", f"Return the sum number {number}.", f"{BODY} Number {number}.")
            package[f"module_{number}.py"] = source
        write_package(folder / "tiny", package)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(folder)}
        subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, check=True)
        out = folder / "out"
        written.append(
            {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        )
    assert written[0] == written[1]
    assert len(written[0]) == 6


def test_reading_imports_none_of_the_packages():
    script = (
        "import sys; from peftir.data.prepare import pydocs;"
        "pydocs.read('', 50, {'train': 1.0}, packages={'networkx': 'networkx'});"
        "print([name for name in ('networkx', 'torch', 'sympy', 'sklearn') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_manifest_says_what_was_read(tmp_path, networkx):
    manifest = write_collection(tmp_path / "collection", networkx)
    assert manifest["origin"]["source"] == "pydocs"
    assert list(manifest["origin"]["packages"]) == ["networkx"]
    assert "+" not in pydocs._version("torch")
    assert manifest["documents"] == sum(counts["queries"] for counts in manifest["splits"].values())


def test_the_sample_shows_queries_beside_their_documents(tmp_path, networkx):
    folder = tmp_path / "collection"
    write_collection(folder, networkx)
    collection, texts = Collection(folder), dict(Collection(folder).texts())
    blocks = sample_pairs(folder, 5).split("\n\n")
    assert len(blocks) == 5
    for block in blocks:
        query, document, start = block.split("\n", 2)
        documents = [
            list(collection.qrels(split)[id])
            for split in SPLITS
            for id, text in collection.queries(split).items()
            if text == query
        ]
        assert documents == [[document.strip()]]
        shown = " ".join(start.replace("  | ", " ").split()).removesuffix(" …")
        assert " ".join(texts[document.strip()].split()).startswith(shown)


@pytest.mark.parametrize(
    ("place", "documents", "package", "message"),
    [
        ("somewhere", None, "networkx", "is 'pydocs:somewhere'; expected 'pydocs'"),
        ("", None, "no_such_package", "package no_such_package: is not installed"),
        ("", 10**6, "networkx", "collection.documents: is 1000000; expected at most"),
    ],
)
def test_mistakes_are_named(place, documents, package, message):
    with pytest.raises(PeftirError, match=message):
        pydocs.read(place, documents, SHARES, packages={package: package})


def test_an_unknown_source_is_named_beside_the_known_ones(tmp_path):
    with pytest.raises(
        PeftirError, match=r"collection.source: 'pidocs:x' is unknown; expected one of .*pydocs"
    ):
        prepare("pidocs:x", tmp_path / "collection", documents=None, splits=SHARES)
    assert not list(tmp_path.iterdir())
