"""The training loop: schedule, order, randomness, averaging, clipping, resuming, and how it stops."""

from __future__ import annotations

import math
import signal
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from latentarena.errors import ConfigError, Interrupted, TrainingError
from latentarena.randomness import Draws, stream
from latentarena.system import STOPPING
from latentarena.train.checkpoint import Checkpoint, Checkpoints
from latentarena.train.loop import FitConfig, Objective, Tick, fit, rate
from regression import BATCH, CONFIG, KEY, SIZE, STEPS, Regression, advance


def train(objective: Objective, fabric: Fabric, folder: Path, config: FitConfig = CONFIG, key=KEY) -> list[Tick]:
    return list(fit(objective, config, fabric, folder, key))


def gradient(objective: Objective) -> Tensor:
    return torch.cat([p.grad.flatten() for p in objective.parameters()])


@pytest.mark.parametrize("steps", [2, 10, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5])
def test_rate_rises_in_warmup_and_falls_to_zero(steps: int, warmup: float) -> None:
    rates = [rate(step, steps, 0.3, warmup) for step in range(steps + 1)]
    warm = math.ceil(warmup * steps)
    assert all(0 < r <= 0.3 for r in rates[:-1])
    assert rates[:warm] == sorted(rates[:warm])
    assert rates[warm:] == sorted(rates[warm:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-15)


def test_last_rate_is_all_but_zero_and_the_peak_is_the_given_one() -> None:
    rates = [rate(step, 1000, 0.3, 0.1) for step in range(1000)]
    assert rates[-1] < 1e-5 * 0.3
    assert max(rates) == 0.3


def test_optimizer_uses_the_schedule(fabric: Fabric, tmp_path: Path) -> None:
    ticks = train(Regression(), fabric, tmp_path)
    expected = [rate(step, STEPS, CONFIG.lr, CONFIG.warmup) for step in range(STEPS)]
    assert [tick.metrics["lr"] for tick in ticks[1:]] == expected


@pytest.mark.parametrize(
    ("size", "epochs", "steps"), [(48, 4, 24), (50, 4, 24), (48, 0.5, 3), (3, 2, 2), (48, 1e-3, 1)]
)
def test_number_of_steps(size: int, epochs: float, steps: int) -> None:
    assert FitConfig(epochs=epochs, batch=BATCH).steps(size) == steps


def test_ticks_count_every_step_and_sample(fabric: Fabric, tmp_path: Path) -> None:
    ticks = train(Regression(), fabric, tmp_path)
    assert [tick.step for tick in ticks] == list(range(STEPS + 1))
    assert [tick.samples for tick in ticks] == [BATCH * step for step in range(STEPS + 1)]


def test_every_epoch_is_another_permutation(fabric: Fabric, tmp_path: Path) -> None:
    objective = Regression()
    train(objective, fabric, tmp_path)
    per_epoch = SIZE // BATCH
    index = torch.cat([index for index, _ in objective.seen]).reshape(-1, per_epoch * BATCH)
    assert len(index) == CONFIG.epochs
    for epoch in index:
        assert sorted(epoch.tolist()) == list(range(SIZE))
    assert len({tuple(epoch.tolist()) for epoch in index}) == len(index)


def test_step_randomness_depends_on_seed_stage_and_step_only(fabric: Fabric, tmp_path: Path, often: None) -> None:
    whole, resumed = Regression(), Regression(init=5)
    train(whole, fabric, tmp_path / "whole")
    other = CONFIG.model_copy(update={"lr": 0.5, "clip": 0.0})
    advance(fit(Regression(init=5), other, fabric, tmp_path / "resumed", KEY), 10)
    torch.manual_seed(3)
    train(resumed, fabric, tmp_path / "resumed", other)
    assert len(resumed.seen) == STEPS - 10
    for (index, noise), (index_again, noise_again) in zip(whole.seen[10:], resumed.seen, strict=True):
        assert torch.equal(index, index_again)
        assert torch.equal(noise, noise_again)


@pytest.mark.parametrize("key", [(8, "stage"), (7, "other")])
def test_another_seed_or_stage_is_another_run(fabric: Fabric, tmp_path: Path, key: tuple[int, str]) -> None:
    one, two = Regression(), Regression()
    train(one, fabric, tmp_path / "one")
    train(two, fabric, tmp_path / "two", key=key)
    assert not torch.equal(one.seen[0][0], two.seen[0][0])
    assert not torch.equal(one.seen[0][1], two.seen[0][1])


def test_no_two_steps_share_noise(fabric: Fabric, tmp_path: Path) -> None:
    objective = Regression()
    train(objective, fabric, tmp_path)
    assert len({tuple(noise.flatten().tolist()) for _, noise in objective.seen}) == STEPS


def test_global_generator_is_untouched(fabric: Fabric, tmp_path: Path) -> None:
    objective, before = Regression(), torch.get_rng_state()
    train(objective, fabric, tmp_path)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("stops", [(1,), (STEPS - 1,), (3, 4, 17)])
def test_interrupted_and_resumed_is_the_uninterrupted_run(
    fabric: Fabric, tmp_path: Path, often: None, stops: tuple[int, ...]
) -> None:
    whole, resumed = Regression(), Regression(init=99)
    train(whole, fabric, tmp_path / "whole")
    advance(fit(Regression(), CONFIG, fabric, tmp_path / "parts", KEY), stops[0])
    for stop in stops[1:]:
        advance(fit(Regression(init=98), CONFIG, fabric, tmp_path / "parts", KEY), stop)
    ticks = train(resumed, fabric, tmp_path / "parts")
    assert [tick.step for tick in ticks] == list(range(stops[-1], STEPS + 1))
    ends = [Checkpoints(tmp_path / name, KEY[1]).latest() for name in ("whole", "parts")]
    assert ends[0].tensors.keys() == ends[1].tensors.keys()
    assert {name.split(".")[0] for name in ends[0].tensors} == {"model", "average", "optimizer"}
    for name, tensor in ends[0].tensors.items():
        assert torch.equal(tensor, ends[1].tensors[name]), name
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_resuming_a_finished_run_takes_no_step_and_gives_its_weights(fabric: Fabric, tmp_path: Path) -> None:
    first, again = Regression(), Regression(init=99)
    train(first, fabric, tmp_path)
    assert [tick.step for tick in train(again, fabric, tmp_path)] == [STEPS]
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_seconds_go_on_counting_after_a_resume(fabric: Fabric, tmp_path: Path, often: None) -> None:
    advance(fit(Regression(), CONFIG, fabric, tmp_path, KEY), 5)
    saved = Checkpoints(tmp_path, KEY[1]).latest().facts["seconds"]
    seconds = [tick.seconds for tick in train(Regression(), fabric, tmp_path)]
    assert seconds[0] == saved > 0
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("ema", [0.5, 0.9, 0.999])
def test_kept_weights_are_those_of_torchs_averaged_model(fabric: Fabric, tmp_path: Path, ema: float) -> None:
    """The decay is that of the config, but never longer than the (1 + step) / (10 + step) of a young average."""

    def lerp(average: Tensor, current: Tensor, number: Tensor) -> Tensor:
        step = number - 1
        decay = torch.minimum(torch.tensor(ema), (1 + step) / (10 + step))
        return decay * average + (1 - decay) * current

    objective = Regression()
    reference = AveragedModel(objective.network, avg_fn=lerp)
    config = CONFIG.model_copy(update={"ema": ema})
    for _ in fit(objective, config, fabric, tmp_path, KEY):
        reference.update_parameters(objective.network)  # the first of these copies the initial weights
        live = [p.detach().clone() for p in objective.parameters()]
    for kept, expected, last in zip(objective.network.parameters(), reference.module.parameters(), live, strict=True):
        torch.testing.assert_close(kept, expected, rtol=1e-5, atol=1e-6)
        assert not torch.equal(kept, last)


def test_without_averaging_the_last_weights_are_kept(fabric: Fabric, tmp_path: Path) -> None:
    objective = Regression()
    for _ in fit(objective, CONFIG.model_copy(update={"ema": 0.0}), fabric, tmp_path, KEY):
        live = [p.detach().clone() for p in objective.parameters()]
    for kept, last in zip(objective.parameters(), live, strict=True):
        assert torch.equal(kept, last)


def test_clipping_shortens_the_gradient_and_keeps_its_direction(fabric: Fabric, tmp_path: Path) -> None:
    free, clipped = Regression(), Regression()
    limit = 0.01
    advance(fit(free, CONFIG.model_copy(update={"clip": 0.0}), fabric, tmp_path / "free", KEY), 0)
    advance(fit(clipped, CONFIG.model_copy(update={"clip": limit}), fabric, tmp_path / "clipped", KEY), 0)
    assert gradient(free).norm() > 10 * limit
    torch.testing.assert_close(gradient(clipped), gradient(free) * limit / gradient(free).norm(), rtol=1e-3, atol=0)


def test_a_gradient_within_the_limit_is_left_alone(fabric: Fabric, tmp_path: Path) -> None:
    free, clipped = Regression(), Regression()
    advance(fit(free, CONFIG.model_copy(update={"clip": 0.0}), fabric, tmp_path / "free", KEY), 3)
    advance(fit(clipped, CONFIG.model_copy(update={"clip": 1e6}), fabric, tmp_path / "clipped", KEY), 3)
    assert torch.equal(gradient(free), gradient(clipped))


def test_frozen_parameters_stay_as_they_are(fabric: Fabric, tmp_path: Path) -> None:
    objective = Regression()
    objective.network[0].requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in objective.state_dict().items()}
    train(objective, fabric, tmp_path)
    unchanged = {name for name, tensor in objective.state_dict().items() if torch.equal(tensor, before[name])}
    assert unchanged == {"network.0.weight", "network.0.bias"}


