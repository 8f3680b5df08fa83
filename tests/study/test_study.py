"""Studies: what is planned, made, gone on with, and said."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import latentarena as la
from latentarena.errors import ConfigError, OutputError
from latentarena.model.latent_model import LatentModel
from latentarena.parts import load_parts
from latentarena.study import place
from latentarena.study.page import write_study
from latentarena.study.plan import STUDIES, is_study, load_study, study_of
from latentarena.study.runs import State, StudyRuns, run_study
from latentarena.train.recipe import Recipe
from latentarena.train.shelter import held
from own_parts import restored
from small_disk import mounted

FAKE = Path(__file__).parents[1] / "support" / "fake_run.py"
STUDY = """
title: Long and short
arms:
  short: {recipe: quickstart-digits, set: {training.generator.epochs: 4}}
  long: {recipe: quickstart-digits, set: {training.generator.epochs: 8}}
asks: [training.generator.epochs]
claims: ["frechet[short] < frechet[long]"]
samples: 100
"""

WIDE = {"generator.backbone.width": 160, "training.generator.batch": 64}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lengths.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def record(tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs are quick ones, noted in this file."""
    path = tmp_path / "record"
    path.touch()
    monkeypatch.setattr(place, "ARENA", (sys.executable, "-S", "-E", str(FAKE), str(tiny_run), str(path)))
    return path


def test_every_shipped_study_can_start_and_says_what_it_compares() -> None:
    for name in STUDIES.names():
        study = load_study(name)
        assert study.claims
        loose = [claim for claim in study.claims if study.unasked(claim)]
        assert len(loose) == name.startswith("linear-spatial"), name  # against the family made for maps, as it says
        assert study.factors


def test_two_studies_do_not_share_a_folder(file: Path, record: Path, tmp_path: Path) -> None:
    """The second one would call the first one's runs failed, and take their score cards away."""
    with held(tmp_path / "out"), pytest.raises(ConfigError, match=r"out is in use by another run .* another --out"):
        run_study(load_study(str(file)), tmp_path / "out", None, 1, place.Here(1))
    assert record.read_text() == ""


def test_a_factor_that_is_not_asked_about_is_named(file: Path) -> None:
    study = load_study(str(file))
    assert study.factors == {"training.generator.epochs": {"short": "4.0", "long": "8.0"}}
    assert study.unasked(study.claims[0]) == []
    file.write_text(STUDY.replace("epochs: 8", "epochs: 8, training.generator.lr: 0.1"))
    study = load_study(str(file))
    assert study.unasked(study.claims[0]) == ["training.generator.lr"]


def test_a_file_of_parts_is_no_factor_but_what_it_is_loaded_for(file: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from latentarena.process import COUPLINGS\nCOUPLINGS.register('turned')(lambda data, noise: noise.flip(0))\n"
    )
    with restored():
        load_parts([tmp_path / "own.py"])
        file.write_text(STUDY.replace("epochs: 8", "coupling: turned"))
        study = load_study(str(file))
    assert study.recipes["long"].parts == (str(tmp_path / "own.py"),)
    assert "parts" not in study.factors
    assert study.factors["training.generator.coupling"] == {"short": "independent", "long": "turned"}


def test_a_factor_of_arms_that_no_comparison_pairs_is_no_fault_of_it(file: Path) -> None:
    other = "arms:\n  other: {recipe: quickstart-digits, set: {training.generator.lr: 0.1}}"
    file.write_text(STUDY.replace("arms:", other))
    study = load_study(str(file))
    assert "training.generator.lr" in study.factors
    assert study.unasked(study.claims[0]) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("recipe: quickstart-digits, set: {training.generator.epochs: 4}", "recipe: quickstrat", "arms.short: recipe"),
        ("training.generator.epochs: 4", "training.generator.epoch: 4", "did you mean 'epochs'"),
        ("[short]", "[shrot]", "arm 'shrot' is unknown"),
        ("samples: 100", "samples: 100\nseeds: 9", "most = 3, but seeds = 9"),
        ("title:", "titel:", "did you mean 'title'"),
    ],
)
def test_what_cannot_start_is_refused_in_one_line(file: Path, old: str, new: str, said: str) -> None:
    file.write_text(STUDY.replace(old, new))
    with pytest.raises(ConfigError, match=r"lengths|claim") as refused:
        load_study(str(file))
    assert said in str(refused.value)


