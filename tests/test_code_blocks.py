"""Every code block of README.md, CONTRIBUTING.md and docs/*.md is run, or checked as far as it can be.

- ``python``: run by the test that ``RUN`` names.
- ``yaml``: read as params, on top of those of ``params.yaml``.
- ``sh``: each command is parsed by its program, and what it names has to exist (``shell_commands.py``). Those
  that ``RUN`` names are run too, others need what ``NOT_RUN`` says.

A block that no rule covers fails.
"""

from __future__ import annotations

import inspect
import re
import shlex
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from dvc.cli import main as dvc

import layouts
from peftir.cli import command_line
from peftir.data import Content
from peftir.data.prepare import SOURCES
from peftir.data.validation import Report, refuse
from peftir.study.params import load_params
from shell_commands import check, commands
from structure import ROOT
from test_readme import PARAMS, merged


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block: its page, its language and its text, without the indent that it stands at."""

    page: str
    language: str
    text: str

    @property
    def name(self) -> str:
        """The page, and the first line that is not an import."""
        lines = self.text.splitlines()
        first = next((line for line in lines if not re.match(r"(from|import) |$", line)), lines[0])
        return f"{self.page}: {first.strip()}"


PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")))
BLOCKS = [
    CodeBlock(page, language, textwrap.dedent(text))
    for page in PAGES
    for _, language, text in re.findall(
        r"^( *)```(\w*)\n(.*?)^\1```$",
        (ROOT / page).read_text(encoding="utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )
]

RUN = {
    "README.md: model = AutoModel.from_pretrained": (
        "test_readme.py",
        "test_a_method_goes_onto_a_model_as_shown",
    ),
    "README.md: query = ": ("test_readme.py", "test_trained_models_load_and_score_as_shown"),
    "docs/hot-swap.md: collections = ": (
        "models/test_hot_swap.py",
        "test_each_task_answers_as_it_does_alone",
    ),
    "docs/hot-swap.md: backbone = ": (
        "models/test_hot_swap.py",
        "test_a_batch_of_several_tasks_is_that_of_each",
    ),
    "docs/library.md: model = ": ("test_public_names.py", "test_an_adapter_of_pefts_own_loads_as_shown"),
    "docs/adding-a-collection.md: def read(": (
        "test_code_blocks.py",
        "test_the_signature_of_a_source_is_that_of_every_source",
    ),
    "docs/adding-a-collection.md: peftir check": ("test_code_blocks.py", "test_a_source_is_checked_as_shown"),
    "docs/sharing.md: dvc remote add": ("test_code_blocks.py", "test_a_remote_is_set_up_as_shown"),
    "docs/sweeps.md: dvc exp run --queue": (
        "stages/test_sweeps.py",
        "test_a_recipe_queues_the_experiments_that_it_names",
    ),
}
"""The file and the name of the test that runs a block, by how the block's name begins."""

NOT_RUN = {
    "README.md: make repro": "half an hour; stages/test_repro.py runs a small study",
    "README.md: dvc exp run -S": "trains; stages/test_experiments.py runs one experiment",
    "CONTRIBUTING.md: git commit": "runs the study",
    "docs/cluster.md: peftir repro": "runs the study; pipeline/engine runs a toy pipeline",
    "docs/cluster.md: export RAY_AUTH_MODE=token": "needs a cluster",
    "docs/learning-rates.md: cp profiles/learning-rates.yaml": "trains for more than an hour",
    "docs/learning-rates.md: dvc exp run --queue": "trains",
    "docs/pipeline.md: torchrun": "needs several machines; training/test_distributed.py has two processes",
    "docs/serve.md: peftir serve": "needs a study that has run; serve/test_commands.py has a tiny one",
    "docs/serve.md: peftir docs": "serves until it is ended; pipeline/test_docs.py prepares a folder",
    "docs/sharing.md: peftir export": "needs a study; serve/test_publishing.py exports from a tiny one",
    "docs/sharing.md: make repro": "runs the study, and needs a remote",
    "docs/sharing.md: git clone": "needs a remote",
    "docs/sweeps.md: dvc exp run --run-all": "trains",
    "docs/sweeps.md: dvc exp run -n": "trains; pipeline/compare has a made-up study",
    "docs/sweeps.md: export RAY_AUTH_MODE=token": "needs a cluster, and trains; stages/nodes.py has one",
    "docs/sweeps.md: dvc exp show": "needs experiments that have run",
    "docs/sweeps.md: dvc exp apply": "needs an experiment that has run",
}
"""Why a shell block is checked and not run, by how the block's name begins."""

