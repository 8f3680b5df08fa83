"""Searches: what is proposed, what it is scored on, what is kept, and what is refused."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from command import Arena
from forked import Forked
from latentarena.data import Dataset, Images
from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError, Interrupted
from latentarena.files import cache_folder
from latentarena.judge.metrics import frechet_distance
from latentarena.judge.training import JudgeConfig, judge_for, train_judge
from latentarena.model.latent_model import LatentModel
from latentarena.search.plan import SPACES, Space, load_space
from latentarena.search.record import Search, Trial
from latentarena.search.trials import Budget, run_search
from latentarena.search.validation import Yardstick, with_validation
from latentarena.train.loop import FitConfig, Tick
from latentarena.train.recipe import load_recipe

SPACE = """
recipe: quickstart-digits
set:
  autoencoder.latent: [6]
  autoencoder.widths: [4, 8]
  generator.backbone.width: 16
  generator.backbone.depth: 1
  training.autoencoder.epochs: 0.5
  training.generator.epochs: 0.5
ranges:
  training.autoencoder.lr: {low: 1e-4, high: 1e-2, log: true}
  generator.backbone.width: {low: 8, high: 24, step: 8}
  autoencoder.widths: [[4, 8], [8, 8]]
minimise: mse
"""


class Unread(Images):
    """A split that nobody may look at."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError("the test split was read")


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """The digits without a test split."""
    found = embedded_digits()
    return replace(found, test=Unread(found.test.pixels, found.test.labels))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def space(file: Path) -> Space:
    return load_space(str(file))


def points(search: Search) -> list[tuple[object, ...]]:
    return [(one.number, one.values, one.state, one.score, one.early) for one in search.trials]


def test_every_shipped_space_can_start() -> None:
    assert SPACES.names()
    for name in SPACES.names():
        assert load_space(name).config.title


def test_the_space_of_the_documentation_can_start(file: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "search.md"
    file.write_text(page.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0])
    assert load_space(str(file)).config.ranges.keys() >= {"training.generator.lr"}


def test_the_validation_split_is_a_part_of_the_train_split_and_of_nothing_else(data: Dataset) -> None:
    part = with_validation(data, 0.2)
    assert len(part.train) + len(part.test) == len(data.train)
    assert len(part.test) == round(0.2 * len(data.train))
    learnt, held, whole = (
        {one.tobytes() for one in split.pixels.numpy()} for split in (part.train, part.test, data.train)
    )
    assert learnt.isdisjoint(held)
    assert learnt | held == whole
    assert with_validation(data, 0.2).digest == part.digest


def test_the_best_recipe_trains_to_the_best_score(space: Space, data: Dataset, fabric: Fabric, tmp_path: Path) -> None:
    made = run_search(space, data, tmp_path / "out", fabric, Budget(trials=3))
    assert repr(made).startswith(f"<Search {str(tmp_path / 'out')!r}: 3 trials on {data.name}, the best, number ")
    assert made.best is not None
    assert made.best.score == min(one.score for one in made.trials if one.score is not None)
    recipe = load_recipe(str(tmp_path / "out" / "best.yaml"))
    assert recipe.training.autoencoder is not None
    assert recipe.training.autoencoder.lr == made.best.values["training.autoencoder.lr"]
    assert list(recipe.autoencoder.widths) == made.best.values["autoencoder.widths"]
    assert recipe.training.generator.epochs == 0.5
    yardstick = Yardstick(with_validation(data, 0.2), data.digest, "mse", 100, fabric)
    assert yardstick.trained(recipe, tmp_path / "again", lambda ticks, stage: ticks) == made.best.score
    told = json.loads((tmp_path / "out" / "search.json").read_text())
    assert [one["score"] for one in told["trials"]] == [one.score for one in made.trials]
    assert told["versions"]["optuna"]
    assert (tmp_path / "out" / "search.md").read_text().count("\n| ") == 5


