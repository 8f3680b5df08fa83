"""The script behind docs/results.md: its sweep is the judge's own figures, its page is a function of its file alone."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from latentarena.bundle import NativeBundle
from latentarena.data import Dataset
from latentarena.data.digits import embedded_digits
from latentarena.evaluate.scoring import Panel, judge_bundle, subject_of
from latentarena.judge.classifier import Judge
from latentarena.judge.material import Seen
from latentarena.judge.metrics import confidence, frechet_distance
from latentarena.judge.score import score
from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import LatentModel
from latentarena.train.recipe import load_recipe

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from results import merge, read, render
from results_bars import Bar, bars
from results_measured import (
    STEPS,
    Entry,
    Figure,
    Guided,
    Point,
    Scores,
    Sweep,
    diversity,
    evaluations,
    floor,
    strip,
    sweep,
    undisturbed,
    variants,
    with_shorter,
)
from results_page import chart, page, shown, strips

SAMPLES, SEEDS = 64, (5, 6)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return embedded_digits()


@pytest.fixture(scope="module")
def real(data: Dataset, digits_judge: Judge) -> Seen:
    return digits_judge.look(data.test.batch(slice(None)))


@pytest.fixture(scope="module")
def entry(tiny_bundle: NativeBundle, data: Dataset, digits_judge: Judge, real: Seen) -> Entry:
    """The tiny model's figures; machines and times are made up."""
    card = judge_bundle(tiny_bundle, Panel(data, digits_judge), samples=SAMPLES, seeds=SEEDS, timed=False).card
    model = tiny_bundle.model
    return Entry(
        name="tiny",
        autoencoder="conv",
        backbone="mlp",
        guide=None,
        scale=1.0,
        seconds={"autoencoder": 90.0, "generator": 30.0},
        undisturbed={"autoencoder": 60.0, "generator": 30.0},
        trained="a machine",
        dead=0,
        card=Scores.of(card),
        accuracy=None,
        sweeps={"tiny": sweep(model, digits_judge, real, SAMPLES, model.architecture.sampling, seeds=SEEDS)},
        guided=[],
        strip=base64.b64encode(strip(model)).decode(),
        measured="another machine",
        versions={"python": "3"},
    )


def flat(frechet: float) -> Sweep:
    """A made-up sweep that is alike at every number of steps."""
    point = Point(frechet=frechet, class_kl=0, confidence_gap=0, accuracy=None, seconds=0)
    points = dict.fromkeys(STEPS, point)
    return Sweep(solver="euler", evaluations=1, samples=10, real=10, floor=0.1, straightness=None, points=points)


def test_sweep_at_the_own_steps_is_the_judge_s_score(
    entry: Entry, tiny_bundle: NativeBundle, data: Dataset, digits_judge: Judge, real: Seen
) -> None:
    """A sweep asks by the noise that is the same for every model, a card by that of its bundle."""
    scores = score(subject_of(tiny_bundle), data, digits_judge, samples=SAMPLES, seeds=SEEDS).scores
    point = entry.sweeps["tiny"].points[entry.card.steps]
    assert point.frechet == pytest.approx(scores["frechet"].value, rel=1e-9)  # drawn and looked at in other chunks
    assert point.class_kl == scores["class_kl"].value
    assert point.confidence_gap == pytest.approx(abs(scores["confidence"].value - confidence(real.probabilities)))
    assert {*STEPS} <= {*entry.sweeps["tiny"].points}


def test_training_that_was_disturbed_is_timed_at_its_full_speed(tmp_path: Path) -> None:
    rows = [f"{100 * n},{100 * n},{10 * n},{10 if n % 5 else 50}" for n in range(1, 101)]  # one in five undisturbed
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "generator.csv").write_text("\n".join(["step,samples,seconds,samples_per_second", *rows]))
    assert undisturbed(tmp_path, "generator", 1000.0) == pytest.approx(10_000 / 50)
    assert undisturbed(tmp_path, "autoencoder", 7.0) == 7.0


