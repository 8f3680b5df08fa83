"""What happens to real runs in other processes: killed, interrupted, spread over two of them.

A run here is the command line itself, stopped at its bundle: judging it takes longer and is tested elsewhere.
"""

from __future__ import annotations

import csv
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from command import TINY, Arena
from forked import Forked
from latentarena.card.score_card import read_card
from latentarena.judge.classifier import Judge
from latentarena.train.shelter import ROOM, refuge_of
from small_disk import mounted
from standing import STANDING, goes_on, moment, stands

DRIVER = f"""{STANDING}
import sys
from latentarena.cli import main
from latentarena.run import pipeline

pipeline.judge_run = lambda bundle, *rest: sys.exit(0)
main()
"""
STEPS = {"autoencoder": 44, "generator": 200}
LONG = [
    *TINY,
    "training.autoencoder.epochs=2",
    "training.generator.epochs=40",
    "training.generator.ema=0.99",
    "--accelerator=cpu",
]
WEIGHTS = Path("bundle", "weights.safetensors")
Start = Callable[..., Forked]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Start `arena train quickstart-digits` in a second process."""
    driver = tmp_path_factory.mktemp("driver") / "driver.py"
    driver.write_text(DRIVER)

    def run(out: Path, *arguments: str, at: dict[str, str] | None = None) -> Forked:
        words = ["train", "quickstart-digits", *arguments, "--out", str(out)]
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (at or {}).items():
                patch.setenv(name, value)
            return Forked(words, str(driver))

    return run


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=200)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def strike(
    start: Start, number: int, words: Sequence[str], out: Path, stage: str, span: tuple[float, float]
) -> subprocess.CompletedProcess[str]:
    """Start a run and send it a signal at a random moment between two fractions of a stage."""
    process = start(out, *words, at=moment(stage, random.uniform(*span) * STEPS[stage]))
    stands(process.pid, process.poll)
    process.send_signal(number)
    goes_on(process.pid, process.poll)
    return process.finish(200)


def rows(out: Path, stage: str) -> dict[str, list[float]]:
    with (out / "logs" / f"{stage}.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in found] for name in found[0]}


@dataclass(frozen=True)
class Ordeal:
    """A run that was killed in each stage and then interrupted, beside one that was left in peace."""

    peace: Path
    war: Path
    killed: list[subprocess.CompletedProcess[str]]
    interrupted: subprocess.CompletedProcess[str]
    last: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def ordeal(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Ordeal:
    peace, war = (tmp_path_factory.mktemp(name) / "run" for name in ("peace", "war"))
    beside = start(peace, *LONG)
    killed = [strike(start, signal.SIGKILL, LONG, war, "autoencoder", (0.1, 0.9))]
    killed += [strike(start, signal.SIGKILL, [*LONG, "--resume"], war, "generator", (0.1, 0.4))]
    (war / "checkpoints" / ".generator-00000001-0123456789abcdef.safetensors.1.part").write_bytes(b"half a checkpoint")
    interrupted = strike(start, signal.SIGINT, [*LONG, "--resume"], war, "generator", (0.6, 0.8))
    last = start(war, *LONG, "--resume").finish(200)
    undisturbed = beside.finish(200)
    assert undisturbed.returncode == 0, undisturbed.stderr
    return Ordeal(peace, war, killed, interrupted, last)


def test_every_strike_hit_and_the_run_still_finished(ordeal: Ordeal) -> None:
    assert [done.returncode for done in ordeal.killed] == [-signal.SIGKILL, -signal.SIGKILL]
    assert ordeal.last.returncode == 0, ordeal.last.stderr


def test_ctrl_c_exits_130_and_says_that_the_state_is_saved(ordeal: Ordeal) -> None:
    assert ordeal.interrupted.returncode == 130
    assert "Traceback" not in ordeal.interrupted.stderr
    [line] = [line for line in ordeal.interrupted.stderr.splitlines() if line.startswith("arena:")]
    assert "generator: stopped at step" in line
    assert "saved" in line
    assert "--resume" in line


def test_weights_are_those_of_the_undisturbed_run_byte_for_byte(ordeal: Ordeal) -> None:
    assert (ordeal.war / WEIGHTS).read_bytes() == (ordeal.peace / WEIGHTS).read_bytes()


@pytest.mark.parametrize("stage", STEPS)
def test_log_has_every_logging_point_once_and_in_order(ordeal: Ordeal, stage: str) -> None:
    peace, war = rows(ordeal.peace, stage), rows(ordeal.war, stage)
    assert war["step"] == peace["step"]
    assert all(a < b for a, b in zip(war["step"], war["step"][1:], strict=False))
    assert war["step"][-1] == STEPS[stage]


@pytest.mark.parametrize("stage", STEPS)
def test_curve_is_that_of_the_undisturbed_run(ordeal: Ordeal, stage: str) -> None:
    """One row may be a mean over fewer steps: that of the logging interval in which Ctrl-C struck."""
    peace, war = rows(ordeal.peace, stage)["loss"], rows(ordeal.war, stage)["loss"]
    assert sum(a != b for a, b in zip(peace, war, strict=True)) <= (stage == "generator")


def test_run_that_is_told_to_end_saves_first(start: Start, tmp_path: Path) -> None:
    done = strike(start, signal.SIGTERM, LONG, tmp_path / "run", "generator", (0.1, 0.6))
    assert done.returncode == 128 + signal.SIGTERM
    [line] = done.stderr.splitlines()
    assert "generator: stopped at step" in line
    assert "saved" in line


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_program_that_is_told_to_end_before_it_trains_says_so(tmp_path: Path, number: signal.Signals) -> None:
    """While it loads what it needs."""
    command = [sys.executable, "-m", "latentarena", "train", "quickstart-digits", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text():
        time.sleep(0.002)
    process.send_signal(number)
    done = finish(process)
    assert done.returncode == 128 + number
    [line] = done.stderr.splitlines()
    assert line.startswith("arena: interrupted")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_program_that_is_told_to_end_while_it_judges_says_so(tiny_run: Path, number: signal.Signals) -> None:
    process = Forked(["judge", str(tiny_run / "bundle")])
    while "\n" not in process.said() and process.poll() is None:
        time.sleep(0.005)
    assert "judging" in process.said()
    process.send_signal(number)
    done = process.finish(200)
    assert done.returncode == 128 + number
    [line] = done.stderr.splitlines()
    assert line.startswith("arena: interrupted")


def test_script_that_is_told_to_end_outside_of_training_dies_of_the_signal() -> None:
    """Once what is open was closed: nobody takes it for a Ctrl-C, or for a script that has failed."""
    code = """
