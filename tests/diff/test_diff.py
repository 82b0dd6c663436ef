"""Two revisions of the study compared by what git keeps of them."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from peftir.cli import main
from peftir.diff.changes import Change, changed_params
from peftir.diff.compare import RevisionComparison, Side, compare
from peftir.diff.noise import SHARED, SeedNoise, difference, seed_noise
from peftir.diff.revisions import revision, workspace
from peftir.diff.tables import as_json, as_markdown, as_text
from peftir.study import layout
from peftir.study.yaml_text import parse_yaml
from peftir.system.errors import PeftirError
from synthetic_repository import TRAINED, Repository, git
from synthetic_study import make_params


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "study")


@pytest.fixture
def peftir(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys
) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(repository.root)
        monkeypatch.setattr("sys.argv", ["peftir", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    return run


def verdicts(found: RevisionComparison) -> set[str]:
    return {line.verdict for line in found.lines}


@pytest.mark.parametrize("pair", [(13, 14), (15, 16), (17, 18)])
def test_another_seed_alone_is_noise(repository: Repository, pair: tuple[int, int]) -> None:
    before, after = (repository.commit([seed]) for seed in pair)
    found = repository.compare(before, after)
    assert any(line.difference.mean for line in found.lines)
    assert verdicts(found) == {"within noise"}
    assert [change.key for change in found.changes] == ["seeds.retriever", "seeds.reranker"]


def test_other_seeds_alone_are_noise_when_there_are_several(repository: Repository) -> None:
    found = repository.compare(
        repository.commit([13, 14, 15], luck=0.5), repository.commit([16, 17, 18], luck=0.5)
    )
    assert found.seeds_assumed == []
    assert "over seeds, as far apart as the rows with several seeds say." in as_text(found)
    assert verdicts(found) == {"within noise"}
    found = dataclasses.replace(found, seeds_assumed=["reranking"])
    assert "several seeds say; at re-ranking assumed to make 2% of the variance" in as_text(found)


def test_the_folds_of_a_seed_are_one_run_of_it(repository: Repository) -> None:
    before = repository.commit([13, 14])
    folded = ["13f1", "13f2", "14f1", "14f2"]
    make_params(
        repository.root,
        collection={"folds": 2},
        variants={"untrained": ["zero_shot"], "retriever": TRAINED, "reranker": TRAINED},
        seeds={"retriever": folded, "reranker": folded},
    )
    git(repository.root, "commit", "--quiet", "--all", "--message", "the same metrics, in folds")
    found = repository.compare(before, "HEAD")
    assert {line.difference.mean for line in found.lines} == {0}
    assert [change.key for change in found.changes] == [
        "collection.folds",
        "seeds.retriever",
        "seeds.reranker",
    ]


@pytest.mark.parametrize("seeds", [([13], [13]), ([13], [14]), ([13, 14], [15, 16])])
def test_a_broken_variant_is_worse_and_the_others_are_not(
    repository: Repository, seeds: tuple[list[int], list[int]]
) -> None:
    before = repository.commit(seeds[0])
    found = repository.compare(before, repository.commit(seeds[1], quality={"full": -6}))
    assert {line.row for line in found.lines if line.verdict == "worse"} == {"full", "full+bm25"}
    assert {line.verdict for line in found.lines if line.row in ("full", "full+bm25")} == {"worse"}
    back = repository.compare("HEAD", before)
    assert {line.row for line in back.lines if line.verdict == "better"} == {"full", "full+bm25"}


def test_the_chance_of_a_verdict_between_equals_is_small() -> None:
    """Two seeds a side of 8 equal rows, 200 times: a wrong verdict in 20 comparisons is what is promised."""
    draw = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        rows = [draw.normal(size=(4, 1)) * 0.05 + draw.normal(size=(4, 60)) for _ in range(8)]
        sides = [(row[:2], row[2:]) for row in rows]
        noise = seed_noise(side for pair in sides for side in pair)
        smallest = min(difference(*pair, noise, trained=True).p for pair in sides)
        wrong += smallest * len(rows) <= 0.05
    assert wrong <= 18  # 10 expected; 19 or more have a chance below 1 %


def test_the_error_is_that_of_queries_plus_that_of_seeds() -> None:
    before = np.tile([[0.1, 0.5, 0.3, 0.9], [0.3, 0.5, 0.1, 0.7]], 50)
    after = before + np.tile([0.1, 0.2, 0.3, 0.2], 50)
    known = seed_noise([before, before + 1])
    assert known == SeedNoise(pytest.approx(2 * 0.025**2), 2)
    found = difference(before, after, SeedNoise(0.03, 10**9), trained=True)
    over_queries, over_seeds = 0.005 / 199, 0.03 * (1 / 2 + 1 / 2)
    assert found.mean == pytest.approx(0.2)
    # Nearly all of the error is the seeds', whose many degrees of freedom make t the normal distribution.
    assert found.high - found.mean == pytest.approx(1.96 * np.sqrt(over_queries + over_seeds), rel=1e-3)
    assert found.p == pytest.approx(0.248, abs=1e-3)


def test_one_seed_counts_as_an_assumed_share_of_the_variance() -> None:
    draw = np.random.default_rng(1)
    before, after = draw.normal(size=(2, 1, 100_000))
    alone = difference(before, after, None, trained=False)
    trained = difference(before, after, None, trained=True)
    spread = (after - before).std(ddof=1)
    # 1.96 stands for 1.95996, and a hundred thousand queries add 1 / 100,000 to SHARED, 0.025 % of the root.
    assert alone.high - alone.mean == pytest.approx(1.96 * spread / np.sqrt(100_000), rel=1e-4)
    assert trained.high - trained.mean == pytest.approx(1.96 * spread * np.sqrt(SHARED), rel=5e-4)


def test_a_row_without_seeds_varies_with_the_queries_alone(repository: Repository) -> None:
    before = repository.commit([13])
    found = repository.compare(before, repository.commit([14]))
    still = [line for line in found.lines if line.row in ("bm25", "zero_shot")]
    assert still and all(np.isnan(line.corrected) and line.difference.high == 0 for line in still)


@pytest.mark.parametrize(
    ("candidates", "trained"),
    [
        ("bm25", {"zero_shot": False, "lora": True, "bm25": False}),
        ("retrieval/zero_shot", {"zero_shot": False, "lora+zero_shot": True}),
        ("retrieval/lora-13", dict.fromkeys(("lora-13", "zero_shot", "zero_shot+lora-13"), True)),
        ("retrieval/lora-13f2", {"lora-13f2": True}),
    ],
)
def test_what_reranks_a_trained_retriever_depends_on_its_training(
    candidates: str, trained: dict[str, bool]
) -> None:
    methods = {"zero_shot": {"type": "zero_shot"}, "lora": {"type": "lora"}}
    side = Side("a study", {"methods": methods, "reranking": {"candidates": candidates}}, {})
    assert {row: side.trains("reranking", row) for row in trained} == trained
    assert not side.trains("retrieval", "zero_shot") and side.trains("retrieval", "lora")


def test_new_and_removed_variants_and_measures_are_not_compared(repository: Repository) -> None:
    before = repository.commit([13])
    measures = {"measures": {"retrieval": ["RR@10", "AP"]}}
    found = repository.compare(
        before, repository.commit([13], variants=["lora", "adapter"], changes=measures)
    )
    assert found.added == [("retrieval", "adapter"), ("reranking", "adapter"), ("reranking", "adapter+bm25")]
    assert found.removed == [("retrieval", "full"), ("reranking", "full"), ("reranking", "full+bm25")]
    assert {line.row for line in found.lines} == {"bm25", "zero_shot", "lora", "lora+bm25"}
    assert {line.measure for line in found.lines if line.task == "retrieval"} == {"RR@10"}


def test_only_queries_of_both_sides_are_compared(repository: Repository) -> None:
    before = repository.commit([13], queries=200)
    found = repository.compare(before, repository.commit([13], queries=120))
    assert found.queries == (120, 200, 120)


def test_changed_params_are_listed_by_key() -> None:
    before = parse_yaml("{a: {rate: 1e-4, list: [1, 2], gone: null}, b: {}}", "before")
    after = parse_yaml("{a: {rate: 0.0001, list: [1, 3], new: {x: true}}, b: {}}", "after")
    changes = [(change.key, change.before, change.after) for change in changed_params(before, after)]
    assert changes == [
        ("a.list", [1, 2], [1, 3]),
        ("a.gone", None, "(absent)"),
        ("a.new.x", "(absent)", True),
    ]


def test_a_key_that_is_left_out_has_its_default() -> None:
    older, newer = {"backbone": {"name": "a"}}, {"backbone": {"name": "a", "weights": "float32"}}
    assert changed_params(older, newer) == []
    newer["backbone"]["weights"] = "nf4"
    assert changed_params(older, newer) == [Change("backbone.weights", "float32", "nf4")]


def test_the_command_compares_the_workspace_with_head_and_fails_on_worse(
    repository: Repository, peftir
) -> None:
    repository.commit([13])
    repository.state([13], quality={"lora": -6}, changes={"bm25": {"k1": 1.2}})
    code, printed, _ = peftir("diff", "--fail-on", "worse")
    assert code == 1
    assert "worse, 0 better" in printed and "bm25.k1  0.9     1.2" in printed
    assert peftir("diff")[0] == 0
    assert peftir("diff", "HEAD", "HEAD", "--fail-on", "worse")[0] == 0


def test_markdown_and_json_say_the_same(repository: Repository, peftir) -> None:
    repository.commit([13])
    repository.state([13], quality={"lora": -6})
    found = json.loads(peftir("diff", "--json")[1])
    markdown = peftir("diff", "--md")[1]
    assert found["verdicts"]["worse"] == sum(line["verdict"] == "worse" for line in found["lines"]) > 0
    rows = [line.split(" | ") for line in markdown.splitlines() if line.startswith("| `lora` | ")]
    bars = next(line for line in markdown.splitlines() if line.startswith("  bar ["))
    first = [line for line in found["lines"] if (line["task"], line["measure"]) == ("retrieval", "RR@10")]
    # Shown with three decimals.
    assert json.loads(bars.removeprefix("  bar ")) == pytest.approx(
        [line["after"] for line in first], abs=6e-4
    )
    in_json = [line for line in found["lines"] if line["row"] == "lora"]
    assert len(rows) == len(in_json)
    for row, line in zip(rows, in_json, strict=True):
        assert row[1] == f"`{line['measure']}`" and row[-1] == f"{line['verdict']} |"
        assert float(row[3]) == pytest.approx(line["after"], abs=6e-4)


def test_a_pull_requests_values_and_names_do_nothing_in_its_comment(repository: Repository, peftir) -> None:
    repository.commit([13])
    hostile = "@someone\n\n![](https://example.org/x.png) | `x` \x1b[2J"
    repository.state([13], changes={"retriever": {"query_prefix": hostile}})
    git(repository.root, "branch", "@someone/<img>")
    markdown = peftir("diff", "@someone/<img>", "--md")[1]
    assert markdown.splitlines()[0].startswith("**`@someone/<img>")
    line = next(line for line in markdown.splitlines() if "query_prefix" in line)
    shown = r"``@someone\n\n![](https://example.org/x.png) \| `x` \x1b[2J``"
    assert line == f"| `retriever.query_prefix` | `  ` | {shown} |"
    assert "\x1b" not in peftir("diff")[1] + markdown
    assert markdown.count("@someone") == 2  # no more than these, both of them in code


def test_in_a_subfolder_it_says_the_same(repository: Repository, peftir, monkeypatch) -> None:
    repository.commit([13])
    repository.state([13], quality={"lora": -6})
    expected = peftir("diff")
    assert "worse" in expected[1]
    (repository.root / "metrics/deep").mkdir()
    monkeypatch.setattr(repository, "root", repository.root / "metrics/deep")
    assert peftir("diff") == expected


def test_a_clone_of_another_user_is_said_to_be_one(
    repository: Repository, peftir, monkeypatch, request: pytest.FixtureRequest
) -> None:
    repository.commit([13])
    request.getfixturevalue("other_owner")  # not before: git would refuse the commit
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    code, _, said = peftir("diff")
    assert code == 1
    assert "this clone belongs to another user" in said and f'safe.directory "{repository.root}"' in said


def test_in_a_terminal_without_arrows_it_says_the_same(repository: Repository) -> None:
    repository.commit([13])
    repository.state([13], quality={"lora": -6})
    printed = {}
    for encoding in ("utf-8", "latin-1", "ascii"):
        around = os.environ | {"PYTHONIOENCODING": encoding}
        command = [sys.executable, "-c", "from peftir.cli import main; main()", "diff"]
        done = subprocess.run(command, cwd=repository.root, env=around, capture_output=True, check=True)
        printed[encoding] = done.stdout.decode(encoding)
    assert printed["latin-1"] == printed["ascii"]
    assert printed["utf-8"].startswith("HEAD") and "→ workspace" in printed["utf-8"]
    assert "-> workspace" in printed["ascii"]


@pytest.fixture
def shallow(repository: Repository, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    first = repository.commit([13])
    repository.commit([14])
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository.root}", "shallow")
    yield tmp_path / "shallow", first


def test_a_shallow_clone_is_told_how_to_get_the_history(shallow: tuple[Path, str]) -> None:
    root, first = shallow
    with pytest.raises(
        PeftirError, match=r"not in this clone, which is shallow; run `git fetch --unshallow`"
    ):
        revision(root, first)


def test_an_experiment_is_found_by_its_name(repository: Repository) -> None:
    start, tried = repository.commit([13]), repository.commit([14])
    git(repository.root, "update-ref", f"refs/exps/{start[:2]}/{start[2:]}/loath-yolk", tried)
    assert revision(repository.root, "loath-yolk").commit == tried


def test_an_unknown_revision_and_no_repository_are_named(repository: Repository, tmp_path: Path) -> None:
    repository.commit([13])
    with pytest.raises(PeftirError, match=r"^mian: git knows no such revision"):
        revision(repository.root, "mian")
    with pytest.raises(PeftirError, match=r"^--help: git knows no such revision"):
        revision(repository.root, "--help")
    with pytest.raises(PeftirError, match="not in a git repository"):
        revision(tmp_path, "HEAD")


def test_a_commit_without_metrics_is_named(repository: Repository) -> None:
    repository.commit([13])
    git(repository.root, "rm", "--quiet", "--cached", "metrics/queries.parquet")
    git(repository.root, "commit", "--quiet", "--message", "without")
    with pytest.raises(
        PeftirError, match=r"^HEAD \(\w{7}\): has no metrics/queries.parquet in git; run `dvc repro`"
    ):
        compare(revision(repository.root, "HEAD"), workspace(repository.root))
    (repository.root / "metrics/queries.parquet").unlink()
    with pytest.raises(PeftirError, match=r"^metrics/queries.parquet: not found; run `dvc repro`"):
        compare(revision(repository.root, "HEAD~1"), workspace(repository.root))


def test_metrics_of_other_params_are_refused(repository: Repository) -> None:
    repository.commit([13])
    path = repository.root / "params.yaml"
    content = yaml.safe_load(path.read_text())
    content["seeds"]["retriever"] = [13, 14]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(
        PeftirError, match=r"lacks the run 'full' of retrieval with seed 14, and params.yaml says"
    ):
        compare(revision(repository.root, "HEAD"), workspace(repository.root))


def test_studies_without_a_common_query_are_not_compared(repository: Repository, tmp_path: Path) -> None:
    repository.commit([13])
    scores = repository.root / "metrics/queries.parquet"
    frame = pd.read_parquet(scores)
    frame["query"] = [f"other {name}" for name in frame["query"]]
    frame.to_parquet(scores, index=False)
    with pytest.raises(PeftirError, match="no test query is in both"):
        compare(revision(repository.root, "HEAD"), workspace(repository.root))


def with_test_set(repository: Repository, name: str, prefix: str = "t", **given) -> str:
    """A commit of the study with a test set, on which the models do what they do on their own queries."""
    tests = {name: {"source": "beir:other"}}
    repository.state([13], changes={"tests": tests}, **given)
    frame = pd.read_parquet(repository.root / layout.QUERIES)
    frame["query"] = [f"{prefix}{query}" for query in frame["query"]]
    path = repository.root / layout.of(name, layout.QUERIES)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path)
    git(repository.root, "add", ".")
    git(repository.root, "add", "--force", str(path))
    git(repository.root, "commit", "--quiet", "--all", "--message", name)
    return git(repository.root, "rev-parse", "HEAD")


def test_test_sets_have_lines_of_their_own(repository: Repository) -> None:
    before = with_test_set(repository, "moved")
    found = repository.compare(before, with_test_set(repository, "moved", quality={"lora": -6}))
    for test in (None, "moved"):
        worse = {line.row for line in found.lines if line.test == test and line.verdict == "worse"}
        assert worse == {"lora", "lora+bm25"}
    assert found.tests == {"moved": (200, 200, 200)}
    text = as_text(found)
    assert "\n\nRetrieval on moved:\n" in text and "Means on moved over 200 test queries." in text
    assert "retrieval on moved bm25, zero_shot, full" in text  # the same for every query
    # All lines are one family.
    of_lora = [line for line in found.lines if line.row == "lora" and line.measure == "RR@10"]
    assert len({line.corrected for line in of_lora if line.task == "retrieval"}) == 1
    assert "### Re-ranking on moved" in as_markdown(found)
    assert {line["test"] for line in json.loads(as_json(found))["lines"]} == {None, "moved"}


def test_test_sets_that_are_new_or_have_other_queries_are_named(repository: Repository) -> None:
    before = repository.commit([13])
    first = with_test_set(repository, "moved")
    new = repository.compare(before, first)
    assert (new.tests_added, new.tests_removed, new.tests) == (["moved"], [], {})
    assert "New test sets: moved." in as_text(new)
    other = repository.compare(first, with_test_set(repository, "moved", prefix="u"))
    assert {line.test for line in other.lines} == {None}
    assert "Not compared on moved: of its 200 queries before and 200 after, none is in both." in as_text(
        other
    )


def test_a_test_set_without_metrics_in_git_and_a_name_that_is_none_are_named(repository: Repository) -> None:
    commit = with_test_set(repository, "moved")
    path = repository.root / "params.yaml"
    content = yaml.safe_load(path.read_text())
    for tests, message in (
        ({"second": {"source": "x"}}, r"^metrics/tests/second/queries.parquet: not found; run `dvc repro`"),
        ({"../..": {"source": "x"}}, r"not the params of a study: .*tests\.\.\./\.\.: expected a letter"),
    ):
        path.write_text(yaml.safe_dump(content | {"tests": tests}))
        with pytest.raises(PeftirError, match=message):
            compare(revision(repository.root, commit), workspace(repository.root))