NO_CODE = {
    "README.md: @inproceedings": "a citation",
    "docs/sweeps.md: Experiment ": "what a command printed",
}
"""Why a block is not even checked, by how the block's name begins."""


def of_language(language: str) -> list[CodeBlock]:
    return [block for block in BLOCKS if block.language == language]


def names(blocks: list[CodeBlock]) -> list[str]:
    return [block.name for block in blocks]


def block_of(rule: str) -> CodeBlock:
    """The one block whose name begins with ``rule``."""
    (block,) = (block for block in BLOCKS if block.name.startswith(rule))
    return block


@pytest.mark.parametrize("block", BLOCKS, ids=names(BLOCKS))
def test_every_block_has_one_rule(block: CodeBlock) -> None:
    rules = {"yaml": {}, "python": RUN, "sh": {**RUN, **NOT_RUN}}.get(block.language, NO_CODE)
    matching = [rule for rule in rules if block.name.startswith(rule)]
    assert len(matching) == (block.language != "yaml"), (
        "say in RUN or NOT_RUN which test runs it, or why none"
    )


def test_every_rule_has_a_block() -> None:
    for rule in (*RUN, *NOT_RUN, *NO_CODE):
        assert any(block.name.startswith(rule) for block in BLOCKS), rule
    for rule, (file, test) in RUN.items():
        assert f"\ndef {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert file == "stages/test_sweeps.py" or block_of(rule)


@pytest.mark.parametrize("block", of_language("sh"), ids=names(of_language("sh")))
def test_programs_take_the_commands_of_a_shell_block(block: CodeBlock, tmp_path: Path) -> None:
    for command in commands(block.text, tmp_path):
        check(command, tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "dvc repro train_retreiver",
        "dvc repro train_retriever@lora-12",
        "dvc exp run -S 'retriever.stesp=160'",
        "dvc exp run -S 'retriever.steps=160,320'",
        "dvc exp show --only-chnaged",
        "peftir diff --fail-on better",
        "git commit --mesage fixed",
        "git add nothing.json",
        "make reproduce",
        "cp profiles/nothing.yaml params.yaml",
        "curl https://example.org",
        "for x in 1 2; do peftir doctor",
    ],
)
def test_a_wrong_command_is_noticed(line: str, tmp_path: Path) -> None:
    with pytest.raises(Exception):  # noqa: B017  (each program has its own)
        for command in commands(line, tmp_path):
            check(command, tmp_path)


@pytest.mark.parametrize("block", of_language("yaml"), ids=names(of_language("yaml")))
def test_a_yaml_block_is_valid_in_params_yaml(block: CodeBlock, tmp_path: Path) -> None:
    change = yaml.safe_load(block.text)
    # An example's list of seeds takes the place of what is there; methods and variants are added.
    base = {key: value for key, value in PARAMS.items() if key != "seeds" or "seeds" not in change}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(merged(base, change)), encoding="utf-8")
    params = load_params(path).model_dump()
    for key, value in change.items():
        assert set(value) <= set(params[key])  # the keys of a block, or the items of a list


def test_the_signature_of_a_source_is_that_of_every_source() -> None:
    block = block_of("docs/adding-a-collection.md: def read(")
    found: dict[str, object] = {"Mapping": Mapping, "Report": Report, "refuse": refuse, "Content": Content}
    exec(f"from __future__ import annotations\n{block.text}    ...", found)
    shown = inspect.signature(found["read"])  # type: ignore[arg-type]
    for read in SOURCES.values():
        parameters = inspect.signature(read).parameters
        assert [*map(str, parameters.values())][: len(shown.parameters)] == [
            *map(str, shown.parameters.values())
        ]
        inspect.signature(read).bind("place", None, {})  # what it has beyond them is optional


def test_a_source_is_checked_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "study"
    study.mkdir()
    (study / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    layouts.as_beir(tmp_path / "nfcorpus")
    monkeypatch.chdir(study)
    program, *arguments = shlex.split(block_of("docs/adding-a-collection.md: peftir check").text)
    parsed = command_line().parse_args(arguments)
    assert (program, parsed.run(parsed)) == ("peftir", 0)
    assert "documents  12:" in capsys.readouterr().out


def test_a_remote_is_set_up_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert dvc(["init", "--no-scm", "--quiet"]) == 0
    lines = block_of("docs/sharing.md: dvc remote add").text.splitlines()
    assert len(lines) > 1
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert (program, dvc([*arguments, "--quiet"])) == ("dvc", 0)
        url = arguments[-1]
        assert url in (tmp_path / ".dvc/config").read_text(encoding="utf-8")
        assert dvc(["remote", "remove", "store", "--quiet"]) == 0