def test_every_combination_of_varied_values_is_an_arm() -> None:
    keys = {
        "training.generator.lr": ("0.001", 0.003),
        "generator.backbone": ({"kind": "mlp", "width": 8}, "unet_small"),
    }
    study = study_of(["quickstart-digits"], vary=keys, set={"training.generator.epochs": "2"})
    arms = {(arm, one.training.generator.lr, one.generator.backbone.kind) for arm, one in study.recipes.items()}
    name = "quickstart-digits-lr"
    assert arms == {
        (f"{name}-0.001-backbone-1", 0.001, "mlp"),
        (f"{name}-0.001-backbone-unet_small", 0.001, "unet"),
        (f"{name}-0.003-backbone-1", 0.003, "mlp"),
        (f"{name}-0.003-backbone-unet_small", 0.003, "unet"),
    }
    assert {one.training.generator.epochs for one in study.recipes.values()} == {2.0}
    assert set(study.config.asks) == set(keys)
    assert study.claims == ()


def test_two_recipes_ask_which_is_better_and_other_differences_are_named() -> None:
    study = study_of(["fm-small", "fm-large"])
    assert [claim.text for claim in study.claims] == ["frechet[fm-small] < frechet[fm-large]"]
    assert study.unasked(study.claims[0]) == ["generator.backbone.width"]
    asked = study_of(["fm-small", "fm-large"], asks=["generator.backbone"], claims=["mse[fm-large] < 1"])
    assert asked.unasked(asked.claims[0]) == []
    with pytest.raises(ConfigError, match="recipes of one name"):
        study_of(["fm-small", "fm-small"])
    with pytest.raises(ConfigError, match=r"'fm-smal' is unknown; did you mean 'fm-small'\?"):
        is_study("fm-smal")


def _forward(recipe: Recipe) -> float:
    """Multiply-adds of the generator's network for one row, as FlopCounterMode of torch counts them."""
    model = LatentModel(recipe.architecture((1, 28, 28), tuple("0123456789")))
    x, t = torch.randn(1, *model.latent_shape), torch.full((1,), 0.5)
    with FlopCounterMode(display=False) as counter:
        model.network(x, t, None)
    return counter.get_total_flops() / 2


