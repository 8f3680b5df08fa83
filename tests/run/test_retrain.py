"""Recipes trained anew: what a training costs, what it comes to, and what a forged card gains."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from command import TINY, Arena
from latentarena.arena.contest_files import load_contest
from latentarena.bundle import OWN, NativeBundle, native_of, open_bundle
from latentarena.card.certificate import Certificate, RepeatedTraining, read_certificate
from latentarena.card.score_card import ScoreCard, read_card
from latentarena.card.trainings import over_trainings, with_trainings
from latentarena.card.words import trainings_words
from latentarena.contest.contest import Contest
from latentarena.contest.entries import entry_of
from latentarena.contest.making import make_board
from latentarena.data.digits import embedded_digits
from latentarena.errors import BundleError, ConfigError
from latentarena.evaluate.held_out import held_out_losses
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.judge.classifier import Judge
from latentarena.key import Key
from latentarena.model.latent_model import LatentModel
from latentarena.run.agreement import COMPARED, disagreements, undecided
from latentarena.run.order import Order
from latentarena.run.pipeline import prepare, prepare_seeds, run, run_seeds
from latentarena.run.retrain import SAMPLES, main, recipe_of, retrain
from latentarena.run.training_cost import training_cost
from latentarena.train import shelter
from latentarena.train.loop import Tick
from latentarena.train.recipe import load_recipe
from latentarena.train.shelter import held
from score_cards import made_card

CLASSES = tuple("0123456789")
LONG = ["training.autoencoder.epochs=4", "training.generator.epochs=12"]
REAL = json.loads((Path(__file__).resolve().parents[2] / "benchmarks" / "agreement.json").read_text())
SMALL, BASE = (REAL["honest"]["mnist"][name] for name in ("fm-small", "fm-base"))


# what a training costs


def by_hand(model: LatentModel) -> tuple[int, int]:
    """Multiply-adds of one image through the autoencoder, and of one latent through the network, from their layers."""
    counts = [0, 0]

    def counting(which: int) -> None:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            weight = layer.weight
            if isinstance(layer, nn.ConvTranspose2d):
                counts[which] += inputs[0][0, 0].numel() * weight.numel()
            elif isinstance(layer, nn.Conv2d):
                counts[which] += output[0, 0].numel() * weight.numel()
            else:
                counts[which] += output[0].numel() * weight.shape[1]

        for part in (model.autoencoder, model.network)[which].modules():
            if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                part.register_forward_hook(hook)

    counting(0)
    counting(1)
    images = torch.rand(1, *model.architecture.shape)
    latents = model.autoencoder.encode(images).mean
    model.autoencoder.decode(latents)
    model.network(latents, torch.zeros(1), None)
    return counts[0], counts[1]


def test_a_training_costs_what_its_layers_do_three_times_for_each_example() -> None:
    recipe = load_recipe("quickstart-digits")
    cost = training_cost(recipe, (1, 8, 8), CLASSES, 1437)
    autoencoder, network = by_hand(LatentModel(recipe.architecture((1, 8, 8), CLASSES)))
    for stage, forward in (("autoencoder", autoencoder), ("generator", network)):
        config = recipe.training.stages()[stage]
        steps = config.steps(1437)
        assert cost[stage].total == pytest.approx(3 * forward * config.batch * steps, rel=0.02)
        assert cost[stage].after(steps // 2) == pytest.approx(cost[stage].total / 2, rel=0.02)
        assert cost[stage].after(0) == 0
    double = training_cost(recipe.scaled(2), (1, 8, 8), CLASSES, 1437)
    assert double["generator"].total == pytest.approx(2 * cost["generator"].total)


@pytest.mark.parametrize(
    ("recipe", "stages"),
    [
        ("digitdreamer", ["features", "autoencoder", "finetune", "generator"]),
        ("meanflow-latent", ["autoencoder", "generator"]),
        ("consistency-latent", ["autoencoder", "generator", "consistency"]),
        ("distilled-latent", ["autoencoder", "generator", "reflow1"]),
        ("onestep-latent", ["features", "autoencoder", "generator", "reflow1", "moments"]),
        ("classifier-guidance-latent", ["autoencoder", "generator", "classifier"]),
    ],
)
def test_every_kind_of_stage_is_counted(recipe: str, stages: list[str]) -> None:
    found = training_cost(load_recipe(recipe), (1, 28, 28), CLASSES, 60_000)
    assert list(found) == stages
    assert all(one.total > 0 for one in found.values())
    assert [name for name, one in found.items() if one.prepared] == [
        name for name in stages if name in ("reflow1", "moments")
    ]


# trained anew


@pytest.fixture(scope="module")
def order(tiny_bundle: NativeBundle, digits_judge: Judge) -> Order:
    return Order(tiny_bundle, embedded_digits(), digits_judge, seeds=2, quality=1e6)


@pytest.fixture(scope="module")
def again(order: Order, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Certificate]:
    folder = tmp_path_factory.mktemp("again")
    return folder, retrain(order, folder)


def test_an_honest_bundle_comes_out_bit_for_bit_and_is_certified(
    again: tuple[Path, Certificate], tiny_bundle: NativeBundle
) -> None:
    """Looking at the quality on the way changes nothing: the weights are those of a training without looks."""
    folder, made = again
    assert made.trainings[0].seed == tiny_bundle.card.provenance.recipe["seed"]
    assert made.trainings[0].weights == tiny_bundle.card.weights
    assert made.trainings[1].weights != tiny_bundle.card.weights
    assert (made.verdict, made.reasons) == ("agrees", ())
    assert made.figures["quality_macs"].value < made.figures["train_macs"].value  # reached at the first look
    assert {"mse", "frechet"} <= set(made.spread)
    assert set(made.declared) == set(COMPARED)
    assert read_certificate(folder / "certificate.json") == made


def never(ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
    raise AssertionError(stage)


def test_what_is_trained_is_not_trained_again_and_the_folder_is_for_one_order(
    again: tuple[Path, Certificate], order: Order
) -> None:
    folder, made = again

    assert retrain(order, folder, never) == made
    with pytest.raises(ConfigError, match="begun for another quality"):
        retrain(replace(order, quality=2.0), folder)
    with pytest.raises(BundleError, match="at most 1e\\+03 are trained anew"):
        retrain(replace(order, most=1e3), folder / "other")
    with held(folder), pytest.raises(ConfigError, match="in use by another run"):
        retrain(order, folder)


def test_a_training_that_was_interrupted_is_gone_on_with(
    order: Order, again: tuple[Path, Certificate], tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def cut(ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
        for tick in ticks:
            if stage == "generator" and tick.step > tick.steps // 2:
                raise Stopped
            yield tick

    assert again[1].drawn is not None
    order = replace(order, key=Key.parse(again[1].drawn))  # which is all that it takes to make a certificate anew
    with pytest.raises(Stopped):
        retrain(order, tmp_path / "cut", cut)
    assert (tmp_path / "cut" / "seed-0" / "probes.json").exists()
    assert not (tmp_path / "cut" / "certificate.json").exists()
    made = retrain(order, tmp_path / "cut")
    whole = again[1]
    assert [one.weights for one in made.trainings] == [one.weights for one in whole.trainings]
    assert [one.probes for one in made.trainings] == [one.probes for one in whole.trainings]
    assert made.declared == whole.declared
    clocks = {"train_seconds", "converge_seconds"}
    for one, other in zip(made.trainings, whole.trainings, strict=True):
        assert {**one.figures, **dict.fromkeys(clocks, 0)} == {**other.figures, **dict.fromkeys(clocks, 0)}


def test_a_training_whose_folder_vanishes_goes_on_in_the_cache(
    order: Order, again: tuple[Path, Certificate], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelter, "PAUSES", (0.0,))
    assert again[1].drawn is not None
    first, home, away = again[1].trainings[0], tmp_path / "home", tmp_path / "away"

    def taken(ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
        for tick in ticks:
            if stage == "generator" and tick.step == tick.steps // 2 and not away.exists():
                home.rename(away)
            yield tick

    made = retrain(replace(order, key=Key.parse(again[1].drawn)), home, taken)
    assert [one.weights for one in made.trainings] == [one.weights for one in again[1].trainings]
    assert made.trainings[0].probes == first.probes
    kept = shelter.refuge_of(home)
    assert json.loads((kept / f"seed-{first.seed}" / "training.json").read_text())["weights"] == first.weights
    assert not home.exists()  # no later training makes half of it anew
    again_there = retrain(replace(order, key=Key.parse(again[1].drawn)), home, never)
    assert (again_there, kept.exists()) == (made, False)
    assert all((home / name).exists() for name in ("order.json", "declared.json", "certificate.json"))


def test_seeds_and_noise_follow_from_a_key_that_the_bundle_s_maker_does_not_know(
    order: Order, again: tuple[Path, Certificate]
) -> None:
    made = again[1]
    assert made.drawn is not None
    key = Key.parse(made.drawn)
    own, other = (one.seed for one in made.trainings)
    assert (made.key, other) == (key.name, key.seed(order.bundle.digest, "training", 1))
    assert other != own + 1
    with pytest.raises(ConfigError, match="begun for another key"):
        retrain(replace(order, key=Key.new()), again[0])


def forged(bundle: Path, out: Path, **changes: object) -> NativeBundle:
    """The bundle with other words about its training."""
    shutil.copytree(bundle, out)
    card = json.loads((out / "card.json").read_text())
    card["provenance"] |= changes
    (out / "card.json").write_text(json.dumps(card))
    return native_of(open_bundle(out, trust=OWN))


def trained(weights: str, **figures: float) -> RepeatedTraining:
    probe = {"macs": 1.0, "frechet": 1.0}
    raw = {"seed": 0, "weights": weights * 64, "probes": [probe], "figures": figures, "losses": {"generator": 1.0}}
    return RepeatedTraining.model_validate(raw)


def told(bundle: NativeBundle, rows: list[list[float]]) -> list[str]:
    """The figures in which the last row, a bundle, disagrees with the others, trainings of the recipe on its card."""
    names = REAL["figures"]
    anew = [trained("abcde"[n], **dict(zip(names, row, strict=True))) for n, row in enumerate(rows[:-1])]
    card = bundle.card.model_copy(update={"weights": "f" * 64})
    declared = made_card("m", **dict(zip(names, rows[-1], strict=True)))
    assert list(undecided(card, declared, anew)) == []
    return [line.split(" =")[0] for line in disagreements(card, declared, anew)]


@pytest.mark.parametrize(
    ("weights", "mse", "frechet", "found"),
    [
        ("d", 0.0104, 2.1, []),  # another seed might have given it
        ("d", 0.0200, 2.1, ["mse"]),
        ("d", 0.0050, 2.1, ["mse"]),
        ("d", 0.0104, 0.3, ["frechet"]),
        ("d", 0.0104, 3.4, ["frechet"]),
        ("a", 0.0200, 0.3, []),  # bit for bit what the recipe gives: another machine may have judged it
    ],
)
def test_a_bundle_that_its_recipe_does_not_make_is_found_out(
    weights: str, mse: float, frechet: float, found: list[str], tiny_bundle: NativeBundle
) -> None:
    pairs = [("a", 0.0100, 2.0), ("b", 0.0103, 2.2), ("c", 0.0106, 2.1)]
    anew = [trained(which, mse=one, frechet=other) for which, one, other in pairs]
    card = tiny_bundle.card.model_copy(update={"weights": weights * 64})
    said = list(disagreements(card, made_card("m", mse=mse, frechet=frechet), anew))
    assert [line.split(" =")[0] for line in said] == found
    assert all("but its recipe gives" in line for line in said)


@pytest.mark.parametrize("epochs", [20, 40, 80, 120])
def test_a_longer_training_does_not_pass_for_a_shorter_one(epochs: int, tiny_bundle: NativeBundle) -> None:
    """The digits' quickstart with all 250 epochs of its generator, under recipes that ask for fewer: real figures."""
    recipe = f"quickstart-digits, {epochs} epochs"
    found = told(tiny_bundle, [*REAL["honest"]["digits"][recipe], REAL["impostors"][recipe]])
    assert "precision" in found
    assert ("frechet" in found) == (epochs <= 80)