def test_a_seed_proposes_the_same_trials_in_one_call_or_several(
    space: Space, data: Dataset, fabric: Fabric, tmp_path: Path
) -> None:
    whole = run_search(space, data, tmp_path / "whole", fabric, Budget(trials=4), seed=3)
    first = run_search(space, data, tmp_path / "parts", fabric, Budget(trials=2), seed=3)
    made: list[Trial] = []
    both = run_search(
        space, data, tmp_path / "parts", fabric, Budget(trials=4), 3, lambda search, trial: made.append(trial)
    )
    assert points(both) == points(whole)
    assert points(first) == points(whole)[:2]
    assert [one.number for one in made] == [2, 3]
    other = run_search(space, data, tmp_path / "other", fabric, Budget(trials=1), seed=4)
    assert other.trials[0].values != whole.trials[0].values


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
def test_a_killed_search_goes_on_and_makes_no_finished_trial_again(
    space: Space, file: Path, fabric: Fabric, tmp_path: Path
) -> None:
    result, began = tmp_path / "out" / "search.json", time.monotonic()
    words = ["search", str(file), "--out", str(tmp_path / "out"), "--trials", "50", "--accelerator", "cpu"]
    process = Forked(words)
    while not (result.exists() and len(json.loads(result.read_text())["trials"]) >= 2):
        assert process.poll() is None
        assert time.monotonic() - began < 200
        time.sleep(0.1)
    with pytest.raises(ConfigError, match="in use by another run"):
        run_search(space, embedded_digits(), tmp_path / "out", fabric, Budget(trials=1))
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = json.loads(result.read_text())["trials"]
    made: list[Trial] = []
    search = run_search(
        space,
        embedded_digits(),
        tmp_path / "out",
        fabric,
        Budget(trials=len(before) + 2),
        told=lambda search, trial: made.append(trial),
    )
    assert len(search.trials) == len(before) + 2
    assert [one.seconds for one in search.trials[: len(before)]] == [one["seconds"] for one in before]
    assert len(made) <= 2
    whole = run_search(space, embedded_digits(), tmp_path / "whole", fabric, Budget(trials=len(search.trials)))
    assert points(whole) == points(search)