def test_arms_are_matched_in_size_steps_or_compute() -> None:
    pair = {"arms": {"small": {"recipe": "quickstart-digits"}, "wide": {"recipe": "quickstart-digits", "set": WIDE}}}
    for what in ("parameters", "steps", "macs"):
        study = study_of([], title="pair", claims=["mse[small] < mse[wide]"], match=what, **pair)
        small, wide = study.recipes.values()
        fits = [one.training.generator for one in (small, wide)]
        steps = [one.epochs * (1437 // one.batch) for one in fits]
        if what == "parameters":
            assert wide.generator.backbone == small.generator.backbone
        elif what == "steps":
            assert steps[1] == pytest.approx(steps[0], rel=0.02)
        else:
            work = [step * fit.batch * _forward(one) for step, fit, one in zip(steps, fits, (small, wide), strict=True)]
            assert work[1] == pytest.approx(work[0], rel=0.05)
        assert set(study.unasked(study.claims[0])) == {"training.generator.batch"} | (
            set() if what == "parameters" else {"generator.backbone.width"}
        )


def test_an_arm_that_cannot_be_matched_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"arms.ldm-spatial: parameters of the generator can be made [\d,]+ at best"):
        study_of(["quickstart-digits", "ldm-spatial"], set={"data.name": "digits"}, match="parameters")


def test_a_study_from_python_leaves_its_pages(record: Path, tmp_path: Path) -> None:
    done = la.study(
        "quickstart-digits", folder=tmp_path / "out", vary={"training.generator.epochs": [4, 8]}, samples=100
    )
    assert len(record.read_text().splitlines()) == 6
    assert done.verdicts == []
    assert repr(done) == f"<StudyRuns {str(tmp_path / 'out')!r}: 6 runs, 2 arms, 0 claims: see verdicts>"
    assert "la.study('quickstart-digits', vary=" in (tmp_path / "out" / "study.md").read_text()


def test_runs_that_are_done_are_not_made_again_and_those_that_are_missing_are(
    file: Path, record: Path, tmp_path: Path
) -> None:
    study = load_study(str(file))
    done = run_study(study, tmp_path / "out", None, 2, place.Here(1))
    assert Counter(record.read_text().split("\n")[:-1]) == {
        f"{arm} {k}": 1 for arm in ("short", "long") for k in range(3)
    }
    assert [one.word for one in done.verdicts] == ["holds"]
    (tmp_path / "out" / "long" / "seed-1" / "score.json").unlink()
    again = run_study(study, tmp_path / "out", None, 1, place.Here(1))
    assert record.read_text().split("\n")[6:-1] == ["long 1"]
    assert again.figures == done.figures


def test_seeds_are_added_only_while_a_claim_is_undecided_and_only_to_its_arms(
    file: Path, record: Path, tmp_path: Path
) -> None:
    more = STUDY.replace("samples: 100", "samples: 100\nmost: 5").replace(
        "arms:", "arms:\n  other: {recipe: quickstart-digits, set: {training.generator.epochs: 2}}"
    )
    file.write_text(more.replace("frechet[long]", "1.0001 * frechet[short]"))  # of noise alone: never decided
    run_study(load_study(str(file)), tmp_path / "out", None, 4, place.Here(1))
    assert Counter(line.split()[0] for line in record.read_text().splitlines()) == {"short": 3, "long": 3, "other": 3}


def test_a_full_disk_ends_a_study_and_what_was_done_is_kept(file: Path, record: Path, tmp_path: Path) -> None:
    """Every further run would fail of it, one by one."""
    with mounted(tmp_path / "small", "size=8m") as disk:
        ballast = disk / "ballast"

        def fill_up(progress: StudyRuns) -> None:
            if any(run.state is State.DONE for run in progress.runs):
                with ballast.open("ab", buffering=0) as taken, suppress(OSError):
                    while True:
                        taken.write(bytes(4096))

        with pytest.raises(OutputError, match="the disk is full; free some space"):
            run_study(load_study(str(file)), disk / "out", None, 1, place.Here(1), fill_up)
        assert len(record.read_text().splitlines()) <= 2  # the one that was done, and the next
        ballast.unlink()
        made = run_study(load_study(str(file)), disk / "out", None, 1, place.Here(1))
    assert {run.state for run in made.runs} == {State.DONE}
    assert not made.runs[0].fresh


def test_a_run_that_fails_costs_the_others_nothing_and_is_named(file: Path, record: Path, tmp_path: Path) -> None:
    file.write_text(STUDY.replace("arms:", "arms:\n  broken: {recipe: quickstart-digits}"))
    progress = run_study(load_study(str(file)), tmp_path / "out", None, 3, place.Here(1))
    write_study(progress, "arena study lengths.yaml")
    states = {(run.arm, str(run.state)) for run in progress.runs}
    assert states == {("broken", "failed"), ("short", "done"), ("long", "done")}
    page = (tmp_path / "out" / "study.md").read_text()
    assert "broken with seed 0 failed: it broke on purpose" in page
    assert "**holds**" in page


def test_pages_say_verdict_figures_factors_and_command(file: Path, record: Path, tmp_path: Path) -> None:
    progress = run_study(load_study(str(file)), tmp_path / "out", None, 3, place.Here(1))
    write_study(progress, "arena study lengths.yaml")
    found = json.loads((tmp_path / "out" / "study.json").read_text())
    assert [one["word"] for one in found["verdicts"]] == ["holds"]
    assert found["arms"][0]["figures"]["frechet"]["values"] == pytest.approx([40.0, 40.015, 40.03])
    rows = list(csv.DictReader((tmp_path / "out" / "study.csv").open()))
    assert [(row["arm"], row["seed"], row["state"]) for row in rows][:2] == [
        ("short", "0", "done"),
        ("short", "1", "done"),
    ]
    assert float(rows[1]["frechet"]) == pytest.approx(40.015)
    page = (tmp_path / "out" / "study.html").read_text()
    assert "<title>short, seed 1: loss" in page
    assert '<a href="long/seed-2/report.html">' in page
    assert page.count("samples of short") == 2  # in words for those who do not see it, and to enlarge it
    assert "arena train short/recipe.yaml seed=0 --out short/seed-0 --samples 100" in page
    for said in (
        '<strong class="holds">holds</strong>',
        "training.generator.epochs",
        "arena study lengths.yaml",
        "Asked about",
    ):
        assert said in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_study_that_is_killed_goes_on_where_it_was_and_leaves_no_run_behind(
    file: Path, record: Path, tiny_run: Path, tmp_path: Path
) -> None:
    program = (
        "from pathlib import Path; from latentarena.study import place, runs;"
        "from latentarena.study.plan import load_study;"
        f"place.ARENA = {place.ARENA!r};"
        f"runs.run_study(load_study({str(file)!r}), Path({str(tmp_path / 'out')!r}), None, 1, place.Here(1))"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    until = time.monotonic() + 60
    while len(record.read_text().splitlines()) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    before = record.read_text().splitlines()
    assert 2 <= len(before) < 6  # it was at it
    time.sleep(0.5)
    assert record.read_text().splitlines() == before  # nothing goes on by itself
    run_study(load_study(str(file)), tmp_path / "out", None, 2, place.Here(1))
    counts = Counter(record.read_text().splitlines())
    assert len(counts) == 6
    assert sum(counts.values()) <= 7  # the one that was running, and no other, is made again