def test_a_larger_network_does_not_pass_for_a_smaller_one_and_another_seed_does(tiny_bundle: NativeBundle) -> None:
    """Five trainings each of two networks on MNIST, judged on 10,000 samples: real figures."""
    for three in itertools.combinations(range(5), 3):
        small = [SMALL[seed] for seed in three]
        assert all("frechet" in told(tiny_bundle, [*small, bundle]) for bundle in BASE)
        for recipe in (SMALL, BASE):
            others = [row for seed, row in enumerate(recipe) if seed not in three]
            assert [told(tiny_bundle, [*(recipe[seed] for seed in three), bundle]) for bundle in others] == [[], []]


def test_a_recipe_whose_trainings_differ_widely_certifies_nothing(tiny_bundle: NativeBundle) -> None:
    """Else an unfinished training would take any bundle for its own."""
    anew = [trained("a", frechet=3.0), trained("b", frechet=1.2), trained("c", frechet=0.8)]
    declared = made_card("m", frechet=1.4)
    assert list(disagreements(tiny_bundle.card, declared, anew)) == []
    (line,) = undecided(tiny_bundle.card, declared, anew)
    assert "differ too widely in frechet (0.8 to 3)" in line
    same = tiny_bundle.card.model_copy(update={"weights": "b" * 64})
    assert list(undecided(same, declared, anew)) == []