def test_a_search_that_is_told_to_end_goes_on_in_the_middle_of_a_trial(
    space: Space, data: Dataset, fabric: Fabric, tmp_path: Path
) -> None:
    seen: list[tuple[str, int]] = []

    def watch(ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
        for tick in ticks:
            seen.append((stage, tick.step))
            if stops and (stage, tick.step) == ("generator", 1):
                signal.raise_signal(stops.pop())
            yield tick

    stops: list[signal.Signals] = [signal.SIGTERM]
    with pytest.raises(Interrupted, match="trial 0 was interrupted; the same command goes on") as stop:
        run_search(space, data, tmp_path / "out", fabric, Budget(trials=1), watch=watch)
    assert stop.value.exit_code == 128 + signal.SIGTERM
    last = max(step for stage, step in seen if stage == "autoencoder")
    seen.clear()
    made = run_search(space, data, tmp_path / "out", fabric, Budget(trials=1), watch=watch)
    assert seen[:2] == [("autoencoder", last), ("generator", 1)]
    assert not (tmp_path / "out" / "trial").exists()
    assert points(made) == points(run_search(space, data, tmp_path / "whole", fabric, Budget(trials=1)))


def test_budgets_are_kept(space: Space, data: Dataset, fabric: Fabric, tmp_path: Path) -> None:
    one = run_search(space, data, tmp_path / "out", fabric, Budget(trials=1)).trials[0]
    most = 2.7 * one.macs
    made = run_search(space, data, tmp_path / "out", fabric, Budget(macs=most))
    assert 0 < sum(trial.macs for trial in made.trials) <= most
    assert len(run_search(space, data, tmp_path / "out", fabric, Budget(macs=most)).trials) == len(made.trials)
    began = time.monotonic()
    none = run_search(space, data, tmp_path / "short", fabric, Budget(minutes=0.001))
    assert none.trials == []
    assert time.monotonic() - began < 30
    assert run_search(space, data, tmp_path / "short", fabric, Budget(trials=1)).trials[0].values == one.values


def test_what_is_worse_than_the_median_is_pruned(file: Path, data: Dataset, fabric: Fabric, tmp_path: Path) -> None:
    file.write_text(SPACE.replace("0.5", "1"))
    made = run_search(load_space(str(file)), data, tmp_path / "out", fabric, Budget(trials=8))
    pruned = [one for one in made.trials if one.state == "pruned"]
    assert pruned
    for one in pruned:
        known = [other.early for other in made.trials[: one.number] if other.state == "done"]
        assert one.score is None
        assert one.early is not None
        assert one.early > torch.tensor(known).quantile(0.5)
        assert one.macs < min(other.macs for other in made.trials if other.state == "done")
    assert all(one.state == "done" for one in made.trials[:4])


def test_a_trial_that_fails_is_kept_with_its_reason(file: Path, data: Dataset, fabric: Fabric, tmp_path: Path) -> None:
    """Each end is possible, and two of them together are not."""
    lines = SPACE.partition("ranges:")[0] + (
        "ranges:\n  generator.conditional: [false, true]\n  sampling.guidance: [1, 2]\nminimise: mse\nprune_after: 0\n"
    )
    file.write_text(lines)
    with pytest.raises(ConfigError, match=r"ranges.sampling.guidance = 2: .* needs a generator that is conditional"):
        load_space(str(file))
    file.write_text(lines.replace("set:", "set:\n  generator.conditional: true"))
    made = run_search(load_space(str(file)), data, tmp_path / "out", fabric, Budget(trials=6))
    for one in made.trials:
        impossible = one.values == {"generator.conditional": False, "sampling.guidance": 2}
        assert (one.state == "failed") == impossible == ("needs a generator" in one.reason)
    assert {one.state for one in made.trials} == {"done", "failed"}
    assert all(one.early is None for one in made.trials)


def test_a_frechet_distance_is_from_the_validation_images_in_the_features_of_the_judge(
    data: Dataset, fabric: Fabric, space: Space
) -> None:
    part = with_validation(data, 0.2)
    home = cache_folder() / "judges" / part.digest[:16]
    train_judge(part, JudgeConfig(width=4, fit=FitConfig(epochs=1, batch=64, lr=1e-2)), fabric, home)
    yardstick = Yardstick(part, data.digest, "frechet", 150, fabric)
    model = LatentModel(space.recipe.architecture(part.shape, part.classes)).eval().requires_grad_(False)
    judge = judge_for(part)
    made = judge.look(model.generate(model.noise(150, 0, "search"))).features.double()
    real = judge.look(part.test.images).features.double()
    assert judge.facts.data == part.digest
    expected = frechet_distance(made.mean(0), made.T.cov(), real.mean(0), real.T.cov())
    assert math.isclose(yardstick.score(model, space.recipe), expected, rel_tol=1e-4)


def test_the_seeds_of_a_trial_count_by_their_mean(file: Path, data: Dataset, fabric: Fabric, tmp_path: Path) -> None:
    file.write_text(f"{SPACE.replace('minimise: mse', 'minimise: loss')}seeds: 2\nprune_after: 0\n")
    made = run_search(load_space(str(file)), data, tmp_path / "out", fabric, Budget(trials=1))
    yardstick = Yardstick(with_validation(data, 0.2), data.digest, "loss", 100, fabric)
    recipe = load_recipe(str(tmp_path / "out" / "best.yaml"))
    alone = [
        yardstick.trained(recipe.model_copy(update={"seed": seed}), tmp_path / "one", lambda ticks, stage: ticks)
        for seed in (0, 1)
    ]
    assert alone[0] != alone[1]
    assert made.trials[0].score == sum(alone) / 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("training.autoencoder.lr: {", "training.autoencoder.rate: {", "unknown key 'rate'"),
        ("high: 1e-2", "high: 7", "ranges.training.autoencoder.lr = 7"),
        ("low: 1e-4", "low: 1", "low is the smaller one"),
        ("low: 1e-4", "low: 0", "with log it is more than 0"),
        ("log: true", "log: true, step: 0.1", "log and step exclude each other"),
        ("step: 8", "step: 7", "no whole steps"),
        ("low: 8", "low: eight", "low"),
        ("[[4, 8], [8, 8]]", "[[4, 8]]", "two or more choices"),
        ("[[4, 8], [8, 8]]", "12", "two or more choices"),
        ("[[4, 8], [8, 8]]", "[[4, 8], x]", "ranges.autoencoder.widths = 'x'"),
        ("autoencoder.widths: [[", "seed: [[", "the same for all trials"),
        ("autoencoder.widths: [[4, 8], [8, 8]]", "generator.backbone: [mlp, unet_small]", "one holds the other"),
        ("minimise: mse", "minimise: fid", "minimise"),
        ("minimise: mse", "minimize: mse", "did you mean 'minimise'"),
        ("recipe: quickstart-digits", "recipe: quickstrat", "did you mean"),
    ],
)
def test_what_cannot_start_is_refused_in_one_line(file: Path, old: str, new: str, said: str) -> None:
    assert old in SPACE
    head, sign, ranges = SPACE.partition("ranges:")
    file.write_text(SPACE.replace(old, new) if old in head else head + sign + ranges.replace(old, new))
    with pytest.raises(ConfigError) as refused:
        load_space(str(file))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_of_another_search_is_refused(
    space: Space, file: Path, data: Dataset, fabric: Fabric, tmp_path: Path
) -> None:
    run_search(space, data, tmp_path / "out", fabric, Budget(trials=0))
    with pytest.raises(ConfigError, match=r"holds another search \(seed was 0 and is now 1\)"):
        run_search(space, data, tmp_path / "out", fabric, Budget(trials=1), seed=1)
    file.write_text(SPACE.replace("high: 24", "high: 32"))
    with pytest.raises(ConfigError, match=r"holds another search.*choose another --out"):
        run_search(load_space(str(file)), data, tmp_path / "out", fabric, Budget(trials=1))


def test_the_command_tells_each_trial_and_what_to_do_next(arena_here: Arena, file: Path, tmp_path: Path) -> None:
    done = arena_here("search", file, "--trials", 1, "--out", tmp_path / "out", "--accelerator", "cpu")
    assert done.returncode == 0, done.stderr
    assert "trial 0 in " in done.stdout
    assert f"next: arena train {tmp_path / 'out' / 'best.yaml'}" in done.stdout
    assert "digits-generator" in arena_here("search").stdout


def test_without_optuna_the_extra_is_named(
    space: Space, data: Dataset, fabric: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"arena search needs optuna: pip install 'latentarena\[search\]'"):
        run_search(space, data, tmp_path / "out", fabric, Budget(trials=1))
    assert not (tmp_path / "out").exists()
