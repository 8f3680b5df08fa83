"""The error waterfall: its ends are figures of the card, its differences add up, and its samplers are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from latentarena.bundle import NativeBundle, save_bundle
from latentarena.card.score_card import ScoreCard, read_card
from latentarena.card.waterfall import Waterfall, waterfall_rows, waterfall_words
from latentarena.data.digits import embedded_digits
from latentarena.evaluate.scoring import Judged, Panel, judge_bundle
from latentarena.evaluate.verify import differences
from latentarena.evaluate.waterfall import unlike_own
from latentarena.judge.classifier import Judge
from latentarena.judge.metrics import frechet_distance
from latentarena.model.latent_model import LatentModel
from latentarena.report.scorecard import write_page
from latentarena.train.recipe import load_recipe

N = 200
DATA = embedded_digits()


def _waterfall(judged: Judged) -> Waterfall:
    assert judged.card.waterfall is not None
    return judged.card.waterfall


@pytest.fixture(scope="module")
def judged(tiny_bundle: NativeBundle, digits_judge: Judge) -> Judged:
    return judge_bundle(tiny_bundle, Panel(DATA, digits_judge), samples=N, timed=False, waterfall=True)


def _untrained(tiny: NativeBundle, folder: Path, *changes: str) -> NativeBundle:
    recipe = load_recipe("quickstart-digits", list(changes))
    model = LatentModel(recipe.architecture(DATA.shape, DATA.classes))
    return save_bundle(folder, "untrained", model, tiny.card.provenance)


def test_the_first_and_the_last_stage_are_figures_of_the_card(judged: Judged) -> None:
    found, frechet = _waterfall(judged), judged.card.scores["frechet"]
    assert [stage.name for stage in found.stages] == ["real", "reconstruction", "many steps", "own steps"]
    assert found.stages[0].frechet == frechet.real
    assert found.stages[-1].frechet.value == pytest.approx(frechet.value)
    assert found.images == N


def test_differences_add_up_to_the_last_stage(judged: Judged) -> None:
    stages = _waterfall(judged).stages
    added = [stage.added.value for stage in stages if stage.added is not None]
    assert len(added) == len(stages) - 1
    assert stages[0].frechet.value + sum(added) == pytest.approx(stages[-1].frechet.value)
    for stage in stages[1:]:
        assert stage.added is not None
        assert stage.added.low <= stage.added.value <= stage.added.high


def test_paired_differences_are_surer_than_those_of_independent_figures(judged: Judged) -> None:
    stages = _waterfall(judged).stages
    many, own = stages[-2], stages[-1]
    assert own.added is not None
    alone = own.frechet.minus(many.frechet)
    assert own.added.high - own.added.low < alone.high - alone.low


def test_many_steps_are_the_same_noise_at_more_steps(
    judged: Judged, tiny_bundle: NativeBundle, digits_judge: Judge
) -> None:
    model, found = tiny_bundle.model, _waterfall(judged)
    how = model.architecture.sampling.but(steps=found.many)
    seen = digits_judge.look(model.generate(judged.findings.noise, judged.findings.asked, how))
    distance = frechet_distance(*seen.statistics(), *digits_judge.reference)
    assert found.stages[2].frechet.value == pytest.approx(distance)


def test_guidance_is_a_stage_of_its_own_where_there_is_any(
    tiny_bundle: NativeBundle, digits_judge: Judge, tmp_path: Path
) -> None:
    guided = ["generator.conditional=true", "sampling.guidance=2", "sampling.steps=2"]
    bundle = _untrained(tiny_bundle, tmp_path / "guided", *guided)
    plain = {name: (how.guidance, how.steps) for name, how in unlike_own(bundle.model)}
    assert plain == {"many steps": (1.0, 100), "own steps": (1.0, 2)}
    panel = Panel(DATA, digits_judge)
    found = _waterfall(judge_bundle(bundle, panel, samples=N, timed=False, waterfall=True))
    assert [stage.name for stage in found.stages][-2:] == ["own steps", "guidance"]
    fit = "training.classifier={epochs: 1, batch: 64, lr: 0.001}"
    classifier = ["generator.classifier={}", fit, "sampling.guidance=1"]
    other = _untrained(tiny_bundle, tmp_path / "classifier", *classifier)
    assert {how.guidance for _, how in unlike_own(other.model)} == {0.0}


def test_a_sampler_that_leaps_has_no_stage_of_many_steps_and_pixels_have_no_reconstruction(
    tiny_bundle: NativeBundle, digits_judge: Judge, tmp_path: Path
) -> None:
    network = ["generator.backbone={kind: conv, width: 4, depth: 1}", "sampling.solver=consistency", "sampling.steps=1"]
    parts = ["autoencoder={kind: identity}", "training.autoencoder=null", *network]
    bundle = _untrained(tiny_bundle, tmp_path / "pixels", *parts)
    found = _waterfall(judge_bundle(bundle, Panel(DATA, digits_judge), samples=N, timed=False, waterfall=True))
    assert [stage.name for stage in found.stages] == ["real", "own steps"]


def test_where_there_are_more_samples_than_test_images_every_stage_has_as_many_as_these(
    tiny_bundle: NativeBundle, digits_judge: Judge
) -> None:
    many = len(DATA.test) + 40
    card = judge_bundle(tiny_bundle, Panel(DATA, digits_judge), samples=many, timed=False, waterfall=True).card
    assert card.waterfall is not None
    assert card.waterfall.images == len(DATA.test)
    assert card.scores["frechet"].equal == card.waterfall.stages[-1].frechet


def test_a_card_keeps_it_apart_from_its_fingerprint_and_says_it(judged: Judged, tmp_path: Path) -> None:
    card = judged.card
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card.model_dump(mode="json")))
    assert read_card(path) == card
    without = card.model_copy(update={"waterfall": None})
    assert without.fingerprint == card.fingerprint
    assert differences(card, ScoreCard.model_validate(card.model_dump())) == []
    rows = list(waterfall_rows(_waterfall(judged)))
    assert rows[2][0] == f"generator, many steps ({_waterfall(judged).many})"
    assert f"{N} images at every stage" in waterfall_words(_waterfall(judged))
    page = tmp_path / "card.html"
    write_page(page, card, judged.findings, DATA)
    text = page.read_text()
    assert all(title in text and distance in text for title, distance, _ in rows)
    write_page(page, without, judged.findings, DATA)
    assert "Where the Frechet distance comes from" not in page.read_text()
