"""A run's folder that vanishes while it is written to, is full, or is wanted by two runs at once."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from latentarena.errors import ConfigError, OutputError
from latentarena.files import make_folder, write_atomically
from latentarena.train import loop, shelter
from latentarena.train.checkpoint import Checkpoints
from latentarena.train.logs import curve, logged
from latentarena.train.loop import Tick, fit
from latentarena.train.shelter import Shelter, bring_back, go_on, held, lock_folder, refuge_of, write_or_keep
from regression import CONFIG, KEY, STEPS, Regression
from small_disk import mounted

STAGE = KEY[1]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No waiting, a checkpoint at every step, and a cache of one's own."""
    monkeypatch.setattr(shelter, "PAUSES", (0.0,))
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "cache"))


def train(home: Path, events: dict[int, Callable[[], object]]) -> tuple[Shelter, Regression]:
    """Train a stage in a folder that something happens to before some of its steps."""
    place, objective = Shelter(home), Regression()
    fabric = Fabric(accelerator="cpu", devices=1)
    ticks = fit(objective, CONFIG, fabric, home / "checkpoints", KEY, place.reach)
    for tick in logged(ticks, home / "logs", STAGE, place.reach):
        events.get(tick.step, lambda: None)()
    return place, objective


def losses(home: Path) -> list[float]:
    return curve(home / "logs", STAGE)["loss"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Regression]:
    home = tmp_path_factory.mktemp("undisturbed")
    _, objective = train(home, {})
    assert len(losses(home)) == STEPS
    return home, objective


def same(one: Regression, other: Regression) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_folder_that_comes_back_has_everything(
    tmp_path: Path, undisturbed: tuple[Path, Regression], caplog: pytest.LogCaptureFixture
) -> None:
    home, away = tmp_path / "run", tmp_path / "away"
    with caplog.at_level(logging.WARNING, "latentarena"):
        place, objective = train(home, {3: lambda: home.rename(away), 9: lambda: away.rename(home)})
    assert same(objective, undisturbed[1])
    assert (place.away, place.settle(), refuge_of(home).exists()) == (False, home, False)
    assert losses(home) == losses(undisturbed[0])
    assert Checkpoints(home / "checkpoints", STAGE).latest().step == STEPS
    assert [record.message.split(" ")[0] for record in caplog.records] == ["cannot", str(home)]
    assert str(refuge_of(home)) in caplog.records[0].message


def test_folder_that_stays_away_leaves_everything_in_the_refuge(
    tmp_path: Path, undisturbed: tuple[Path, Regression]
) -> None:
    home, away = tmp_path / "run", tmp_path / "away"
    place, objective = train(home, {3: lambda: home.rename(away)})
    assert same(objective, undisturbed[1])
    assert place.settle() == refuge_of(home)
    assert not home.exists()  # what was taken away is not made anew
    assert losses(refuge_of(home)) == losses(undisturbed[0])
    assert Checkpoints(refuge_of(home) / "checkpoints", STAGE).latest().step == STEPS


def test_what_was_remembered_is_in_the_refuge_too(tmp_path: Path) -> None:
    home = tmp_path / "run"
    place = Shelter(home)
    (home / "recipe.yaml").write_text("seed: 1\n")
    place.remember("recipe.yaml")
    home.rename(tmp_path / "away")
    place.reach(home / "logs", lambda folder: None)
    assert (refuge_of(home) / "recipe.yaml").read_text() == "seed: 1\n"


def test_drive_that_is_unmounted_is_not_written_under(tmp_path: Path, undisturbed: tuple[Path, Regression]) -> None:
    drive = tmp_path / "drive"
    with mounted(drive, "size=8m"):
        detach = ["umount", "-l", str(drive)]
        try:
            place, objective = train(drive, {3: lambda: subprocess.run(detach, check=True)})
            assert list(drive.iterdir()) == []
        finally:
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(drive)], check=True)
        assert place.settle() == drive  # mounted again, if empty
        assert losses(drive) == losses(undisturbed[0])
    assert same(objective, undisturbed[1])


def test_a_folder_that_cannot_be_written_says_where_its_refuge_is(tmp_path: Path) -> None:
    home = tmp_path / "run"
    place = Shelter(home)
    home.rename(tmp_path / "away")
    place.reach(home, lambda folder: write_atomically(make_folder(folder) / "state", b"1"))
    kept = refuge_of(home)
    with pytest.raises(ConfigError, match=f"a run went on in {kept} .*; add --resume to bring it back, or delete it$"):
        go_on(home, False, "add --resume")
    home.write_text("a file in its place")
    with pytest.raises(OutputError, match=f"is a file, not a folder; .* is kept in {kept}$"), held(home):
        pass
    with pytest.raises(OutputError, match=f"is kept in {kept}$"):
        go_on(home, True, "add --resume")
    assert (kept / "state").read_bytes() == b"1"
    home.unlink()
    go_on(home, True, "add --resume")
    assert ((home / "state").read_bytes(), kept.exists()) == (b"1", False)