class Pair(Fabric):
    """A process that believes in a second one."""

    world_size = 2  # type: ignore[assignment]


def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"batch": 7})
    with pytest.raises(ConfigError, match=r"batch = 7 does not divide among 2 processes"):
        next(fit(Regression(), config, Pair(accelerator="cpu", devices=1), tmp_path, KEY))


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("step", [0, 6])
def test_a_step_that_is_not_finite_stops_with_the_last_good_state_kept(
    fabric: Fabric, tmp_path: Path, often: None, what: str, step: int
) -> None:
    with pytest.raises(TrainingError, match=r"stage: .* not finite near step") as refusal:
        train(Regression(spoil=(what, step)), fabric, tmp_path)
    assert f"step {step}) is kept in {tmp_path}" in str(refusal.value)
    kept = Checkpoints(tmp_path, KEY[1]).latest()
    assert (kept.step if kept else 0) == step
    for name, tensor in kept.tensors.items() if kept else ():
        assert tensor.isfinite().all(), name


def test_after_a_bad_step_training_goes_on_from_the_good_state(fabric: Fabric, tmp_path: Path, often: None) -> None:
    whole, resumed = Regression(), Regression()
    train(whole, fabric, tmp_path / "whole")
    with pytest.raises(TrainingError):
        train(Regression(spoil=("loss", 6)), fabric, tmp_path / "parts")
    train(resumed, fabric, tmp_path / "parts")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


