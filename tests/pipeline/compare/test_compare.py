"""Several studies compared by what git keeps of them: ``peftir compare``."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from peftir.cli import main
from peftir.diff.revisions import PARAMS, Revision, revision, revision_or_folder
from peftir.pipeline.compare.comparison import StudyComparison, StudyRow, compare_studies
from peftir.pipeline.compare.conditions import Condition, conditions_of
from peftir.pipeline.compare.figure import axis_of, write_figure
from peftir.pipeline.compare.kept import STAGES
from peftir.pipeline.compare.tables import as_csv, as_json, as_markdown
from peftir.study import layout
from peftir.system.errors import PeftirError
from structure import ROOT
from synthetic_repository import Repository, git

VARIANTS = ["full", "lora", "iaa_l"]
SEEDS = [13, 14]
ONE = {"retrieval": ["RR@10"], "reranking": ["RR@10"]}
LORA = {"type": "lora", "learning_rate": {"retriever": 1e-3, "reranker": 1e-3}}


def state(repository: Repository, budget: float = 0.005, lora: float = 0.0, **changes: Any) -> None:
    """A study whose LoRA has a budget and a quality, and nothing else that differs."""
    changes = {"measures": ONE, "methods": {"lora": LORA | {"budget": budget}}} | changes
    repository.state(SEEDS, quality={"lora": lora}, variants=VARIANTS, queries=100, changes=changes)
    random = np.random.default_rng(0)
    figures = {
        name: {
            "auc": random.random(2).tolist(),
            "oscillation": random.random(2).tolist(),
            "sharpness": [5.0, None],
        }
        for name in VARIANTS
    }
    (repository.root / layout.LEARNING).write_text(json.dumps({"retriever": figures, "reranker": figures}))


def commit(repository: Repository, name: str, **given: Any) -> None:
    """A DVC experiment, which is a commit that no branch has."""
    state(repository, **given)
    git(repository.root, "add", ".")
    git(repository.root, "commit", "--quiet", "--message", name)
    git(repository.root, "update-ref", f"refs/exps/aa/bb/{name}", "HEAD")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Two budgets, of which the second is better; the first once more on queries of the same names."""
    made = Repository(tmp_path_factory.mktemp("compared") / "study")
    commit(made, "small", budget=0.005)
    commit(made, "large", budget=0.01, lora=3.0)
    commit(made, "elsewhere", budget=0.005, collection={"source": "beir:other"}, lora=-1.0)
    return made


@pytest.fixture(scope="module")
def found(repository: Repository) -> StudyComparison:
    return compare_studies([revision(repository.root, name) for name in ("large", "small", "elsewhere")])


def rows_of(found: StudyComparison, study: str, task: str = "retrieval") -> dict[str, StudyRow]:
    return {row.row: row for row in found.rows if row.study.startswith(study) and row.task == task}


def table_of(repository: Repository, name: str, path: Path) -> pd.DataFrame:
    content = revision(repository.root, name).read(path, "")
    return pd.read_csv(io.BytesIO(content), sep="\t")


def by_hand(p_values: list[float]) -> dict[float, float]:
    """Holm's correction as the paper has it: the i-th of n is multiplied by n - i + 1, and none falls."""
    ordered, reached = sorted(p_values), 0.0
    found = {}
    for place, p in enumerate(ordered):
        reached = max(reached, min(1.0, p * (len(ordered) - place)))
        found[p] = reached
    return found


def test_means_and_intervals_are_those_of_each_study(repository: Repository, found: StudyComparison) -> None:
    for name in ("small", "large", "elsewhere"):
        spread = table_of(repository, name, layout.SPREAD).set_index(["stage", "row"])
        for task in ("retrieval", "reranking"):
            for row in rows_of(found, name, task).values():
                line = spread.loc[(task, row.row)]
                assert (row.spread.mean, row.spread.low) == (line["mean"], line["low"])
    assert rows_of(found, "small")["lora"].weights == 100_000
    assert found.measure("retrieval") == "RR@10"


