"""Guides, losses and metrics of users' own: named in recipes, trained with, on the card as what counts for nothing."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import latentarena as la
from command import Arena
from latentarena.arena.contest_files import load_contest
from latentarena.card.own import own_metrics
from latentarena.card.score_card import read_card
from latentarena.contest.entries import entry_of
from latentarena.contest.making import make_board
from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError, JudgeError
from latentarena.judge.classifier import Judge
from latentarena.judge.score import score_images
from latentarena.parts import foreign_in, load_parts
from latentarena.train.fabric import make_fabric
from latentarena.train.recipe import load_recipe, trained_with
from latentarena.train.reuse import Reuse
from own_parts import restored

OWN = '''
from typing import ClassVar, Literal

import torch

from latentarena.config import Config
from latentarena.judge.metrics import OWN_METRICS, OwnMetric, mean_of
from latentarena.process import LOSSES, Estimate
from latentarena.sample import GUIDES
from latentarena.train.error import ERRORS


@GUIDES.register("kept")
class KeptConfig(Config):
    """Keeps the data estimate within so many standard deviations."""

    kind: Literal["kept"] = "kept"
    most: float = 2.0

    def build(self, model):
        def guide(denoise):
            def kept(x, t, labels):
                at, data = model.path.at(t, x), denoise(x, t, labels).data.clamp(-self.most, self.most)
                return Estimate(data, (x - at.alpha * data) / at.sigma.clamp(min=1e-3))
            return kept
        return guide


@LOSSES.register("contrastive")
class ContrastiveConfig(Config):
    """Contrastive flow matching (Stoica et al., 2025)."""

    kind: Literal["contrastive"] = "contrastive"
    weight: float = 0.05

    def build(self):
        def loss(network, lesson):
            out = network(lesson.x, lesson.t, lesson.labels)
            near, far = (out - lesson.answer).square(), (out - lesson.answer.roll(1, 0)).square()
            return (near - self.weight * far).mean()
        return loss


@ERRORS.register("cubic")
class CubicConfig(Config):
    kind: Literal["cubic"] = "cubic"

    def build(self):
        return lambda again, images: (again - images).abs().pow(3).mean()


@OWN_METRICS.register("ink")
class Ink(OwnMetric):
    kind: Literal["ink"] = "ink"
    title: ClassVar[str] = "ink (share of pixels)"
    what: ClassVar[str] = "pixels above a threshold"
    threshold: float = 0.5

    def of_samples(self, samples):
        return mean_of((samples.images > self.threshold).double().flatten(1).mean(1))
'''
RECIPE = """
parts: [own.py]
metrics: [{kind: ink, threshold: 0.4}]
data: {name: digits}
autoencoder: {kind: conv, latent: [6], widths: [4, 8]}
generator: {backbone: {kind: mlp, width: 16, depth: 1}}
sampling: {steps: 2, guide: {kind: kept, most: 1.5}}
training:
  autoencoder: {epochs: 1, batch: 64, lr: 0.005, error: {kind: cubic}}
  generator: {epochs: 2, batch: 256, lr: 0.003, loss: {kind: contrastive, weight: 0.1}}