import signal
from latentarena.system import stopping_as_ctrl_c
with stopping_as_ctrl_c():
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        print("closed", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "closed\n", "")


def test_run_whose_folder_vanishes_loses_nothing(
    ordeal: Ordeal, start: Start, arena_here: Arena, tmp_path: Path
) -> None:
    run, away = tmp_path / "run", tmp_path / "away"
    process = start(run, *LONG, at=moment("generator", 0.2 * STEPS["generator"]))
    stands(process.pid, process.poll)
    run.rename(away)
    goes_on(process.pid, process.poll)
    done, refuge = process.finish(200), refuge_of(run)
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stderr.splitlines() if "cannot write to" in line]) == 1
    assert "Traceback" not in done.stderr
    assert not run.exists()
    assert (refuge / WEIGHTS).read_bytes() == (ordeal.peace / WEIGHTS).read_bytes()
    assert {stage: rows(refuge, stage)["loss"] for stage in STEPS} == {
        stage: rows(ordeal.peace, stage)["loss"] for stage in STEPS
    }
    refused = arena_here("train", "quickstart-digits", *LONG, "--out", run)
    assert refused.returncode == 2
    assert f"a run went on in {refuge}" in refused.stderr
    shutil.rmtree(run)  # made by the run that was refused
    away.rename(run)
    again = start(run, *LONG, "--resume").finish(200)
    assert again.returncode == 0, again.stderr
    assert not refuge.exists()
    assert (run / WEIGHTS).read_bytes() == (ordeal.peace / WEIGHTS).read_bytes()


def fill(folder: Path) -> Path:
    """Take all that is left of a disk."""
    with (folder / "ballast").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return folder / "ballast"


