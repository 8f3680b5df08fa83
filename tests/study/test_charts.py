"""What a study's page is made of: runs with their commands, curves by multiply-adds, fronts, and the same noise."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from latentarena.bundle import OWN, open_bundle
from latentarena.card.figure import Figure
from latentarena.card.score_card import read_card
from latentarena.card.waterfall import Stage, Waterfall
from latentarena.files import write_json
from latentarena.model.latent_model import LatentModel
from latentarena.pictures import embed_images, evenly
from latentarena.run.training_cost import training_cost
from latentarena.study import grids, place, runs
from latentarena.study.charts import fronts, learning_curves
from latentarena.study.found import found_in
from latentarena.study.grids import ROW, SEED, SHOWN, WALKED, same_noise
from latentarena.study.page import markdown
from latentarena.study.plan import study_of
from latentarena.study.runs import StudyRuns, run_study
from latentarena.train.logs import curve

FAKE = Path(__file__).parents[1] / "support" / "fake_run.py"


@pytest.fixture(scope="module")
def made(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyRuns:
    """Two arms of quick runs, of which the longer one has the larger distance."""
    folder = tmp_path_factory.mktemp("charts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "ARENA", (sys.executable, "-S", "-E", str(FAKE), str(tiny_run), str(folder / "record")))
        study = study_of(["quickstart-digits"], vary={"training.generator.epochs": [4, 8]}, samples=100)
        return run_study(study, folder / "out", None, 3, place.Here(1))


def test_a_run_is_told_with_its_folder_command_and_costs(made: StudyRuns) -> None:
    found = found_in(made, "arena study")
    assert len(found["runs"]) == 6
    run, folder = found["runs"][0], made.runs[0].folder
    card = read_card(folder / "score.json")
    assert (made.folder / run["folder"]) == folder
    assert run["command"].startswith(f"arena train {run['arm']}/recipe.yaml seed=0 --out {run['folder']}")
    assert run["figures"]["steps"] == card.steps
    assert run["figures"]["macs"] == card.scores["macs"].value
    json.dumps(found)


def test_curves_are_those_of_the_logs_and_end_at_the_multiply_adds_of_the_stage(made: StudyRuns) -> None:
    found = found_in(made, "arena study")
    first = next(one for one in found["curves"] if one["stage"] == "generator")
    run = made.runs[0]
    logged = curve(run.folder / "logs", "generator")
    assert first["losses"][-1] == pytest.approx(logged["loss"][-1], rel=1e-3)
    card = open_bundle(run.folder / "bundle", trust=OWN).card
    cost = training_cost(made.study.recipes[run.arm], card.shape, card.classes, 1437)["generator"]
    assert first["macs"][-1] == pytest.approx(cost.after(first["steps"][-1]), rel=1e-3)
    plots = learning_curves(found)
    stages = {one["stage"] for one in found["curves"]}
    assert len(plots) == 2 * len(stages)
    assert all(len(drawn.plot.lines) == 6 for drawn in plots)


def test_an_arm_that_another_one_beats_is_not_on_the_front(made: StudyRuns) -> None:
    found = found_in(made, "arena study")
    for number, run in enumerate(found["runs"]):
        run["figures"] |= {"parameters": 100.0 if run["arm"].endswith("4") else 200.0, "ms": 1.0 + number}
    drawn = {one.plot.x: one for one in fronts(found)}
    assert set(drawn) == {"parameters", "milliseconds a sample"}  # in steps and multiply-adds all are equal
    plot = drawn["parameters"].plot
    assert plot.caption == "Not beaten in both by another arm: quickstart-digits-epochs-4."
    assert sum(mark.large for mark in plot.marks) == 2
    assert sum(not mark.large for mark in plot.marks) == 6
    assert all(run["command"] in mark.text for run, mark in zip(found["runs"], plot.marks, strict=False))


def test_arms_are_drawn_from_the_same_noise(made: StudyRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 2  # of three times, the first and the last
    monkeypatch.setattr(grids, "MOMENTS", most)
    pictures, walks = same_noise(made)
    assert [picture.caption.split(",")[0] for picture in pictures] == list(made.study.recipes)
    model = open_bundle(made.runs[0].folder / "bundle", trust=OWN).model
    images = model.generate(model.noise(SHOWN, SEED), seed=SEED)
    assert pictures[0].source == embed_images(images, "", "", ROW).source
    assert pictures[1].source == pictures[0].source  # one model in both arms
    assert isinstance(model, LatentModel)
    states = list(model.trajectory(model.noise(WALKED, SEED), seed=SEED))
    assert len(states) == most + 1
    rows = torch.stack([model.decode(states[i]) for i in evenly(len(states), most)], 1)
    assert torch.allclose(rows[:, -1], images[:WALKED], atol=1e-5)
    assert walks[0].source == embed_images(rows.flatten(0, 1), "", "", most).source
    assert walks[0].caption.startswith(f"{made.runs[0].arm}, seed 0, t = 1")


def test_waterfalls_are_told_over_seeds_and_runs_without_one_are_made_again(made: StudyRuns) -> None:
    found = found_in(made, "arena study")
    assert found["waterfalls"] == {}
    assert "comes from" not in markdown(found)
    arm = made.runs[0].arm
    for run in (one for one in made.runs if one.arm == arm):
        path = run.folder / "score.json"
        ends = [Figure.of(value + run.seed) for value in (1.0, 3.0)]
        stages = (Stage(name="real", frechet=ends[0]), Stage(name="own steps", frechet=ends[1], added=Figure.of(2.0)))
        fall = Waterfall(images=100, many=0, steps=8, guidance=1, stages=stages)
        card = read_card(path).model_copy(update={"waterfall": fall})
        assert runs._figures_in(run.folder, 100, True) == {}
        write_json(path, card.model_dump(mode="json"))
        assert runs._figures_in(run.folder, 100, True) == run.figures
    found = found_in(made, "arena study")
    (own, last) = found["waterfalls"][arm]
    assert own["frechet"]["value"] == pytest.approx(2.0)
    assert last["added"]["values"] == [2.0, 2.0, 2.0]
    assert f"| {arm} | generator, own steps | 4 [" in markdown(found)