@pytest.mark.parametrize("number", STOPPING, ids=lambda number: number.name)
def test_a_signal_to_stop_saves_at_once_and_gives_the_handler_back(
    fabric: Fabric, tmp_path: Path, number: signal.Signals
) -> None:
    handler = signal.getsignal(number)
    ticks = fit(Regression(), CONFIG, fabric, tmp_path, KEY)
    for tick in ticks:
        if tick.step == 4:
            signal.raise_signal(number)
            break
    with pytest.raises(Interrupted, match=rf"stopped at step 4 of {STEPS}, saved; the same command goes on") as stop:
        next(ticks)
    assert stop.value.exit_code == 128 + number
    assert signal.getsignal(number) is handler
    assert Checkpoints(tmp_path, KEY[1]).latest().step == 4


def test_what_is_ignored_stays_ignored(fabric: Fabric, tmp_path: Path) -> None:
    """As `nohup` does with the signal of a terminal that closes."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        for tick in fit(Regression(), CONFIG, fabric, tmp_path, KEY):
            if tick.step == 4:
                signal.raise_signal(signal.SIGTERM)
        assert tick.step == STEPS
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_at_the_very_end_is_heard(fabric: Fabric, tmp_path: Path) -> None:
    ticks = fit(Regression(), CONFIG, fabric, tmp_path, KEY)
    for tick in ticks:
        if tick.step == STEPS:
            signal.raise_signal(signal.SIGINT)
            break
    with pytest.raises(Interrupted):
        next(ticks)
    assert Checkpoints(tmp_path, KEY[1]).latest().step == STEPS


def test_a_signal_while_the_last_step_is_saved_is_not_lost(
    fabric: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks for signals any more then: it arrives again once the stage is over, and stops what comes after."""

    def save(checkpoints: Checkpoints, checkpoint: Checkpoint) -> None:
        original(checkpoints, checkpoint)
        signal.raise_signal(signal.SIGINT)

    original = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", save)
    with pytest.raises(KeyboardInterrupt):
        list(fit(Regression(), CONFIG, fabric, tmp_path, KEY))
    assert Checkpoints(tmp_path, KEY[1]).latest().step == STEPS


def test_no_checkpoint_is_ahead_of_what_was_yielded(fabric: Fabric, tmp_path: Path, often: None) -> None:
    for tick in fit(Regression(), CONFIG, fabric, tmp_path, KEY):
        kept = Checkpoints(tmp_path, KEY[1]).latest()
        assert (kept.step if kept else 0) == max(0, tick.step - 1)


def test_a_second_ctrl_c_is_pythons_own(fabric: Fabric, tmp_path: Path) -> None:
    ticks = fit(Regression(), CONFIG, fabric, tmp_path, KEY)
    next(ticks)
    next(ticks)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    ticks.close()


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_rows_of_all_processes_are_the_rows_of_one(world: int, kind: str) -> None:
    def draw(rank: int, of: int) -> list[Tensor]:
        draws = Draws(stream(3, "draws"), rank, of)
        rows = draws.mine(torch.arange(6))
        return [rows, getattr(draws, kind)(len(rows), 2, 5), getattr(draws, kind)(len(rows))]

    shares = [draw(rank, world) for rank in range(world)]
    for parts, whole in zip(zip(*shares, strict=True), draw(0, 1), strict=True):
        assert torch.equal(torch.cat(parts), whole)


def test_streams_are_functions_of_their_key() -> None:
    def numbers(*key: int | str) -> tuple[float, ...]:
        return tuple(torch.rand(4, generator=stream(*key)).tolist())

    assert numbers(1, "a", 2) == numbers(1, "a", 2)
    keys = [(1, "a", 2), (1, "a", 3), (2, "a", 1), (1, "b", 2), (1, "a"), ("1", "a", 2), (1, "a2"), (12, "a")]
    assert len({numbers(*key) for key in keys}) == len(keys)