def fill(home: Path) -> None:
    with (home / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_full_disk_stops_the_run_and_what_was_trained_is_in_the_refuge(
    tmp_path: Path, undisturbed: tuple[Path, Regression], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 60.0)  # the disk's own checkpoints would be old
    with mounted(tmp_path / "small", "size=64k") as home:
        refuge = refuge_of(home)
        with pytest.raises(OutputError, match="the disk is full; free some space") as caught:
            train(home, {5: partial(fill, home)})
        assert f"kept in {refuge}; once there is room" in str(caught.value)
        stopped = Checkpoints(refuge / "checkpoints", STAGE).latest().step
        assert stopped in (5, 6)
        assert losses(refuge) == losses(undisturbed[0])[:stopped]
        with pytest.raises(OutputError, match=f"the disk is full.* is kept in {refuge}$"):
            bring_back(home)
        (home / "ballast").unlink()
        bring_back(home)
        assert Checkpoints(home / "checkpoints", STAGE).latest().step == stopped
        _, objective = train(home, {})
        assert losses(home) == losses(undisturbed[0])
        assert same(objective, undisturbed[1])
        assert not refuge.exists()


def test_full_disk_that_the_refuge_is_on_too_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "small", "size=64k") as disk:
        monkeypatch.setenv("LATENTARENA_CACHE", str(disk / "cache"))
        home = disk / "run"
        with pytest.raises(OutputError, match=r"the disk is full; free some space or choose another folder$"):
            train(home, {5: partial(fill, disk)})
        assert Checkpoints(home / "checkpoints", STAGE).latest().step in (3, 4)
        assert not refuge_of(home).exists()
        (disk / "ballast").unlink()
        train(home, {})
        assert len(losses(home)) == STEPS


def test_what_was_found_is_kept_beside_a_full_disk_and_brought_back(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        write_atomically(path, path.name.encode() * 20_000)

    with mounted(tmp_path / "small", "size=64k") as home:
        with pytest.raises(OutputError, match=r"write .*/d: the disk is full.*kept in .*; come again$") as caught:
            write_or_keep({home / name: write for name in "abcde"}, "come again")
        assert str(refuge_of(home)) in str(caught.value)
        with pytest.raises(OutputError):
            bring_back(home)
        assert {path.name for path in refuge_of(home).iterdir()} == {"d", "e"}
        assert {path.name for path in home.iterdir()} == {"a", "b", "c"}
        (home / "a").unlink()
        (home / "b").unlink()
        bring_back(home)
        assert {path.name for path in home.iterdir()} == {"c", "d", "e"}
        assert not refuge_of(home).exists()


def test_what_no_disk_has_room_for_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mounted(tmp_path / "small", "size=16k") as disk:
        monkeypatch.setenv("LATENTARENA_CACHE", str(disk / "cache"))
        with pytest.raises(OutputError, match=r"the disk is full; free some space or choose another folder$"):
            write_or_keep({disk / "a": lambda path: write_atomically(path, bytes(20_000))}, "come again")
        assert not refuge_of(disk).exists()
        with pytest.raises(OutputError, match="the disk is full"), Shelter(disk / "run").set_aside():
            pytest.fail("there is no room")
        assert list((disk / "run").iterdir()) == []


def test_room_is_held_as_long_as_it_is_needed(tmp_path: Path) -> None:
    place = Shelter(tmp_path / "run")
    with place.set_aside():
        assert (place.home / shelter.ROOM).stat().st_size == shelter.WRITTEN
    assert list(place.home.iterdir()) == []


def test_file_larger_than_the_limit_is_a_full_disk(tmp_path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
from latentarena.train.checkpoint import Checkpoint, Checkpoints
from latentarena.train.shelter import Shelter
import torch
place = Shelter(Path({str(tmp_path / "run")!r}))
store = Checkpoints(place.home / "checkpoints", "stage", place.reach)
store.save(Checkpoint(1, {{"a": torch.zeros(10)}}, {{}}))
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    store.save(Checkpoint(2, {{"a": torch.zeros(10_000)}}, {{}}))
except Exception as error:
    print(type(error).__name__, error, store.latest().step)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "OutputError" in done.stdout
    assert "larger than this user may write" in done.stdout
    assert done.stdout.rstrip().endswith(" 1")


def test_refuge_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "file"))
    home = tmp_path / "run"
    with pytest.raises(OutputError, match="file"):
        train(home, {3: lambda: home.rename(tmp_path / "away")})


def test_tensorboard_shows_what_the_table_says(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    home, away = tmp_path / "run", tmp_path / "away"
    train(home, {3: lambda: home.rename(away), 9: lambda: away.rename(home)})
    shown = EventAccumulator(str(home / "logs" / "tensorboard" / STAGE))
    shown.Reload()
    found = [(event.step, event.value) for event in shown.Scalars(f"{STAGE}/loss")]
    rows = curve(home / "logs", STAGE)
    assert [step for step, _ in found] == rows["step"]
    assert [value for _, value in found] == pytest.approx(rows["loss"], rel=1e-6)


def test_log_grows_in_place(tmp_path: Path) -> None:
    """A row is appended: the file is not written anew for each."""
    ticks = (Tick(i, 5, i, 0.1, {"loss": 1.0 / (i + 1)} if i else {}) for i in range(6))
    inodes = set()
    for tick in logged(ticks, tmp_path, "a"):
        inodes |= {(tmp_path / "a.csv").stat().st_ino} if tick.step else set()
    assert len(inodes) == 1
    assert curve(tmp_path, "a")["step"] == [1, 2, 3, 4, 5]


HOLD = """
import sys, time
from pathlib import Path
from latentarena.train.shelter import lock_folder
lock = lock_folder(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_two_runs_do_not_share_a_folder_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="in use by another run"):
            lock_folder(tmp_path)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    lock = lock_folder(tmp_path)
    assert lock is not None
    with pytest.raises(ConfigError, match="in use by another run"):
        lock_folder(tmp_path)
    lock.release()
    lock_folder(tmp_path)
