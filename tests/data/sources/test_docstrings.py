"""Cutting docstrings: what is public, which sentence is the summary, what the rest is."""

from textwrap import dedent

import pytest

from peftir.data.sources.docstrings import cut, plain, public_docstrings

MODULE = '''
"""The module's own docstring belongs to nothing."""

def first():
    """First."""
    def inner():
        """Inner."""

async def second():
    r"""Second, \\alpha."""

def _third():
    """Third."""

def undocumented():
    pass

class Shape:
    """Shape.

        Indented more than its first line.
    """
    @property
    def area(self):
        """Area."""
    def __init__(self):
        """Init."""
    class Corner:
        """Corner."""
        def angle(self):
            """Angle."""
    class _Hidden:
        """Hidden."""
        def method(self):
            """Method of a private class."""

if available:
    try:
        def third():
            """Under if and try."""
    except ImportError:
        def third():
            """Otherwise."""
else:
    def fourth():
        """Under else."""
'''


def test_public_objects_are_functions_classes_and_methods_in_the_order_of_the_source():
    assert list(public_docstrings(MODULE)) == [
        ("first", "First."),
        ("second", r"Second, \alpha."),
        ("Shape", "Shape.\n\nIndented more than its first line."),
        ("Shape.area", "Area."),
        ("Shape.Corner", "Corner."),
        ("Shape.Corner.angle", "Angle."),
        ("third", "Under if and try."),
        ("third", "Otherwise."),
        ("fourth", "Under else."),
    ]


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        (
            "__all__ = ['Shape', 'fourth']",
            ["Shape", "Shape.area", "Shape.Corner", "Shape.Corner.angle", "fourth"],
        ),
        ("__all__ = ('first',)", ["first"]),
        ("__all__ = []", []),
    ],
)
def test_a_literal_list_says_what_is_public(listed, names):
    assert [name for name, _ in public_docstrings(MODULE + listed)] == names
    assert [name for name, _ in public_docstrings(MODULE + listed, only_listed=True)] == names


def test_a_list_that_is_computed_is_not_read():
    computed = MODULE + "__all__ = [name for name in dir()]"
    assert list(public_docstrings(computed)) == list(public_docstrings(MODULE))
    assert list(public_docstrings(computed, only_listed=True)) == []
    assert list(public_docstrings(MODULE, only_listed=True)) == []


def test_the_source_is_never_run(tmp_path):
    trace = tmp_path / "trace"
    source = f'open({str(trace)!r}, "w")\ndef f():\n    """Documented."""\n'
    assert list(public_docstrings(source)) == [("f", "Documented.")]
    assert not trace.exists()


def test_bytes_are_read_in_the_encoding_that_they_declare():
    source = '# -*- coding: latin-1 -*-\ndef f():\n    """Poincaré."""\n'.encode("latin-1")
    assert list(public_docstrings(source)) == [("f", "Poincaré.")]


CUTS = {
    "one line": (
        """\
        Return the sum.

        Parameters
        ----------
        a : array
        """,
        ("Return the sum.", "Parameters\n----------\na : array"),
    ),
    "a sentence over two lines": (
        """\
        Return the sum of
        all elements.

        The rest.
        """,
        ("Return the sum of all elements.", "The rest."),
    ),
    "a paragraph of two sentences": (
        """\
        Return the sum. It is
        an array.

        The rest.
        """,
        ("Return the sum.", "It is an array.\n\nThe rest."),
    ),
    "no full stop": ("Return the sum\n\nThe rest", ("Return the sum", "The rest")),
    "a decimal point and abbreviations end no sentence": (
        "Scale by 0.5, i.e. halve, e.g. an array. Fast.",
        ("Scale by 0.5, i.e. halve, e.g. an array.", "Fast."),
    ),
    "dots that stand for more end no sentence": (
        "Apply to a, b, ... in turn. Fast.",
        ("Apply to a, b, ... in turn.", "Fast."),
    ),
    "a signature stays in the body": (
        """\
        add(input, other, *,
            out=None) -> Tensor

        Adds other to input. Supports broadcasting.

        Args:
            input: the one
        """,
        (
            "Adds other to input.",
            "add(input, other, *,\n    out=None) -> Tensor\n\n"
            "Supports broadcasting.\n\nArgs:\n    input: the one",
        ),
    ),
    "arguments that follow without a blank line": (
        """\
        Return the sum
        Args:
            a: array
        """,
        ("Return the sum", "Args:\n    a: array"),
    ),
    "a section that follows without a blank line": (
        """\
        Return the sum.
        Parameters
        ==========
        a : array
        """,
        ("Return the sum.", "Parameters\n==========\na : array"),
    ),
    "a list that follows without a blank line": (
        "Supports the kinds\n- one\n- two",
        ("Supports the kinds", "- one\n- two"),
    ),
    "marks are dropped from the summary and kept in the body": (
        "Like :func:`~torch.add` of ``x`` and *y*.\n\nSee :func:`~torch.add`.",
        ("Like torch.add of x and y.", "See :func:`~torch.add`."),
    ),
    "only a summary": ("Return the sum.", ("Return the sum.", "")),
}


@pytest.mark.parametrize("case", CUTS)
def test_the_summary_is_the_first_sentence(case):
    docstring, expected = CUTS[case]
    assert cut(dedent(docstring).strip()) == expected


@pytest.mark.parametrize(
    "docstring",
    [
        "Parameters\n----------\na : array",
        "Args:\n    a: array",
        "labels (`torch.LongTensor` of shape `(batch,)`, *optional*):\n    The labels.",
        ".. deprecated:: 1.9\n   Use another.",
        ">>> add(1, 2)\n3",
        "```python\nadd(1, 2)\n```",
        ":param a: array",
        "add(a, b)\n\nReturns\n-------\nc : array",
    ],
)
def test_a_docstring_that_starts_otherwise_has_no_summary(docstring):
    assert cut(docstring) is None


@pytest.mark.parametrize(
    ("marked", "words"),
    [
        ("the :class:`~a.b.C` class", "the a.b.C class"),
        (":py:func:`the sum <numpy.sum>`", "the sum"),
        ("a ``x[0]`` and `y`", "a x[0] and y"),
        ("the [`Trainer`] and [the guide](http://a.b)", "the Trainer and the guide"),
        ("`NumPy <https://numpy.org>`_ arrays", "NumPy arrays"),
        ("*x*, **y** and 2 * 3 * 4", "x, y and 2 * 3 * 4"),
        ("two\n  lines", "two lines"),
    ],
)
def test_plain_keeps_the_words(marked, words):
    assert plain(marked) == words