def test_what_is_compared_is_of_as_many_samples() -> None:
    """A Frechet distance falls with the number of samples, so that a ratio of two has to be of equally many."""
    entries = read(Path(__file__).resolve().parents[1] / "docs" / "results.json")
    assert entries
    assert [name for name, entry in entries.items() if len({one.samples for one in entry.sweeps.values()}) != 1] == []


def test_evaluations_are_counted(tiny_bundle: NativeBundle) -> None:
    sampling = tiny_bundle.model.architecture.sampling
    counted = {name: evaluations(tiny_bundle.model, sampling.but(name, 4)) for name in ("euler", "heun", "rk4")}
    assert counted == {"euler": 1, "heun": 2, "rk4": 4}


def test_guidance_costs_a_second_evaluation() -> None:
    recipe = load_recipe("quickstart-digits", ["generator.conditional=true"])
    model = LatentModel(recipe.architecture((1, 28, 28), tuple("0123456789")))
    assert evaluations(model, recipe.sampling.but(guidance=2)) == 2 * evaluations(model, recipe.sampling)


@pytest.mark.parametrize(
    ("extra", "titles", "leaps"),
    [
        ([], [""], [False]),
        (["generator.average=true", "sampling={solver: jump, steps: 1}"], ["", ", as a flow"], [True, False]),
        (["generator.path=vp_linear", "generator.target=noise"], [""], [True]),
    ],
)
def test_what_follows_a_straight_flow_has_a_straightness(
    extra: list[str], titles: list[str], leaps: list[bool], digits_judge: Judge, real: Seen, tmp_path: Path
) -> None:
    recipe = load_recipe("quickstart-digits", extra)
    model = LatentModel(recipe.architecture((1, 28, 28), tuple("0123456789")))
    found = variants("any", recipe, model, tmp_path)
    assert list(found) == [f"any{title}" for title in titles]
    swept = [sweep(each, digits_judge, real, 4, how, (1,)) for each, how in found.values()]
    assert [one.straightness is None for one in swept] == leaps


def test_teacher_and_flow_1_are_the_generator_stage(tiny_run: Path, tiny_bundle: NativeBundle) -> None:
    more = {
        "training.consistency={epochs: 1}": ("any, teacher", "heun"),
        "training.reflow={epochs: 1}": ("any, Flow-1", "euler"),
    }
    for extra, (title, solver) in more.items():
        recipe = load_recipe("quickstart-digits", [extra])
        model = LatentModel(
            tiny_bundle.card.architecture.model_copy(update={"sampling": SamplingConfig(solver="euler")})
        )
        model.load_state_dict(tiny_bundle.model.state_dict())
        found = variants("any", recipe, model, tiny_run)
        assert list(found) == ["any", title]
        assert found[title][1].solver == solver


def test_floor_of_all_test_images_is_their_own_distance(digits_judge: Judge, real: Seen) -> None:
    everything, distance = len(real.features), frechet_distance(*real.statistics(), *digits_judge.reference)
    for n in (everything, everything + 1):
        assert floor(digits_judge, real, n) == (everything, pytest.approx(distance))
    assert floor(digits_judge, real, 30)[1] > floor(digits_judge, real, everything)[1]


def test_diversity_is_one_for_real_images_and_falls_as_a_class_collapses(real: Seen) -> None:
    assert diversity(real, real) == pytest.approx(1)
    assert diversity(Seen(real.features / 2, real.probabilities), real) == pytest.approx(0.5)
    one = torch.zeros_like(real.features)
    assert diversity(Seen(one, real.probabilities), real) == 0
    lost = real.labels != 3
    assert diversity(Seen(real.features[lost], real.probabilities[lost]), real) == pytest.approx(0.9)


def test_entries_are_merged_in_any_order(entry: Entry, tmp_path: Path) -> None:
    other = entry.model_copy(update={"name": "another"})
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for path, order in zip(files, ([entry, other], [other, entry, entry]), strict=True):
        for each in order:
            merge(path, each)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert read(files[0]) == {"another": other, "tiny": entry}