def test_words_that_the_recipe_does_not_bear_out_are_said(
    order: Order, again: tuple[Path, Certificate], tiny_run: Path, tmp_path: Path
) -> None:
    curves = {"autoencoder": {"steps": [1], "seconds": [0.01], "losses": [0.5]}}
    liar = forged(
        tiny_run / "bundle",
        tmp_path / "liar",
        seconds={},
        losses={"autoencoder": 90.0, "generator": 0.1},
        curves=curves,
    )
    folder = tmp_path / "again"
    shutil.copytree(again[0], folder)
    begun = json.loads((folder / "order.json").read_text()) | {"bundle": liar.digest}
    (folder / "order.json").write_text(json.dumps(begun))
    made = retrain(replace(order, bundle=liar), folder)
    assert made.agrees  # the model is what its recipe makes; only its words are not
    said = " ".join(made.reasons)
    assert "final loss of 90 for autoencoder" in said
    assert "0 seconds and 1 steps" in said


def test_a_recipe_of_another_architecture_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    recipe = json.loads((tiny_run / "bundle" / "card.json").read_text())["provenance"]["recipe"]
    recipe["generator"]["backbone"]["width"] = 8
    with pytest.raises(BundleError, match="makes another architecture"):
        recipe_of(forged(tiny_run / "bundle", tmp_path / "other", recipe=recipe).card)
    with pytest.raises(BundleError, match="cannot be trained anew"):
        recipe_of(forged(tiny_run / "bundle", tmp_path / "none", recipe={"data": {"name": "digits"}}).card)