def test_p_values_are_corrected_over_all_studies_and_runs_in_common_count_once(
    repository: Repository, found: StudyComparison
) -> None:
    """The marks: BM25, zero-shot, LoRA and IAA against full, and IAA against LoRA."""
    asked = {("bm25", "full"), ("zero_shot", "full"), ("lora", "full"), ("iaa_l", "full"), ("iaa_l", "lora")}
    p: dict[tuple[str, str, str], float] = {}
    for name in ("small", "large", "elsewhere"):
        table = table_of(repository, name, layout.COMPARISONS)
        for line in table[table["stage"] == "retrieval"].to_dict("records"):
            pair = next((pair for pair in asked if set(pair) == {line["row"], line["other"]}), None)
            # Only LoRA differs between the budgets; the other rows' runs are the same.
            study = name if name == "elsewhere" or (pair and "lora" in pair) else "both"
            if pair:
                p[study, *pair] = max(line["two_level"], p.get((study, *pair), 0.0))
    assert len(p) == 5 + 5 + 2
    corrected = by_hand([*p.values()])
    for name, study in (("small", "both"), ("large", "both"), ("elsewhere", "elsewhere")):
        rows = rows_of(found, name)
        assert rows["iaa_l"].tested["full"].corrected == corrected[p[study, "iaa_l", "full"]]
        assert rows["bm25"].tested["full"].corrected == corrected[p[study, "bm25", "full"]]
        assert rows["lora"].tested["full"].corrected == corrected[p[name, "lora", "full"]]
        assert rows["iaa_l"].tested["rival"].corrected == corrected[p[name, "iaa_l", "lora"]]
    # Without the others it is a smaller family.
    pair = [revision(repository.root, name) for name in ("small", "large")]
    alone = rows_of(compare_studies(pair), "small")["lora"].tested["full"]
    assert alone.p == rows_of(found, "small")["lora"].tested["full"].p
    assert alone.corrected <= rows_of(found, "small")["lora"].tested["full"].corrected


def test_rows_are_compared_between_studies_with_the_same_test_queries_alone(
    repository: Repository, found: StudyComparison
) -> None:
    """The first study with them is the reference. Equal ids of another source are other queries."""
    assert not any("reference" in row.tested for row in rows_of(found, "elsewhere").values())
    assert not any("reference" in row.tested for row in rows_of(found, "large").values())
    small, large = rows_of(found, "small"), rows_of(found, "large")
    against = small["lora"].tested["reference"]
    assert against.other.startswith("large (")
    assert against.difference == pytest.approx(
        small["lora"].spread.mean - large["lora"].spread.mean, abs=1e-4
    )  # of values with four decimals
    assert against.significant and against.difference < 0
    # What a budget does not change is no test: one is left at retrieval, which needs no correction.
    assert all(math.isnan(small[row].tested["reference"].p) for row in ("bm25", "full", "iaa_l"))
    assert against.corrected == against.p


def test_params_that_change_together_are_one_condition() -> None:
    def params(budget: float, backbone: str, seeds: list[int], more: str) -> dict[str, Any]:
        variants = {"untrained": [], "retriever": ["lora", "mam"], "reranker": ["lora"]}
        methods = {name: {"budget": budget} for name in ("lora", "mam")} | {more: {"rank": len(seeds)}}
        return {
            "backbone": {"name": backbone, "pooling": backbone[0]},
            "methods": methods,
            "seeds": seeds,
            "variants": variants,
        }

    given = [params(0.01, "a/b", [1], "x"), params(0.1, "a/b", [2, 3], "y"), params(0.1, "c/d", [1], "z")]
    backbone, budget = conditions_of(given)
    assert (backbone.label, backbone.values) == ("backbone.name and 1 more", ["a/b", "a/b", "c/d"])
    assert (budget.label, budget.values) == ("methods.*.budget", [0.01, 0.1, 0.1])


def test_a_key_that_is_left_out_has_its_default_and_each_key_that_differs_has_a_line() -> None:
    variants = {"untrained": [], "retriever": ["lora", "mam"], "reranker": ["lora"]}
    older, newer = (
        {"methods": {name: {"budget": budget} for name in ("lora", "mam")}, "variants": variants}
        | {"retriever": {"loss": loss, "hard_negatives": int(budget)}, "backbone": {"name": "a/b"} | more}
        for budget, loss, more in ((1.0, "contrastive", {}), (2.0, "kl", {"weights": "float32"}))
    )
    [condition] = conditions_of([older, newer])
    assert condition.lines == {
        "methods.lora.budget": [1.0, 2.0],
        "methods.mam.budget": [1.0, 2.0],
        "retriever.loss": ["contrastive", "kl"],
        "retriever.hard_negatives": [1, 2],
    }
    newer["retriever"] = older["retriever"]
    [condition] = conditions_of([older, newer])
    assert condition.lines == {"methods.*.budget": [1.0, 2.0]}


