"""A model on a device and in a precision: the same pictures of a seed, clean refusals, cards that say where from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from command import TINY, Arena
from latentarena.arena.contest_files import load_contest
from latentarena.bundle import OWN, NativeBundle, native_of, open_bundle, placed
from latentarena.card.score_card import ScoreCard
from latentarena.compute import CPU, Compute, chosen_compute
from latentarena.contest.entries import entry_of, refusal
from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError, JudgeError
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.evaluate.verify import recompute
from latentarena.judge.classifier import Judge
from latentarena.model.latent_model import LatentModel, labels_for
from latentarena.model.placing import on_cpu, place
from latentarena.train.recipe import load_recipe
from score_cards import made_card

HALF = Compute("cpu", "bf16-mixed")
TOLD = [*TINY, "generator.conditional=true"]


def small(*overrides: str) -> LatentModel:
    recipe = load_recipe("quickstart-digits", list(overrides or TINY))
    return LatentModel(recipe.architecture((1, 28, 28), tuple("0123456789"))).eval().requires_grad_(False)


def test_precision_changes_products_and_neither_noise_nor_the_type_of_what_comes_out() -> None:
    plain, half = small(), place(small(), HALF)
    noise = plain.noise(8, 1)
    assert torch.equal(noise, half.noise(8, 1))
    one, other = plain.generate(noise), half.generate(noise)
    assert other.dtype == torch.float32
    assert half.encode(other).dtype == torch.float32
    assert 0 < (one - other).abs().max() < 0.02


def test_what_is_counted_is_counted_on_the_cpu_in_float32() -> None:
    plain, half = small(), place(small(), HALF)
    assert on_cpu(plain) is plain
    assert on_cpu(half).compute == CPU
    assert on_cpu(half).measured() == plain.measured()


@pytest.mark.parametrize("overrides", [TINY, TOLD, [*TINY, "sampling.solver=ddpm"]], ids=["plain", "told", "ddpm"])
def test_all_tensors_of_a_sampler_meet_on_the_device(overrides: list[str]) -> None:
    """The meta device refuses operators on tensors of two devices, and numbers read back, and is everywhere."""
    model = small(*overrides)
    noise, labels = model.noise(4, 0), labels_for(model, 4)
    how = model.architecture.sampling.but(steps=2)
    model.to("meta")
    told = None if labels is None else labels.to("meta")
    *_, last = model.walk(noise.to("meta"), told, how, model.times(how), lambda x: torch.randn(x.shape).to(x))
    assert last.device.type == "meta"
    assert last.shape == noise.shape


def test_choices_that_this_machine_does_not_have_are_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert chosen_compute("auto") == CPU
    for words, said in {
        ("cuda", "32-true"): "accelerator = cuda: PyTorch finds none on this machine; choose auto or cpu",
        ("tpu", "32-true"): "accelerator = 'tpu': choose from auto, cpu, cuda, mps",
        ("auto", "16-mixed"): "precision = 16-mixed: the CPU has no float16",
        ("cpu", "64"): "precision = '64': choose from 32-true, bf16-mixed, 16-mixed",
    }.items():
        with pytest.raises(ConfigError, match=said):
            chosen_compute(*words)


def test_auto_is_the_gpu_where_there_is_one_and_old_ones_have_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: False)
    assert chosen_compute("auto").name == "cuda (Tesla T4)"
    with pytest.raises(ConfigError, match="Tesla T4 has no bfloat16 arithmetic; choose 16-mixed or 32-true"):
        chosen_compute("auto", "bf16-mixed")


def test_a_card_says_where_it_comes_from_agrees_and_does_not_rank(
    tiny_bundle: NativeBundle, digits_judge: Judge
) -> None:
    panel = Panel(embedded_digits(), digits_judge)
    plain = judge_bundle(tiny_bundle, panel, 200, timed=False).card
    half = judge_bundle(halved(tiny_bundle), panel, 200, timed=False).card
    assert (plain.device, plain.arithmetic) == ("cpu", "32-true")
    assert (half.device, half.arithmetic) == ("cpu", "bf16-mixed")
    assert agree(plain, half) == []
    with pytest.raises(JudgeError, match="computed on cpu in bf16-mixed; judge the bundle on the CPU"):
        recompute(half, tiny_bundle)


def halved(bundle: NativeBundle, compute: Compute = HALF) -> NativeBundle:
    """The bundle opened anew, for it is moved in place."""
    return placed(native_of(open_bundle(bundle.place, trust=OWN)), compute.device, compute.precision)


def agree(one: ScoreCard, other: ScoreCard) -> list[str]:
    """The names of metrics of two cards that lie outside each other's intervals."""
    pairs = {name: (score, other.scores[name]) for name, score in one.scores.items()}
    slack = {name: 1e-3 * max(abs(a.value), 1e-3) for name, (a, _) in pairs.items()}  # exact figures have no interval
    return [n for n, (a, b) in pairs.items() if a.low > b.high + slack[n] or b.low > a.high + slack[n]]


def test_a_card_of_another_device_stands_on_no_board_and_old_cards_keep_their_fingerprints() -> None:
    card = made_card("a")
    moved = made_card("a", device="cuda (Tesla T4)", arithmetic="bf16-mixed")
    assert card.fingerprint != moved.fingerprint
    assert "computed on" not in refusal(entry_of(card, load_contest("open"), "1", "a"), load_contest("open"))
    assert "computed on cuda" in refusal(entry_of(moved, load_contest("open"), "1", "a"), load_contest("open"))


def test_commands_take_accelerator_and_precision(arena_here: Arena, tiny_run: Path, tmp_path: Path) -> None:
    bundle, out = tiny_run / "bundle", tmp_path / "x.npz"
    done = arena_here("sample", bundle, "-n", 4, "--accelerator", "cpu", "--precision", "bf16-mixed", "--out", out)
    assert done.returncode == 0, done.stderr
    for words in (
        ["sample"],
        ["judge"],
        ["check"],
        ["interpolate"],
        ["inpaint"],
        ["likelihood"],
        ["show", "latent"],
        ["edit", "--to", "3"],
    ):
        done = arena_here(*words, bundle, "--precision", "16-mixed", "--accelerator", "cpu")
        assert done.returncode != 0
        assert done.stderr.count("\n") == 1
        assert "precision = 16-mixed: the CPU has no float16" in done.stderr


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_cards_of_gpu_and_cpu_agree_within_their_intervals(
    tiny_bundle: NativeBundle, digits_judge: Judge, precision: str
) -> None:
    panel = Panel(embedded_digits(), digits_judge)
    cards = [
        judge_bundle(halved(tiny_bundle, compute), panel, 1000, timed=False).card
        for compute in (CPU, Compute("cuda", precision))
    ]
    assert agree(*cards) == []