def test_page_and_pictures_are_functions_of_the_file(entry: Entry, tmp_path: Path) -> None:
    names = ("results.md", "results.png", "recipes.png")
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        merge(folder / "results.json", entry)
        render(folder, read(folder / "results.json"))
    first, second = ([(folder / name).read_bytes() for name in names] for folder in folders)
    assert first == second
    assert first == [page({"tiny": entry}).encode(), chart({"tiny": entry}), strips({"tiny": entry})]
    assert Image.open(io.BytesIO(first[1])).width <= 900


def test_page_follows_its_figures(entry: Entry) -> None:
    text = page({"tiny": entry})
    frechet = entry.card.scores["frechet"]
    assert shown(frechet.value) in text
    scores = entry.card.scores | {"frechet": frechet.model_copy(update={"value": 123.456})}
    moved = entry.model_copy(update={"card": entry.card.model_copy(update={"scores": scores})})
    assert "| 123 |" in page({"tiny": moved})
    assert "| 123 |" not in text


def test_more_training_is_foretold_by_the_law_of_the_last(entry: Entry) -> None:
    """Over the floor of 0.1 there is 0.8 after a tenth and 0.4 after all: a law that halves it with every tenfold."""
    after = flat(0.5)
    after.points[entry.card.steps] = after.points[1]
    told = entry.model_copy(update={"sweeps": {"tiny": after}, "shorter": {"0.1": 0.9}})
    assert "0.200 after ten times as much" in page({"tiny": told})
    assert "More training" not in page({"tiny": entry})


def test_a_shorter_training_is_judged_as_the_sweep_was(
    entry: Entry, tiny_bundle: NativeBundle, data: Dataset, digits_judge: Judge
) -> None:
    found = entry
    for budget in (0.5, 0.1):
        found = with_shorter(found, budget, tiny_bundle, data, digits_judge)
    own, real = tiny_bundle.model.architecture.sampling, digits_judge.look(data.test.batch(slice(None)))
    [point] = sweep(tiny_bundle.model, digits_judge, real, SAMPLES, own, (own.steps,)).points.values()
    assert list(found.shorter.items()) == [("0.1", point.frechet), ("0.5", point.frechet)]
    assert found.model_copy(update={"shorter": {}}) == entry


def test_tables_have_as_many_cells_as_heads(entry: Entry) -> None:
    full = entry.model_copy(
        update={"guide": "classifier", "guided": [Guided(scale=1, samples=9, frechet=1, accuracy=None, diversity=1)]}
    )
    block: list[int] = []
    for line in page({"tiny": full}).splitlines():
        block = [*block, line.count("|")] if line.startswith("|") else []
        assert len(set(block)) <= 1


@pytest.mark.parametrize(
    ("figure", "text"), [(0.0, "0.00"), (0.012345, "0.0123"), (1234.5, "1,234"), (-2.5, "-2.50"), (None, "–")]
)
def test_figures_are_shown_in_significant_digits(figure: float | None, text: str) -> None:
    assert shown(figure) == text


def judged(entries: list[Entry], promise: str) -> list[Bar]:
    """The bars that were measured of the promise that begins so."""
    found = bars({entry.name: entry for entry in entries})
    return [bar for bar in found if bar.what.startswith(promise) and bar.figure is not None]


def test_nothing_is_judged_without_figures() -> None:
    assert [bar for bar in bars({}) if bar.reached is not None] == []
    assert "not measured" in page({})


def test_the_columns_of_a_gpu_are_empty_until_they_are_measured(entry: Entry) -> None:
    row = next(line for line in page({"tiny": entry}).splitlines() if line.startswith("| tiny | – | – |"))
    assert row == "| tiny | – | – | – | – |"
    frechet = {"cuda": {"value": 0.331}, "cpu": {"value": 0.332}}
    found = {
        "machine": "a card",
        "recipes": {"tiny": {"seconds": 29.5, "frechet": frechet, "within": 40, "figures": 41}},
    }
    assert "| tiny | 29.5 | 0.331 | 0.332 | 40 of 41 |" in page({"tiny": entry}, found)


