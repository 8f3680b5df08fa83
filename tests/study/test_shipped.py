"""The shipped studies: each can start, says who claims what, and ends within an hour by the budget it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from latentarena.cli.app import app
from latentarena.data.digits import embedded_digits
from latentarena.run.training_cost import training_cost
from latentarena.study.cost import JUDGING, RATE, bytes_of, cost_of, seconds_a_seed
from latentarena.study.plan import STUDIES, load_study, study_of
from latentarena.train.recipe import load_recipe

MNIST = ((1, 28, 28), tuple("0123456789"), 60_000)
HOUR = 3600


@pytest.mark.parametrize("name", STUDIES.names())
def test_a_shipped_study_says_what_would_be_trained(name: str, tmp_path: Path) -> None:
    study = load_study(name)
    assert study.config.about
    assert study.config.origin
    said = CliRunner().invoke(app, ["study", name, "--dry-run", "--data", str(tmp_path)])
    assert said.exit_code == 0, said.output
    assert f"{study.config.title}: {len(study.recipes)} arms" in said.output
    assert all(key in said.output for key in study.factors)
    assert all(claim.text in said.output.replace("\n", " ") for claim in study.claims)


@pytest.mark.parametrize("name", STUDIES.names())
def test_a_shipped_study_ends_within_an_hour_on_two_cores_by_its_budget(name: str) -> None:
    quick = load_study(name).config.quick
    assert quick is not None
    short, digits = load_study(name, quick), embedded_digits()
    small = {recipe.data.name for recipe in short.recipes.values()} == {"digits"}
    data = (digits.shape, digits.classes, len(digits.train)) if small else MNIST
    assert short.config.seeds * seconds_a_seed(short.recipes, *data) <= HOUR


def test_studies_of_guidance_name_the_guide_of_each_arm() -> None:
    kinds = {arm: recipe.sampling.guide.kind for arm, recipe in load_study("guidance-kinds").recipes.items()}  # type: ignore[union-attr]
    assert kinds == {"classifier": "classifier", "free": "classifier_free", "auto": "autoguidance"}
    scales = load_study("guidance-scale").recipes.values()
    assert {recipe.sampling.guide.kind for recipe in scales} == {"classifier_free"}  # type: ignore[union-attr]


def test_pixels_and_latents_are_trained_by_equal_multiply_adds() -> None:
    recipes = load_study("pixel-latent").recipes
    pixel, latent = (training_cost(recipes[arm], *MNIST)["generator"].total for arm in ("pixel", "latent"))
    assert latent == pytest.approx(pixel, rel=0.01)


def test_stages_that_arms_share_are_counted_once() -> None:
    one, other = load_recipe("fm-small"), load_recipe("fm-large")
    costs = [training_cost(recipe, *MNIST) for recipe in (one, other)]
    own = sum(cost["generator"].total for cost in costs)
    assert costs[0]["autoencoder"].total == costs[1]["autoencoder"].total
    both = seconds_a_seed({"small": one, "large": other}, *MNIST)
    assert both == pytest.approx((costs[0]["autoencoder"].total + own) / RATE + 2 * JUDGING)
    assert seconds_a_seed({"a": one, "b": one}, *MNIST) == seconds_a_seed({"a": one}, *MNIST) + JUDGING


def test_a_study_on_data_that_is_at_hand_is_told_with_its_seeds(tmp_path: Path) -> None:
    study = study_of(["quickstart-digits"], seeds=4, most=4)
    digits = embedded_digits()
    a_seed = seconds_a_seed(study.recipes, digits.shape, digits.classes, len(digits.train))
    cost = cost_of(study, None)
    assert cost is not None
    assert cost.seconds == pytest.approx(4 * a_seed)
    assert cost.bytes == 4 * bytes_of(study.recipes["quickstart-digits"], digits.shape, digits.classes)
    assert cost_of(load_study("sizes"), tmp_path) is None


def test_a_run_takes_about_the_disk_that_is_told(tiny_run: Path) -> None:
    digits = embedded_digits()
    told = bytes_of(load_recipe(str(tiny_run / "recipe.yaml")), digits.shape, digits.classes)
    found = sum(file.stat().st_size for file in tiny_run.rglob("*") if file.is_file())
    assert 0.5 * found < told < 2 * found


def test_the_studies_are_listed_with_their_titles() -> None:
    listed = CliRunner().invoke(app, ["study"]).output
    for name in STUDIES.names():
        assert load_study(name).config.title in listed
        assert name in listed
