"""Titles, headings and texts of files, and which files of a folder are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from peftir.data.sources.files import read_files
from peftir.data.sources.fingerprint import fingerprint_of
from peftir.data.sources.markup import TextSection, html, markdown, plain


def test_markdown_is_divided_at_its_headings() -> None:
    found = markdown(
        "# The *title* of `it`\n\nBefore.\n\n## Set up\n\n```sh\n# no heading\n```\n\n"
        "Underlined\n---\nMore.\n\n> # quoted\n"
    )
    assert found.title == "The title of it"
    assert found.sections == [
        TextSection("The title of it", "Before."),
        TextSection("Set up", "```sh\n# no heading\n```"),
        TextSection("Underlined", "More.\n\n> # quoted"),
    ]
    assert found.text.startswith("Before.\n\nSet up\n\n```sh")


@pytest.mark.parametrize("line", ["title: Wings", "title: 'Wings'", 'tags: [a]\ntitle: "Wings"\ndate: 2020'])
def test_front_matter_has_the_title_and_is_no_text(line: str) -> None:
    assert markdown(f"---\n{line}\n---\nLift.\n") == ("Wings", [TextSection("", "Lift.")])


def test_a_heading_after_other_text_is_no_title() -> None:
    assert markdown("Lift.\n# Drag\nSome.") == ("", [TextSection("", "Lift."), TextSection("Drag", "Some.")])
    assert plain("# Lift\n") == ("", [TextSection("", "# Lift")])


def test_html_is_what_a_browser_shows() -> None:
    found = html(
        "<!doctype html><title>Lift &amp; drag</title><style>p { x: y }</style>"
        "<p>W<b>ing</b>s<br>turn.<p>Twice.<script>if (a < b) secret()</script>"
        "<h2>Of a <i>tail</i></h2><svg><title>no</title></svg><ul><li>one<li>two</ul><!-- secret -->"
    )
    assert found == (
        "Lift & drag",
        [TextSection("", "Wings turn. Twice."), TextSection("Of a tail", "one two")],
    )
    assert html("<h1>Lift</h1>Some.") == ("Lift", [TextSection("Lift", "Some.")])


def test_a_section_has_an_id_and_the_title_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    text = "# Wings\nall\n## Lift\none\n## Lift\ntwo\n## Empty\n## Ümlaut: x\nthree"
    (tmp_path / "a b" / "n.md").write_text(text)
    (file,) = read_files(tmp_path, pytest.fail)
    assert [(d.id, d.title, d.text) for d in file.documents_by_section()] == [
        ("a%20b/n.md", "Wings", "all"),
        ("a%20b/n.md#lift", "Wings: Lift", "one"),
        ("a%20b/n.md#lift-2", "Wings: Lift", "two"),
        ("a%20b/n.md#ümlaut-x", "Wings: Ümlaut: x", "three"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "ids"),
    [
        ("a.html", "<title>Guide</title><nav>Home</nav><h1>Guide</h1>Read.", ["a.html", "a.html#guide"]),
        ("a.html", "<title>Guide</title>Home<h1></h1>Read.", ["a.html", "a.html#"]),
        ("a.md", "---\ntitle: X\n---\nfirst\n# X\nsecond", ["a.md", "a.md#x"]),
        ("a.md", "---\ntitle: X\n---\n# Y\nfirst\n# X\nsecond", ["a.md#y", "a.md#x"]),
        (
            "a.md",
            "# Step 2\n0\n# Step\n1\n# Step\n2\n# Step 2\n3\n# Step\n4",
            ["a.md", "a.md#step", "a.md#step-2", "a.md#step-2-2", "a.md#step-3"],
        ),
    ],
)
def test_the_ids_of_sections_differ(name: str, text: str, ids: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    (file,) = read_files(tmp_path, pytest.fail)
    assert [document.id for document in file.documents_by_section()] == ids


def test_links_out_of_the_folder_and_hidden_files_are_not_read(tmp_path: Path) -> None:
    folder, outside = tmp_path / "notes", tmp_path / "outside"
    for place in (folder / ".git", outside):
        place.mkdir(parents=True)
        (place / "secret.txt").write_text("secret")
    (folder / "own.TXT").write_text("own")
    (folder / "image.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.md").write_text("hidden")
    (folder / "file.txt").symlink_to(outside / "secret.txt")
    (folder / "folder").symlink_to(outside)
    (folder / "loop.txt").symlink_to(folder / "loop.txt")
    (folder / "inside.txt").symlink_to(folder / "own.TXT")
    os.mkfifo(folder / "pipe.txt")
    assert [file.id for file in read_files(folder, pytest.fail)] == ["inside.txt", "own.TXT"]
    assert fingerprint_of(f"texts:{folder}").keys() == {"inside.txt", "own.TXT"}


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "good.html").write_text("<p>good")
    (tmp_path / "latin.md").write_bytes(b"one\ntwo caf\xe9\n")
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("text")
    problems: list[str] = []
    assert [file.id for file in read_files(tmp_path, problems.append)] == ["good.html"]
    assert problems == [
        f"{tmp_path}/caf\\udce9.txt: the file's name is not UTF-8, and so no id; rename it",
        f"{tmp_path}/latin.md:2: is not UTF-8; save the file as UTF-8",
    ]