def test_the_worker_s_program_leaves_a_refusal_where_nothing_can_be_certified(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentarena.run.retrain.limit_memory", lambda memory: None)  # it would hold for all tests
    forged(tiny_run / "bundle", tmp_path / "none", recipe={"data": {"name": "digits"}})
    options = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    assert main([str(tmp_path / "none"), *options]) == 0
    said = json.loads((tmp_path / "out" / "refusal.json").read_text())
    assert (said["state"], "cannot be trained anew" in said["sentence"]) == ("refused", True)
    assert main([str(tiny_run / "bundle"), *options, "--dataset", "mnist"]) == 0
    assert "is a model of digits, not of mnist" in (tmp_path / "out" / "refusal.json").read_text()


@pytest.mark.parametrize("command", ["retrain", "verify", "the worker's program"])
def test_no_folder_is_opened_that_a_card_alone_names(
    command: str, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arena_here: Arena
) -> None:
    recipe = json.loads((tiny_run / "bundle" / "card.json").read_text())["provenance"]["recipe"]
    bundle, named = tmp_path / "theirs", tmp_path / "named"
    forged(tiny_run / "bundle", bundle, recipe=recipe | {"data": {"name": "folder:/etc"}})
    opened: list[str] = []
    monkeypatch.setattr("latentarena.evaluate.scoring.load_dataset", lambda data, *root: opened.append(data.name))
    monkeypatch.setattr("latentarena.run.retrain.limit_memory", lambda memory: None)
    out = tmp_path / "out"
    if command == "the worker's program":
        assert main([str(bundle), "--out", str(out), "--work", str(tmp_path / "work")]) == 0
        said = json.loads((out / "refusal.json").read_text())["sentence"]
    else:
        card = tmp_path / "card.json"
        card.write_text(made_card("m").model_dump_json())
        given = [bundle, "--out", out] if command == "retrain" else [card, bundle]
        done = arena_here(command, *given)
        assert done.returncode == 1
        said = " ".join(done.stderr.split())
        with suppress(AttributeError):  # there are no images in what stands for the folder that was named
            arena_here("retrain", bundle, "--out", out, "--data", named)
        assert opened.pop() == f"folder:{named}"
    assert "is a model of folder:/etc; name that folder with --data" in said
    assert opened == []


def test_training_is_certified_by_the_contest_s_key(
    order: Order, again: tuple[Path, Certificate], tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a bundle could be fitted to the noise by which it is compared with its recipe."""
    secret = Key(b"k" * 32)
    with pytest.raises(ConfigError, match="begun for another key"):
        retrain(replace(order, key=secret), again[0])
    monkeypatch.setattr("latentarena.run.retrain.limit_memory", lambda memory: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(secret.text + "\n"))
    options = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work"), "--seeds", "2", "--keyed"]
    assert main([str(tiny_run / "bundle"), *options]) == 0
    made = read_certificate(tmp_path / "out" / "certificate.json")
    assert (made.key, made.drawn, made.verdict) == (secret.name, None, "agrees")
    assert made.trainings[1].seed == secret.seed(order.bundle.digest, "training", 1)
    assert made.trainings[0].weights == again[1].trainings[0].weights
    assert made.trainings[0].probes[-1].frechet != again[1].trainings[0].probes[-1].frechet
    assert made.declared["frechet"] != again[1].declared["frechet"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret.text.encode() in path.read_bytes()]


# the category of training


@pytest.fixture(scope="module")
def two(
    tmp_path_factory: pytest.TempPathFactory, digits_judge: Judge
) -> dict[str, tuple[NativeBundle, ScoreCard, Certificate]]:
    """One recipe trained whole, and for 8 % of its epochs: cards and certificates."""
    home, fabric, found = tmp_path_factory.mktemp("two"), Fabric(accelerator="cpu", devices=1), {}
    for name, budget in (("whole", 1.0), ("eight", 0.08)):
        prepared = prepare("quickstart-digits", [*TINY, *LONG], home / name, budget=budget)
        assert run(prepared, fabric, samples=None) is not None
        bundle = native_of(open_bundle(home / name / "bundle", trust=OWN))
        panel = Panel(embedded_digits(), digits_judge)
        found[name] = (bundle, judge_bundle(bundle, panel, SAMPLES, timed=False).card)  # as many as for a certificate
    whole, eight = (card.scores["frechet"].value for _, card in found.values())
    middle = 0.25 * whole + 0.75 * eight  # every seed of the whole recipe comes below, the other's own seed does not
    return {
        name: (bundle, card, retrain(Order(bundle, embedded_digits(), digits_judge, 2, middle), home / f"{name}-again"))
        for name, (bundle, card) in found.items()
    }


def rules(quality: float) -> Contest:
    raw = load_contest("open").model_dump(mode="json")
    latent = {"smallest": 3, "largest": 49}
    changes = {"dataset": "digits", "thresholds": [], "latent": latent, "certify": {"quality": quality}}
    return Contest.model_validate(raw | changes)


def test_training_less_is_not_rewarded(two: dict[str, tuple[NativeBundle, ScoreCard, Certificate]]) -> None:
    """8 % of the epochs do not reach the quality that is the same for all: no figure, no points, the last rank."""
    contest = rules(two["whole"][2].quality)
    board = make_board(
        [entry_of(card, contest, name, name, verified=True, certificate=made) for name, (_, card, made) in two.items()],
        contest,
    )
    lines = {line.team: line for line in board.lines}
    assert two["eight"][2].agrees
    assert two["whole"][2].agrees
    assert "quality_macs" not in two["eight"][2].figures
    assert lines["eight"].cells["quality_macs"].text == "–"
    assert (lines["whole"].categories["training"], lines["eight"].categories["training"]) == (1, 2)
    assert lines["whole"].points["training"] > lines["eight"].points.get("training", 0.0) == 0
    assert lines["whole"].cells["held_out_loss"].rank == 1


def judged(bundle: NativeBundle, judge: Judge) -> ScoreCard:
    return judge_bundle(bundle, Panel(embedded_digits(), judge), samples=200, timed=False).card


@pytest.fixture(scope="module")
def honest(tiny_bundle: NativeBundle, digits_judge: Judge) -> ScoreCard:
    return judged(tiny_bundle, digits_judge)


@pytest.mark.parametrize("kind", ["tiny", "honestlooking", "empty"])
def test_falsified_words_about_training_gain_no_place_and_no_point(
    kind: str, honest: ScoreCard, tiny_run: Path, tmp_path: Path, digits_judge: Judge
) -> None:
    was = native_of(open_bundle(tiny_run / "bundle", trust=OWN)).card.provenance
    last = {stage: curve.losses[-1] for stage, curve in was.curves.items()}
    changes: dict[str, dict[str, object]] = {
        "tiny": {
            "seconds": {"autoencoder": 0.05, "generator": 0.05},
            "curves": {name: {"steps": [1], "seconds": [0.01], "losses": [loss]} for name, loss in last.items()},
        },
        "honestlooking": {"seconds": {name: round(0.35 * one, 3) for name, one in was.seconds.items()}},
        "empty": {"seconds": {}, "curves": {}},
    }
    fake = forged(tiny_run / "bundle", tmp_path / kind, **changes[kind])
    contest, cards = rules(1.0), {"honest": honest, "forged": judged(fake, digits_judge)}
    entries = [entry_of(card, contest, name, name, verified=True) for name, card in cards.items()]
    lines = {line.team: line for line in make_board(entries, contest).lines}
    for line in lines.values():  # other figures differ: what the judge asks follows from the bundle's hash
        assert line.categories["training"] == 1
        assert "training" not in line.points
        assert [line.cells[one].rank for one in ("quality_macs", "held_out_loss")] == [None, None]
    assert {"train_seconds", "converge_steps"} & set(entries[1].facts) == set()


# seeds of training


def test_several_seeds_give_the_card_an_interval_over_trainings(tmp_path: Path, digits_judge: Judge) -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    several = prepare_seeds(2, "quickstart-digits", [*TINY, "seed=7"], tmp_path / "runs")
    done = run_seeds(several, fabric, samples=200)
    assert done is not None
    cards = [read_card(tmp_path / "runs" / f"seed-{seed}" / "score.json") for seed in (7, 8)]
    made = cards[0].trainings
    assert made is not None
    assert (made.n, made.seeds) == (2, (7, 8))
    values = [card.scores["mse"].value for card in cards]
    assert made.metrics["mse"] == over_trainings(values)
    assert cards[1].trainings is None
    page = (tmp_path / "runs" / "seed-7" / "report.html").read_text()
    assert "Over 2 trainings" in page
    assert "over 2 trainings" in page
    assert "arena train RECIPE --seeds 3 measures it" in (tmp_path / "runs" / "seed-8" / "report.html").read_text()
    assert cards[0].fingerprint == cards[0].model_copy(update={"trainings": None}).fingerprint


def test_the_interval_over_trainings_is_student_s() -> None:
    from scipy import stats

    values = [0.3, 0.5, 0.55, 0.2]
    found = over_trainings(values)
    low, high = stats.t.interval(0.95, 3, loc=found.value, scale=stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_an_interval_over_trainings_shows_no_value_that_cannot_be() -> None:
    cards = {seed: made_card("mine", coverage=value) for seed, value in enumerate((0.0, 0.0, 0.003))}
    card = with_trainings(cards[0], 0, {seed: one for seed, one in cards.items() if seed})
    assert card.trainings is not None
    assert card.trainings.metrics["coverage"].low < 0
    assert "coverage 0.0010 [0.0000, 0.0053]" in trainings_words(card)


def test_held_out_losses_are_those_of_the_training_on_other_images(tiny_bundle: NativeBundle) -> None:
    data, recipe = embedded_digits(), tiny_bundle.card.provenance.recipe
    found = held_out_losses(tiny_bundle.model, recipe, data.test)
    assert found == held_out_losses(tiny_bundle.model, recipe, data.test)
    losses = tiny_bundle.card.provenance.losses
    assert found["held_out_flow_loss"].value == pytest.approx(losses["generator"], rel=0.3)
    again = tiny_bundle.model.decode(tiny_bundle.model.encode(data.test.batch(slice(None))))
    plain = float((again - data.test.batch(slice(None))).square().mean())
    assert found["held_out_loss"].value >= plain * 0.99  # from draws of the posterior, not from its mean
    assert set(held_out_losses(tiny_bundle.model, {}, data.test)) == {"held_out_loss"}


def test_the_command_line_trains_anew_and_says_so_in_words(
    arena_here: Arena, tiny_run: Path, again: tuple[Path, Certificate]
) -> None:
    said = arena_here("retrain", tiny_run / "bundle", "--seeds", "2", "--quality", "1000000", "--out", again[0])
    assert said.returncode == 0
    assert f"trained anew 2 times, with the seeds 0, {again[1].trainings[1].seed}" in said.stdout
    assert "the bundle agrees with its recipe" in said.stdout