def test_methods_share_a_label_only_with_equal_values_and_no_two_conditions_have_one() -> None:
    names = ["lora", "mam", "adapter", "iaa_l"]
    variants = {"untrained": [], "retriever": names, "reranker": ["lora"]}

    def labels(*budgets: tuple[float, ...]) -> list[tuple[str, list[float]]]:
        studies = [
            {"methods": {name: {"budget": one} for name, one in zip(names, study, strict=True)}}
            | {"variants": variants}
            for study in budgets
        ]
        return [(condition.label, condition.values) for condition in conditions_of(studies)]

    assert labels((1, 1, 1, 1), (2, 2, 2, 2)) == [("methods.*.budget", [1, 2])]
    assert labels((1, 10, 1, 1), (2, 20, 1, 1)) == [("methods.lora.budget and 1 more", [1, 2])]
    assert labels((1, 1, 1, 1), (2, 2, 1, 1), (2, 2, 2, 2)) == [
        ("methods.lora.budget and 1 more", [1, 2, 2]),
        ("methods.adapter.budget and 1 more", [1, 1, 2]),
    ]


def test_negatives_that_no_training_reads_are_no_condition() -> None:
    def params(depth: int, budget: float, source: str, older: int = 1) -> dict[str, Any]:
        return {
            "methods": {"lora": {"budget": budget}},
            "variants": {"untrained": [], "retriever": ["lora"], "reranker": ["lora"]},
            "retriever": {"negatives_from": source},
            "mining": {
                "first": {"negatives_from": "bm25", "depth": older},
                "second": {"negatives_from": "mining/first", "depth": depth},
            },
            "teachers": {"expert": {"negatives_from": "mining/second", "depth": depth}},
        }

    def labels(*given: dict[str, Any]) -> list[str]:
        return [condition.label for condition in conditions_of([*given])]

    assert labels(params(9, 0.1, "bm25"), params(8, 0.2, "bm25")) == ["methods.lora.budget"]
    assert labels(params(9, 0.1, "teachers/expert"), params(8, 0.1, "teachers/expert")) == [
        "mining.second.depth and 1 more"
    ]
    assert labels(params(9, 0.1, "mining/second"), params(9, 0.1, "mining/second", older=2)) == [
        "mining.first.depth"
    ]


def test_a_studys_texts_do_nothing_in_a_comment(found: StudyComparison) -> None:
    """As values of params and names of experiments do in a pull request: nothing is linked or notified."""
    evil = "@ada https://evil.example ![](x) `a` | b"
    first, *studies = found.studies
    renamed = replace(first, side=replace(first.side, title=evil))
    condition = Condition(evil, {evil: [evil] * len(found.studies)})
    row = replace(found.rows[0], row=evil, study=evil)
    changed = replace(
        found,
        studies=[renamed, *studies],
        rows=[row, *found.rows[1:]],
        conditions=[condition],
        references={evil: evil, **found.references},
        claims=[replace(c, by_study={evil: c.by_study[first.title], **c.by_study}) for c in found.claims],
    )
    markdown = as_markdown(changed)
    assert "@ada" in markdown
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", markdown)
    assert "@ada" not in outside and "evil" not in outside


def test_the_axis_is_in_the_order_of_a_number(repository: Repository, found: StudyComparison) -> None:
    pair = compare_studies([revision(repository.root, name) for name in ("large", "small")])
    label, values = axis_of(pair)
    assert label == "methods.lora.budget"
    assert [(value, titles[0].split()[0]) for value, titles in values] == [
        ("0.005", "small"),
        ("0.01", "large"),
    ]
    label, values = axis_of(found)  # two params differ
    assert label == "study" and [value.split()[0] for value, _ in values] == ["large", "small", "elsewhere"]


def test_the_figure_is_one_svg_with_a_panel_per_stage(found: StudyComparison, tmp_path: Path) -> None:
    write_figure(tmp_path / "figure.svg", found)
    text = (tmp_path / "figure.svg").read_text()
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    panels = root.findall(f"{space}svg")
    assert len(panels) == 2
    for panel in panels:
        words = {"".join(element.itertext()).strip() for element in panel.iter(f"{space}text")}
        assert {"bm25", *VARIANTS, "study"} <= words
    # Every colour of the report's pages is defined, for both schemes.
    assert set(re.findall(r"var\((--[\w-]+)\)", text)) <= set(re.findall(r"(--[\w-]+):#", text))