"""


@pytest.fixture(autouse=True)
def as_before() -> Generator[None]:
    with restored():
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the parts, beside a recipe that names them all."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "own.py").write_text(OWN)
    return folder / "own.py"


@pytest.fixture(scope="module")
def run(source: Path, arena: Arena, digits_judge: Judge) -> Path:
    """The folder of a run of the recipe."""
    folder = source.parent / "run"
    done = arena("train", source.parent / "recipe.yaml", "--out", folder, "--samples", 100)
    assert done.returncode == 0, done.stderr
    assert "ink (share of pixels)" in done.stdout
    return folder


def test_the_card_has_an_own_figure_that_counts_for_nothing(run: Path, source: Path) -> None:
    card = read_card(run / "score.json")
    ink = card.own["ink"]
    assert ink.settings == {"kind": "ink", "threshold": 0.4}
    assert (ink.source, len(ink.digest)) == ("own.py", 64)
    assert "ink" not in card.scores
    without = card.model_copy(update={"own": {}})
    assert card.points == without.points
    assert card.fingerprint != without.fingerprint
    assert "never ranked" in (run / "report.html").read_text()
    images = embedded_digits().test.batch(slice(None))
    assert ink.real is not None
    share = float((images > 0.4).double().mean())
    assert ink.real.low <= share <= ink.real.high  # 100 of the test images stand for real ones


def test_a_board_ranks_as_if_it_were_not_there(run: Path) -> None:
    card = read_card(run / "score.json")
    contest = load_contest("open")
    entries = [entry_of(one, contest, "1", "a") for one in (card, card.model_copy(update={"own": {}}))]
    assert entries[0].card == card
    assert replace(entries[0], card=None) == replace(entries[1], card=None)
    boards = [make_board([one], contest) for one in entries]
    assert boards[0] == boards[1]


def test_the_bundle_names_the_guide_alone(run: Path, source: Path) -> None:
    card = json.loads((run / "bundle" / "card.json").read_text())
    assert [(part["kind"], part["name"]) for part in card["parts"]] == [("guide", "kept")]
    assert "metrics" not in card["provenance"]["recipe"]
    model = la.load(run, parts=[source])
    native = model.bundle.model.native
    assert native is not None
    how = native.architecture.sampling.but(solver="euler")  # whose last step lands on the estimate
    latents = [*native.trajectory(native.noise(64, 0), sampling=how)][-1]
    assert float(native.scale(latents).abs().max()) == pytest.approx(1.5, abs=1e-4)


def test_a_card_is_verified_with_its_parts_alone(run: Path, source: Path, arena: Arena, arena_here: Arena) -> None:
    how = ("verify", run / "score.json", run / "bundle")
    refused = arena_here(*how)
    assert refused.returncode != 0
    assert "load it here with --plugin FILE" in " ".join(refused.stderr.split())
    done = arena(*how, "--plugin", source)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("verified: ")
    other = source.parent / "other"
    other.mkdir()
    (other / "own.py").write_text(source.read_text() + "# another version\n")
    refused = arena(*how, "--plugin", other / "own.py")
    assert refused.returncode != 0
    assert "give that version with --plugin" in " ".join(refused.stderr.split())


def test_metrics_are_named_on_the_command_line(
    run: Path, source: Path, tmp_path: Path, arena: Arena, arena_here: Arena
) -> None:
    images = tmp_path / "images.npz"
    np.savez(images, images=embedded_digits().test.batch(slice(0, 150)).numpy())
    how = ("judge", images, "--dataset", "digits", "--plugin", source)
    done = arena(*how, "--metric", "{kind: ink, threshold: 0.6}", "--json", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "found.json").read_text())["scores"]["ink"]["settings"]["threshold"] == 0.6
    done = arena_here("judge", images, "--dataset", "digits", "--metric", "holes", "--plugin", source)
    assert done.returncode != 0
    assert "--metric: metrics" in " ".join(done.stderr.split())


def test_what_metrics_come_to_follows_from_their_definition(source: Path, digits_judge: Judge) -> None:
    load_parts([source])
    images = embedded_digits().test.batch(slice(0, 200))
    found = score_images(images, embedded_digits(), digits_judge, own=own_metrics(["ink"], "here"))["ink"]
    assert found.value == pytest.approx(float((images > 0.5).double().mean()))
    assert found.low < found.value < found.high


def test_all_but_metrics_are_in_the_keys_of_stages(source: Path, tmp_path: Path) -> None:
    load_parts([source])
    recipe = load_recipe(str(source.parent / "recipe.yaml"))
    names = {(part.kind, part.name) for part in foreign_in(recipe)}
    trained = {("guide", "kept"), ("loss", "contrastive"), ("reconstruction error", "cubic")}
    assert names == trained | {("metric", "ink")}
    assert {(part.kind, part.name) for part in trained_with(recipe)} == trained
    data, fabric = embedded_digits(), make_fabric("cpu")
    changes = [{}, {"metrics": []}, {"training.generator.loss.weight": 0.2}, {"sampling.guide.most": 3}]
    keys = [Reuse(load_recipe(recipe, one), data, fabric, tmp_path)._key("generator") for one in changes]
    assert keys[0] == keys[1] != keys[2]


def test_parts_are_listed_with_their_file(source: Path, arena_here: Arena) -> None:
    listed = arena_here("parts", "--plugin", source).stdout
    for name in ("kept", "contrastive", "cubic", "ink"):
        assert f"{name}: of {source}, " in listed
    assert "classifier_free, autoguidance, classifier" in listed
    assert "squared, pseudo_huber" in listed


def test_a_metric_that_is_not_loaded_is_refused(source: Path) -> None:
    with pytest.raises(ConfigError, match="no metric is loaded; give a file that registers one with --plugin"):
        load_recipe("quickstart-digits", ["metrics=[ink]"])
    load_parts([source])
    assert load_recipe("quickstart-digits", ["metrics=[ink]"]).metrics == own_metrics(["ink"], "here")
    with pytest.raises(ConfigError, match="ink is named twice"):
        load_recipe("quickstart-digits", ["metrics=[ink, ink]"])


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("of_samples", "samples_of", "metric 'ink' has 0 methods that measure; give it one of of_samples"),
        ('    title: ClassVar[str] = "ink (share of pixels)"\n', "", "metric 'ink' has no title"),
        ('"ink"', '"mse"', "metric 'mse': the catalogue has one of this name"),
    ],
)
def test_a_metric_that_is_none_is_refused_as_it_is_loaded(before: str, after: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN.replace(before, after))
    with pytest.raises(ConfigError, match=said):
        load_parts([tmp_path / "own.py"])


@pytest.mark.parametrize(
    ("wrong", "said"), [("1 / 0", "ZeroDivisionError"), ("mean_of(samples.images[:, 0, 0, 0] / 0)", "finite")]
)
def test_a_metric_that_fails_is_told_by_its_file(wrong: str, said: str, tmp_path: Path, digits_judge: Judge) -> None:
    (tmp_path / "own.py").write_text(OWN.split("return mean_of((samples")[0] + f"return {wrong}\n")
    load_parts([tmp_path / "own.py"])
    images = embedded_digits().test.batch(slice(0, 100))
    with pytest.raises(JudgeError, match=rf"metric 'ink' of own.py cannot be measured: .*{said}"):
        score_images(images, embedded_digits(), digits_judge, own=own_metrics(["ink"], "here"))


@pytest.mark.parametrize(
    ("key", "kind", "said"),
    [
        ("sampling.guide", "autoguidance", "the generator has no weaker network"),
        ("sampling.guide", "classifier", "the generator has no classifier"),
        ("sampling.guide", "wild", "kind = 'wild': choose from classifier_free, autoguidance, classifier"),
        ("training.generator.loss", "wild", "kind = 'wild': choose from squared, pseudo_huber"),
        ("generator.backbone", "mpl", "generator.backbone: kind = 'mpl': did you mean 'mlp'. choose from mlp, conv"),
    ],
)
def test_a_part_that_does_not_fit_is_refused_before_training(key: str, kind: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        la.train("quickstart-digits", folder=tmp_path / "run", **{key: {"kind": kind}})
    assert not (tmp_path / "run").exists()
