"""What a recipe is expected to come to, whether its run was cut short, and what is heard while it is judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from latentarena.card.score_card import ScoreCard
from latentarena.card.words import expected_lines
from latentarena.evaluate.scoring import _cut_short
from latentarena.model.latent_model import LatentModel
from latentarena.progress import Progress, counted, listening, within
from latentarena.run import watching
from latentarena.train.recipe import load_recipe, to_yaml
from latentarena.train.shelf import recipe_names
from score_cards import made_card
from untrained import provenance

RESULTS = json.loads((Path(__file__).parents[2] / "docs" / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(set(recipe_names()) & set(RESULTS)))
def test_measured_figures_are_within_what_the_recipe_expects(name: str) -> None:
    entry, expected = RESULTS[name], load_recipe(name).expected
    measured = {metric: score["value"] for metric, score in entry["card"]["scores"].items()}
    measured |= {"accuracy": entry["accuracy"], "minutes": sum(entry["undisturbed"].values()) / 60}
    assert set(expected) >= {"class_kl", "frechet", "minutes"}
    for metric, (value, tolerance) in expected.items():
        assert abs(measured[metric] - value) <= tolerance, metric
        assert 0 < tolerance <= max(0.76 * value, 0.03), metric  # else it would say nothing


def test_most_recipes_are_measured() -> None:
    assert len(set(recipe_names()) & set(RESULTS)) >= 20


@pytest.mark.parametrize(
    ("assignments", "budget", "length"),
    [
        ([], 1.0, 1.0),
        ([], 0.1, 0.1),
        ([], 3.0, 3.0),
        (["seed=1"], 1.0, 1.0),
        (["training.autoencoder.epochs=3", "training.generator.epochs=8"], 1.0, 0.05),
        (["training.autoencoder.epochs=30", "training.generator.epochs=80"], 0.5, 0.25),
    ],
)
def test_length_is_the_share_of_the_recipes_epochs(assignments: list[str], budget: float, length: float) -> None:
    whole = load_recipe("quickstart-digits").training
    assert whole.autoencoder is not None
    assert whole.autoencoder.epochs + whole.generator.epochs == 220
    recipe = load_recipe("quickstart-digits", assignments).scaled(budget)
    assert recipe.length == pytest.approx(length)


def test_a_saved_recipe_of_a_short_run_is_still_short(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(to_yaml(load_recipe("quickstart-digits").scaled(0.1)))
    assert load_recipe(str(path), ["seed=1"]).length == pytest.approx(0.1)


@pytest.mark.parametrize("change", ["seed=3", "training.generator.epochs=2", "name=mine"])
def test_a_recipe_of_another_seed_or_length_is_held_against_what_it_came_to(change: str) -> None:
    assert load_recipe("quickstart", [change]).expected == load_recipe("quickstart").expected != {}


@pytest.mark.parametrize("change", ["data.name=kmnist", "autoencoder.latent=[16]", "training.generator.lr=0.01"])
def test_nothing_is_expected_of_a_changed_recipe(change: str) -> None:
    assert load_recipe("quickstart", [change]).expected == {}


def card() -> ScoreCard:
    return made_card("mine")


def test_a_short_run_says_so_beside_what_was_expected() -> None:
    value = card().scores["frechet"].value
    near, far = {"frechet": (value, 0.1)}, {"frechet": (value + 1, 0.1)}
    assert list(expected_lines({}, 0.1, card())) == []
    assert list(expected_lines(near, 1.0, card()))[1:] == ["this run came to the same"]
    assert list(expected_lines(far, 1.0, card()))[1:] == [f"outside of that: frechet {value:.3g}"]
    first, second = expected_lines(far, 0.08, card())
    assert first == f"the recipe as shipped came to: frechet {value + 1:g} +- 0.1"
    assert second.startswith("this run had 8 % of the recipe's epochs")


@pytest.mark.parametrize(("length", "advised"), [(0.08, True), (1.0, False), (3.0, False), ("x", False), (-1, False)])
def test_first_advice_for_a_short_run_is_to_train_longer(length: object, advised: bool) -> None:
    advice = _cut_short(provenance({"length": length}, "none", ""))
    assert [one.remedy.split(":")[0] for one in advice] == ["train longer"] * advised
    assert _cut_short(None) == ()


def test_whoever_listens_hears_of_every_part() -> None:
    heard: list[Progress] = []
    assert list(counted("ab", "unheard")) == ["a", "b"]
    with listening(heard.append), within("outer"):
        assert list(counted("ab", "inner")) == ["a", "b"]
    assert heard == [Progress("outer: inner", done, 2) for done in range(3)]
    list(counted("ab", "unheard"))
    assert len(heard) == 3


def test_sampling_encoding_and_decoding_are_heard() -> None:
    recipe = load_recipe("quickstart-digits", ["sampling.steps=1", "generator.backbone.width=8"])
    model = LatentModel(recipe.architecture((1, 28, 28), ("a", "b")))
    heard: list[Progress] = []
    with listening(heard.append):
        model.decode(model.encode(model.generate(model.noise(501, 0))))
    assert [(one.what, one.done) for one in heard] == [
        (what, done) for what, parts in (("samples", 2), ("encoding", 6), ("decoding", 6)) for done in range(parts + 1)
    ]


def test_judging_is_shown_in_lines_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watching, "QUIET", -1.0)
    with watching.show_judging():
        for _ in counted(range(2), "samples"):
            pass
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:3] for line in lines] == [["judging", "samples", "1/2"], ["judging", "samples", "2/2"]]
    assert all(line[-4:] == ["s", "left", "of", "this"] for line in lines)