def test_json_csv_and_markdown_say_the_same(found: StudyComparison) -> None:
    content, lines = json.loads(as_json(found)), list(csv.DictReader(io.StringIO(as_csv(found))))
    assert len(lines) == len(content["rows"]) == len(found.rows)
    for line, row, expected in zip(lines, content["rows"], found.rows, strict=True):
        assert (line["study"], line["row"]) == (row["study"], row["row"]) == (expected.study, expected.row)
        assert float(line["mean"]) == row["mean"] == pytest.approx(expected.spread.mean, abs=5e-7)
        corrected = (row["full"] or {}).get("corrected")
        assert line["full_corrected"] == ("" if corrected is None else str(corrected))
        assert line["collection.source"] == ("beir:other" if "elsewhere" in row["study"] else "pydocs")
    markdown = as_markdown(found)
    assert markdown.count("| `lora` |") == 6 and "### Retrieval, `RR@10`" in markdown
    assert [claim["statement"] in markdown for claim in content["claims"]] == [True] * 4


def test_a_claim_over_all_studies_holds_where_it_holds_in_each(found: StudyComparison) -> None:
    answers = {study: [c.by_study[study].answer for c in found.claims] for study in found.claims[0].by_study}
    assert len(answers) == 3
    for place, claim in enumerate(found.claims):
        given = [each[place] for each in answers.values()]
        assert claim.answer == (False if False in given else None if None in given else True)


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def peftir(repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys) -> Command:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(repository.root)
        monkeypatch.setattr("sys.argv", ["peftir", "compare", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    return run


def test_the_command_takes_experiments_revisions_and_folders(
    repository: Repository, peftir: Command, tmp_path: Path
) -> None:
    (tmp_path / "metrics").mkdir()
    for path in (PARAMS, layout.QUERIES, *STAGES):
        (tmp_path / path).write_bytes(revision(repository.root, "small").read(path, ""))
    code, printed, _ = peftir(str(tmp_path), "large", "HEAD", "--figure", str(tmp_path / "figure.svg"))
    assert code == 0 and (tmp_path / "figure.svg").is_file()
    assert re.search(r"collection.source +pydocs +pydocs +beir:other", printed)
    assert re.search(rf"lora +{re.escape(str(tmp_path))} ", printed)


@pytest.mark.parametrize(
    ("studies", "message"),
    [
        (["small"], "expected at least two studies"),
        (["small", "smaller"], "smaller: git knows no such revision; .* there is no folder 'smaller' either"),
        (["small", "large", "small"], r"small \(\w{7}\) and small \(\w{7}\): the same study twice"),
        (["small", "empty"], "empty/params.yaml: not found; expected"),
    ],
)
def test_what_cannot_be_compared_is_named_in_one_line(
    repository: Repository, peftir: Command, studies: list[str], message: str
) -> None:
    (repository.root / "empty").mkdir(exist_ok=True)
    code, printed, said = peftir(*studies)
    assert (code, printed, said.count("\n")) == (1, "", 1)
    assert re.search(message, said), said


def test_a_folder_is_not_replaced_by_the_figure(peftir: Command, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    for folder in (str(tmp_path), "."):
        code, printed, said = peftir("small", "large", "--figure", folder)
        assert (code, printed) == (1, "")
        assert said.endswith(f"--figure {folder}: is a folder; expected a file, such as figure.svg\n")
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_revision_without_metrics_and_studies_without_a_common_measure_are_named(
    repository: Repository, tmp_path: Path
) -> None:
    small = revision(repository.root, "small")
    other = Repository(tmp_path / "study")
    state(other, measures={"retrieval": ["nDCG@10", "RR@10"], "reranking": ["AP"]})
    folder = Revision(other.root, "other", None)
    message = r"^small \(\w{7}\) and other: no measure of re-ranking is in both, of RR@10 and AP; expected"
    with pytest.raises(PeftirError, match=message):
        compare_studies([small, folder])
    (other.root / layout.VARIANTS).unlink()
    with pytest.raises(PeftirError, match=r"^other/metrics/variants.json: not found; run `dvc repro` there"):
        compare_studies([small, folder])


def test_the_studies_of_the_documentation_are_compared() -> None:
    """Of several collections: two of pydocs have the same test queries and share their retrievers."""
    names = ["nfcorpus", "pydocs", "pydocs-reranking"]
    folders = [str(ROOT / "docs/study" / name) for name in names]
    found = compare_studies([revision_or_folder(ROOT, folder) for folder in folders])
    assert found.measure("retrieval") == "nDCG@10"
    assert [found.references[folder] == folder for folder in folders] == [True, True, False]
    shared = rows_of(found, folders[2])["lora"].tested["reference"]
    assert (shared.difference, math.isnan(shared.p)) == (0, True)