@pytest.mark.parametrize(
    ("promise", "name", "pairs"),
    [
        ("Frechet distance of ddpm-pixel-guided", "ddpm-pixel-guided", [(0.29, True), (0.31, False)]),
        ("Frechet distance of rf-pixel", "rf-pixel", [(0.29, True), (0.31, False)]),
        ("Frechet distance of fm-large", "fm-large", [(0.19, True), (0.21, False)]),
    ],
)
def test_frechet_bars_follow_the_card(entry: Entry, promise: str, name: str, pairs: list[tuple[float, bool]]) -> None:
    def with_frechet(name: str, value: float) -> Entry:
        scores = entry.card.scores | {"frechet": Figure(value=value, real=0.1, prior=None)}
        return entry.model_copy(update={"name": name, "card": entry.card.model_copy(update={"scores": scores})})

    for value, reached in pairs:
        [bar] = judged([with_frechet(name, value), with_frechet("fm-small", 0.2)], promise)
        assert (bar.recipe, bar.reached) == (name, reached)


@pytest.mark.parametrize(
    ("other", "promise", "pairs"),
    [
        ("Flow-1", "Frechet distance of Flow-1", [(2.1, True), (1.9, False)]),
        ("teacher", "Frechet distance in one step", [(0.7, True), (0.6, False)]),
        ("as a flow", "Frechet distance in one step", [(0.7, True), (0.6, False)]),
    ],
)
def test_sweep_bars_follow_the_sweeps(entry: Entry, other: str, promise: str, pairs: list[tuple[float, bool]]) -> None:
    for frechet, reached in pairs:
        sweeps = {"tiny": flat(1.0), f"tiny, {other}": flat(frechet)}
        [bar] = judged([entry.model_copy(update={"sweeps": sweeps})], promise)
        assert (bar.recipe, bar.reached) == ("tiny", reached)


def test_guidance_bars_follow_the_guided_figures(entry: Entry) -> None:
    def guided(name: str, guide: str, accuracy: float, diversity: float) -> Entry:
        one = Guided(scale=2, samples=10, frechet=1, accuracy=accuracy, diversity=diversity)
        update = {"name": name, "guide": guide, "scale": 2.0, "guided": [one], "accuracy": accuracy}
        return entry.model_copy(update=update)

    for accuracy, spread, reached in [(0.991, 0.51, True), (0.989, 0.49, False)]:
        [dreamt] = judged([guided("digitdreamer", "classifier-free", accuracy, 1)], "share of digitdreamer's")
        by_classifier = [guided("any", "classifier", accuracy, spread)]
        [hit], [diverse] = judged(by_classifier, "share of samples"), judged(by_classifier, "diversity")
        assert (dreamt.reached, hit.reached, diverse.reached) == (reached, reached, reached)


def test_time_bars_follow_the_seconds(entry: Entry) -> None:
    for parts, allowed in [(("conv", "unet"), 30), (("identity", "mlp"), 30), (("identity", "unet"), 60)]:
        for spare, reached in [(-1, True), (1, False)]:
            update = {"autoencoder": parts[0], "backbone": parts[1], "undisturbed": {"a": 60 * allowed, "b": spare}}
            [bar] = judged([entry.model_copy(update=update)], "training")
            assert (bar.limit, bar.reached) == (allowed, reached)


def test_what_is_missed_is_said_in_words(entry: Entry) -> None:
    late = entry.model_copy(update={"undisturbed": {"generator": 6000.0}})
    assert "tiny, training, undisturbed (minutes): 100.0 where at most 30 was promised" in page({"tiny": late})
    assert "Not reached" not in page({"tiny": entry})
