"""``peftir repro`` beside ``dvc repro`` in a project of small stages."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml
from toy_project import PATIENCE, Project

from peftir.system.quiet import SETTINGS
from repro_output import stages_run


def assert_same(project: Project, other: Project) -> None:
    """Both have the same dvc.lock and the same files in DVC's cache, and DVC sees nothing to do."""
    assert project.lock() == other.lock()
    assert project.cached() == other.cached()
    assert project.is_clean()


def wait_for(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes_in(project: Project) -> list[psutil.Process]:
    """What runs in the project's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == project.root and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_it_leaves_what_dvc_repro_leaves(fresh: Project, by_dvc: Project, jobs: str) -> None:
    output = fresh.repro("--jobs", jobs)
    assert len(stages_run(output)) == 14
    assert_same(fresh, by_dvc)
    assert "train c-3 runs in train@c-3" in (fresh.root / ".dvc/tmp/peftir/logs/train@c-3.log").read_text()
    wait_for(lambda: not processes_in(fresh))
    assert "nothing to do: 14 stages are up to date" in fresh.repro()


def test_what_ran_before_is_restored(finished: Project, tmp_path: Path) -> None:
    finished.set(rate=2)
    other = finished.copy(tmp_path / "other")
    other.dvc("repro")
    output = finished.repro("--jobs", "1")
    assert set(stages_run(output)) >= {"train@a-1", "index@a-1"} and "prepare" not in stages_run(output)
    assert_same(finished, other)
    finished.set(rate=1)
    other.set(rate=1)
    other.dvc("repro")
    output = finished.repro("--jobs", "1")
    assert not stages_run(output) and output.count("restored") == 13
    assert_same(finished, other)


def test_new_stages_stand_in_the_lock_where_dvc_repro_puts_them(finished: Project, tmp_path: Path) -> None:
    finished.set(variants=["b", "d", "c", "a"], methods={"a": 1, "b": 1, "c": 1, "d": 1})
    other = finished.copy(tmp_path / "other")
    other.dvc("repro")
    finished.repro("--jobs", "1")
    assert_same(finished, other)


def test_targets_are_run_with_what_they_need(fresh: Project, tmp_path: Path) -> None:
    other = fresh.copy(tmp_path / "other")
    assert set(stages_run(fresh.repro("train@a-1", "index@b-3"))) == {
        "prepare",
        "train@a-1",
        "train@b-3",
        "index@b-3",
    }
    other.dvc("repro", "train@a-1", "index@b-3")
    # In which order dvc repro takes the targets, and so writes their entries, differs from call to call.
    assert yaml.safe_load(fresh.lock()) == yaml.safe_load(other.lock())
    assert fresh.cached() == other.cached()


def test_a_dry_run_says_what_would_run_and_does_nothing(finished: Project) -> None:
    finished.set(methods={"a": 2, "b": 1, "c": 1})
    before = finished.lock()
    said = finished.repro("--dry-run").splitlines()
    assert said[0].startswith("train@a-") and said[-1].startswith("2 of 14 stages are stale; 3 depend")
    assert len(said) == 6 and finished.lock() == before


def test_an_unknown_target_is_one_line(finished: Project) -> None:
    assert finished.repro("train@x", code=1).startswith("error: ")


def test_where_a_stage_fails_the_others_finish(fresh: Project, tmp_path: Path) -> None:
    fresh.trouble("trainb-1", "sys.exit('error: rate: 7: expected less')")
    other = fresh.copy(tmp_path / "other")
    output = fresh.repro("--jobs", "2", code=1)
    last = output.splitlines()[-1]
    assert last.startswith("error: train@b-1 (log: .dvc/tmp/peftir/logs/train@b-1.log): failed: rate: 7")
    assert "2 more depend on it" in last and "run peftir repro again" in last
    assert other.run("dvc", "repro", "-k").returncode != 0
    assert fresh.lock() == other.lock() and fresh.cached() == other.cached()
    for project in (fresh, other):
        (project.root / "trouble/trainb-1").unlink()
    assert set(stages_run(fresh.repro("--jobs", "1"))) == {"train@b-1", "index@b-1", "evaluate"}
    other.dvc("repro")
    assert_same(fresh, other)


def test_a_command_gets_the_environment_of_the_user(fresh: Project) -> None:
    seen = fresh.root / "seen.txt"
    show = f"open('{seen}', 'w').write(repr(dict(os.environ)))"
    trouble = fresh.trouble("prepare", show)
    fresh.dvc("repro", "prepare")
    expected = eval(seen.read_text())
    (fresh.root / "input.txt").write_text("others")
    trouble.write_text(show + "\n")
    fresh.repro("prepare")
    found = eval(seen.read_text())
    assert {name for name in found if found[name] != expected.get(name)} <= {"PEFTIR_RUN", "_", *SETTINGS}
    assert not expected.keys() - found.keys()


def test_after_a_kill_nothing_is_left_running_and_the_next_call_goes_on(
    fresh: Project, by_dvc: Project
) -> None:
    trouble = fresh.trouble("indexb-1", "open('reached', 'w').close(); time.sleep(1000)")
    driver = fresh.start("python", "-m", "peftir.cli", "repro", "--jobs", "2")
    wait_for((fresh.root / "reached").exists)
    driver.kill()
    driver.wait()
    wait_for(lambda: not processes_in(fresh))
    assert "index@b-1" not in fresh.lock()
    trouble.unlink()
    assert "restored" in fresh.repro("--jobs", "1")
    assert_same(fresh, by_dvc)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_what_runs_and_keeps_what_has_finished(
    fresh: Project, by_dvc: Project, number: signal.Signals
) -> None:
    trouble = fresh.trouble("trainb-1", "open('reached', 'w').close(); time.sleep(1000)")
    driver = fresh.start("python", "-m", "peftir.cli", "repro", "--jobs", "1")
    wait_for((fresh.root / "reached").exists)
    os.killpg(driver.pid, number) if number == signal.SIGINT else driver.send_signal(number)
    output, errors = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 130 and "goes on from there" in output and not errors, output + errors
    assert not processes_in(fresh)
    assert "prepare" in fresh.lock() and "train@b-1" not in fresh.lock()
    trouble.unlink()
    assert "prepare" not in stages_run(fresh.repro("--jobs", "1"))
    assert_same(fresh, by_dvc)


def test_what_is_killed_for_memory_is_tried_once_more_alone(fresh: Project, by_dvc: Project) -> None:
    fresh.trouble("traina-1", "os.path.exists('k') or (open('k', 'w').close(), os.kill(os.getpid(), 9))")
    output = fresh.repro("--jobs", "1")
    assert "train@a-1 was killed, most likely for memory" in output
    assert_same(fresh, by_dvc)


def test_what_is_killed_twice_is_said_to_need_more_memory(fresh: Project) -> None:
    fresh.trouble("prepare", "os.kill(os.getpid(), 9)")
    last = fresh.repro("--jobs", "1", code=1).splitlines()[-1]
    assert "prepare" in last and "needs more memory than there is" in last


def test_a_lock_of_dvcs_that_a_kill_left_half_written_is_no_obstacle(fresh: Project) -> None:
    lock = fresh.root / ".dvc/tmp/rwlock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text('{"read": ')
    fresh.repro("prepare")


def test_a_second_call_is_refused(fresh: Project) -> None:
    trouble = fresh.trouble("prepare", "open('reached', 'w').close(); time.sleep(1000)")
    driver = fresh.start("python", "-m", "peftir.cli", "repro", "--jobs", "1")
    wait_for((fresh.root / "reached").exists)
    assert "another peftir repro runs in this project" in fresh.repro(code=1)
    trouble.unlink()
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=PATIENCE)


TRAINING = """
import hashlib, sys
import torch
from peftir.system.threads import use_threads
use_threads(1)
torch.manual_seed(13)
layer = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
model = torch.nn.Sequential(torch.nn.Embedding(50, 32), layer, torch.nn.Linear(32, 3))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
for _ in range(5):
    loss = model(torch.randint(0, 50, (8, 16))).logsumexp(-1).mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
weights = b"".join(weight.detach().numpy().tobytes() for weight in model.parameters())
print(hashlib.md5(weights).hexdigest(), file=open(sys.argv[1], "w"))
"""


def test_a_forked_training_gives_the_bytes_of_one_in_a_new_process(tmp_path: Path) -> None:
    from peftir.pipeline.engine.worker import Forkserver

    script = tmp_path / "train.py"
    script.write_text(TRAINING)
    subprocess.run(["python", script, tmp_path / "new"], check=True)
    forkserver = Forkserver(dict(os.environ), ("torch",), tmp_path / "socket")
    try:
        for name in ("first", "second"):
            ended = forkserver.run(
                {
                    "command": f"python {script} {name}",
                    "folder": str(tmp_path),
                    "environment": dict(os.environ),
                    "log": str(tmp_path / "log"),
                    "running": str(tmp_path / "running"),
                }
            )
            assert ended.code == 0, (tmp_path / "log").read_text()
    finally:
        forkserver.close()
    expected = (tmp_path / "new").read_text()
    assert (tmp_path / "first").read_text() == (tmp_path / "second").read_text() == expected


def test_a_stage_that_computes_nothing_does_not_ask_the_cluster(fresh: Project, by_dvc: Project) -> None:
    from peftir.pipeline.engine import experiments

    program = fresh.root / "shell"
    experiments.write_shell(program)
    ran = fresh.run(
        "env", f"SHELL={program}", "PEFTIR_ADDRESS=none", "PEFTIR_SHELL=/bin/sh", "dvc", "repro", "prepare"
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (fresh.root / "data/prepared/a.txt").read_text() == (
        by_dvc.root / "data/prepared/a.txt"
    ).read_text()
    assert "prepare runs in prepare" in " ".join(ran.stdout.split())