def test_disk_that_fills_up_while_a_run_is_judged(arena_here: Arena, digits_judge: Judge, tmp_path: Path) -> None:
    arguments = ["train", "quickstart-digits", *TINY, "--samples", "200", "--accelerator=cpu"]
    with mounted(tmp_path / "small", "size=16m") as disk:
        run, refuge = disk / "run", refuge_of(disk / "run")
        process = Forked([*arguments, "--out", str(run)])
        while process.poll() is None and not (run / ROOM).exists():
            time.sleep(0.005)
        while process.poll() is None:  # what the run frees is taken as well
            ballast = fill(disk)
            time.sleep(0.001)
        done = process.finish(200)
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert "the disk is full; free some space" in line
        assert f"what was found is kept in {refuge}" in line
        kept = {path.name: path.read_bytes() for path in refuge.iterdir()}
        assert kept.keys() == {"samples.png", "card.png", "report.html", "score.json"}
        assert not (run / "score.json").exists()  # the last to be written: what has it is finished
        assert "cannot write" in arena_here(*arguments, "--out", run, "--resume").stderr  # still full
        ballast.unlink()
        again = arena_here(*arguments, "--out", run, "--resume")
        assert (again.returncode, again.stderr) == (0, "")
        assert {name: (run / name).read_bytes() for name in kept} == kept  # whose timing another judging would change
        assert not refuge.exists()
        other = arena_here(*arguments, "--samples", "300", "--out", run, "--resume")
        assert other.returncode == 0, other.stderr
        assert read_card(run / "score.json").samples == 300


def test_disk_that_is_too_small_for_what_a_judge_finds(arena_here: Arena, tiny_run: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=8k") as disk:
        done = arena_here("judge", tiny_run / "bundle", "--samples", 200, "--untimed", "--json", disk / "card.json")
        assert done.returncode == 1
        assert f"cannot write {disk / 'card.json'}: the disk is full" in done.stderr
        assert f"what was found is kept in {refuge_of(disk)}; move it from there" in done.stderr
        assert list(disk.iterdir()) == []
        assert read_card(refuge_of(disk) / "card.json").samples == 200


PAIR = ("--devices", "2", "--strategy")


@pytest.fixture
def gloo() -> None:
    if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
        pytest.skip("this torch has no gloo: distributed training is NOT tested")


def assert_alike(one: Path, two: Path) -> None:
    """Curves and weights are the same but for rounding."""
    for stage in STEPS:
        first, second = rows(one, stage), rows(two, stage)
        assert second["step"] == first["step"]
        np.testing.assert_allclose(second["loss"], first["loss"], rtol=1e-3)
    weights = load_file(one / WEIGHTS)
    for name, tensor in load_file(two / WEIGHTS).items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-2, atol=1e-2)


@pytest.mark.usefixtures("gloo")
def test_two_processes_learn_what_one_does(ordeal: Ordeal, start: Start, tmp_path: Path) -> None:
    done = start(tmp_path / "pair", *LONG, *PAIR, "ddp").finish(200)
    assert done.returncode == 0, done.stderr
    assert_alike(ordeal.peace, tmp_path / "pair")


@pytest.mark.usefixtures("gloo")
def test_divided_weights_are_saved_whole_and_gone_on_with_by_any_number_of_processes(
    start: Start, tmp_path: Path
) -> None:
    """With an optimizer and averages that remember, and what bounds the slopes."""
    how = [*LONG, "training.generator.muon=0.01", "training.generator.clip=1", "training.generator.ema=0"]
    how += ["training.generator.ema_length=0.1", "training.generator.epochs=10", "training.autoencoder.epochs=0.5"]
    alone = start(tmp_path / "alone", *how).finish(200)
    assert alone.returncode == 0, alone.stderr
    cut = strike(start, signal.SIGTERM, [*how, *PAIR, "fsdp"], tmp_path / "cut", "generator", (0.05, 0.12))
    assert cut.returncode == 128 + signal.SIGTERM, cut.stderr
    shutil.copytree(tmp_path / "cut", tmp_path / "single")
    for name, more in (("cut", (*PAIR, "fsdp")), ("single", ())):
        again = start(tmp_path / name, *how, *more, "--resume").finish(200)
        assert again.returncode == 0, again.stderr
        assert_alike(tmp_path / "alone", tmp_path / name)
