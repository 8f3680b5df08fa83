"""What people see of a score card: every figure, whole pages, readable pictures, and nothing that a name can do."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from latentarena.bundle import NativeBundle, save_bundle
from latentarena.card import words as wording
from latentarena.card.catalogue import CATEGORIES, METRICS
from latentarena.card.columns import COLUMNS
from latentarena.card.metric import Likeness
from latentarena.card.score_card import Advice, Opinion, ScoreCard, Timing
from latentarena.card.words import CLEAN, contest_cells, contest_line, references, rows_by_category
from latentarena.cli.console import print_card, print_contest
from latentarena.data.digits import embedded_digits
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.judge.classifier import Judge
from latentarena.judge.material import Labels
from latentarena.judge.metrics import Figure, draws
from latentarena.judge.metrics.classes import of_labels
from latentarena.judge.score import Findings
from latentarena.model.latent_model import LatentModel
from latentarena.report.poster import WIDTH, write_poster
from latentarena.report.scorecard import (
    environment,
    least_sure,
    nearest_pairs,
    section,
    steps_floor,
    worst_reconstructions,
    write_page,
)
from latentarena.train.recipe import load_recipe
from pages import Page

N = 300
DATA = embedded_digits()
ADVICE = Advice(fault="<b>blurred", text="[red]edges[/red] & $x^$ look soft", remedy="<script>alert(1)</script>")
TIMING = Timing(
    threads=1, batch=100, repeats=5, ms_per_sample=Figure(value=2, low=1.5, high=3), reference_ms=4, ratio=0.5
)
Judged = tuple[ScoreCard, Findings]


@pytest.fixture(scope="module")
def judged(tiny_bundle: NativeBundle, digits_judge: Judge) -> Judged:
    """The tiny model's card on few samples, with an opinion, a timing and references."""
    judged = judge_bundle(tiny_bundle, Panel(DATA, digits_judge), samples=N, timed=False)
    card, findings = judged.card, judged.findings
    other = Opinion(
        judge="digits-other",
        kind="patches",
        digest="0" * 64,
        frechet=card.scores["frechet"],
        confidence=0.91,
        real_confidence=0.92,
        agreement=0.93,
        real_agreement=0.94,
    )
    return card.model_copy(update={"opinions": (other,), "timing": TIMING}), findings


@pytest.fixture(scope="module")
def pixels(tiny_bundle: NativeBundle, digits_judge: Judge, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """The card of a conditional model of pixels, untrained."""
    parts = ["autoencoder={kind: identity}", "training.autoencoder=null", "sampling.steps=1"]
    network = ["generator.backbone={kind: conv, width: 4, depth: 1}", "generator.conditional=true"]
    recipe = load_recipe("quickstart-digits", [*parts, *network])
    model = LatentModel(recipe.architecture(DATA.shape, DATA.classes))
    bundle = save_bundle(tmp_path_factory.mktemp("pixels"), "pixels", model, tiny_bundle.card.provenance)
    found = judge_bundle(bundle, Panel(DATA, digits_judge), samples=N, timed=False)
    return found.card, found.findings


@pytest.fixture(scope="module")
def page(judged: Judged, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of the tiny model's card."""
    return page_of(judged, tmp_path_factory.mktemp("page") / "card.html")


def page_of(judged: Judged, path: Path) -> Page:
    write_page(path, *judged, DATA)
    return Page(path.read_text())


def test_page_is_whole_in_itself_and_holds_every_figure(judged: Judged, page: Page) -> None:
    card = judged[0]
    page.assert_offline()
    for name, score in card.scores.items():
        metric = METRICS[name]
        assert metric.title in page.text
        assert metric.what in page.text
        assert f"{score.value:,.{metric.decimals}f}".replace("-0.00000", "0.00000") in page.text
    identity = (card.model, card.judge, card.judge_hash, card.bundle, card.fingerprint, card.data, card.source)
    assert [known for known in identity if known not in page.text] == []
    said = " ".join(page.text)
    assert "2 ms a sample (1.5 to 3) on 1 thread" in said
    assert "0.5 times the reference model's 4 ms" in said
    assert {"digits-other", "patches", "93.00%", *COLUMNS} <= set(page.text)
    for title in CATEGORIES.values():
        assert title in said


def test_table_rounds_the_figures_of_the_card(judged: Judged) -> None:
    card = judged[0]
    rows = [row for rows in rows_by_category(card).values() for row in rows]
    scores = {METRICS[name].title: (METRICS[name], score) for name, score in card.scores.items()}
    metric_of = {METRICS[name].title: name for name in card.scores}
    assert [row.title for row in rows] == [metric.title for metric in METRICS.values() if metric.title in scores]
    for row in rows:
        metric, score = scores[row.title]
        if metric.certified:
            assert row.interval == "uncertified"
            continue
        half = 0.5000001 * 10**-metric.decimals
        shown = [(row.value, row.interval, score)] + [(row.real, row.real_interval, score.real)] * (
            score.real is not None
        )
        for value, interval, one in shown:
            assert one is not None
            assert abs(float(value.replace(",", "")) - one.value) <= half
            assert bool(interval) == (one.low < one.value or one.value < one.high)
            ends = interval.strip("[]").split(", ") if interval else []
            assert all(abs(float(end) - bound) <= half for end, bound in zip(ends, (one.low, one.high), strict=False))
        assert row.likeness == judged[0].likeness(metric_of[row.title])
        assert not (row.real and score.real is None)


def test_marks_stand_where_figures_are_equivalent(judged: Judged, page: Page) -> None:
    found = Counter(map(judged[0].likeness, judged[0].scores))
    assert found[Likeness.UNTOLD] > 0
    marks = [attributes for tag, attributes in page.tags if attributes.get("class") == "like"]
    assert len(marks) - 1 == found[Likeness.LIKE]  # one explains the mark
    assert page.text.count("?") - 1 == found[Likeness.UNTOLD]
    assert f"too few images to tell: at {judged[0].real_images:,} that interval" in " ".join(page.text)


def test_what_a_card_says_is_text_and_never_markup(
    judged: Judged, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    update = {
        "model": "<b>$x_$ [red]y[/nope]\x1b[31m",
        "notice": "<script>alert(1)</script> & $_$",
        "advice": (ADVICE,),
    }
    hostile = judged[0].model_copy(update=update)
    page = page_of((hostile, judged[1]), tmp_path / "card.html")
    assert {"b", "script"}.isdisjoint(tag for tag, _ in page.tags)
    assert hostile.model in page.text
    assert ADVICE.fault in page.text
    assert f"{hostile.notice}." in page.text
    write_poster(tmp_path / "card.png", hostile, judged[1], DATA)
    print_card(hostile)
    print_contest(hostile)
    printed = capsys.readouterr().out
    assert printed.count("<b>$x_$ [red]y[/nope]") == 3
    assert "[red]edges[/red]" in printed
    assert "\x1b" not in printed


def test_advice_comes_first_and_a_clean_card_says_so(judged: Judged, tmp_path: Path) -> None:
    warned = page_of((judged[0].model_copy(update={"advice": (ADVICE,)}), judged[1]), tmp_path / "a.html").text
    assert warned.index(ADVICE.fault) < warned.index("Points") < warned.index("Score card")
    assert any(ADVICE.remedy in text for text in warned)
    assert CLEAN not in warned
    template = environment().get_template("scorecard.html")
    clean = judged[0].model_copy(update={"advice": ()})
    assert CLEAN in template.render(section(clean, judged[1], DATA))


def test_models_of_pixels_have_page_and_picture(pixels: Judged, tmp_path: Path) -> None:
    card, findings = pixels
    assert findings.reconstructed is None
    assert worst_reconstructions(findings, DATA) is None
    page = page_of(pixels, tmp_path / "card.html")
    page.assert_offline()
    assert "Reconstructions" not in page.text
    assert "There is no other judge of this data." in page.text
    assert [name for name in card.by_class if f"{name}:" not in page.text] == []
    write_poster(tmp_path / "card.png", card, findings, DATA)
    assert Image.open(tmp_path / "card.png").size[0] == WIDTH


def test_picture_is_a_png_of_the_stated_width(judged: Judged, tmp_path: Path) -> None:
    write_poster(tmp_path / "card.png", *judged, DATA)
    picture = Image.open(tmp_path / "card.png")
    picture.load()
    assert (picture.format, picture.width, WIDTH) == ("PNG", WIDTH, 1600)
    assert picture.height < 2400
    assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 100


def test_worst_reconstructions_have_the_largest_errors(judged: Judged) -> None:
    _, findings = judged
    worst = worst_reconstructions(findings, DATA, 5)
    assert worst is not None
    assert findings.reconstructed is not None
    originals, made, errors = worst
    every = (findings.reconstructed - DATA.test.batch(slice(None))).square().flatten(1).mean(1)
    torch.testing.assert_close(errors.double(), every.double().sort(descending=True).values[:5])
    torch.testing.assert_close((made - originals).square().flatten(1).mean(1), errors.float())


def test_samples_are_sorted_by_confidence(judged: Judged, digits_judge: Judge) -> None:
    sure, unsure = (digits_judge.look(images).probabilities.max(1).values for images in least_sure(judged[1], 10))
    every = judged[1].seen.probabilities.max(1).values.sort().values
    torch.testing.assert_close(sure.sort().values, every[-10:])
    torch.testing.assert_close(unsure, every[:10])


def test_neighbours_stand_below_the_samples_they_are_nearest_to(judged: Judged) -> None:
    drawn, train, ratio = nearest_pairs(judged[1], DATA, 4)
    apart = (drawn[:, None] - DATA.train.batch(slice(None))[None]).square().flatten(2).sum(2).sqrt()
    two = apart.sort(1).values[:, :2]
    torch.testing.assert_close((drawn - train).square().flatten(1).sum(1).sqrt(), two[:, 0])
    assert float(two[0, 0] / two[0, 1]) == pytest.approx(ratio, abs=1e-5)
    assert ratio == pytest.approx(float((judged[1].near.first / judged[1].near.second).min()))


def test_floor_of_the_steps_is_the_judges_own_at_as_many_samples(judged: Judged) -> None:
    floor = judged[1].scores["frechet"].real
    assert floor is not None
    assert steps_floor(judged[1], DATA) == pytest.approx(floor.value, rel=1e-6)


def test_a_card_without_other_numbers_of_steps_has_no_chart_of_them(judged: Judged, tmp_path: Path) -> None:
    card, findings = judged
    pages = [(tmp_path / f"{i}.html", some) for i, some in enumerate([card.by_steps, {}])]
    for path, some in pages:
        write_page(path, card.model_copy(update={"by_steps": some}), findings, DATA)
    assert ["line chart of the Frechet distance" in path.read_text() for path, _ in pages] == [True, False]
    write_poster(tmp_path / "card.png", card.model_copy(update={"by_steps": {}}), findings, DATA)


def test_contest_columns_are_in_their_order_and_infinity_is_shown(judged: Judged) -> None:
    card = judged[0].model_copy(
        update={"model": "=1+1, \n x", "contest_2025": judged[0].contest_2025 | {"kl_div_classes": None}}
    )
    cells = contest_cells(card)
    assert list(cells) == list(COLUMNS)
    assert cells["kl_div_classes"] == "∞"
    assert cells["time_per_sample"] == "0.002"
    [row] = csv.reader(io.StringIO(contest_line(card)))
    assert row[:3] == ["'=1+1, x", "", "6"]
    figures = dict(zip(COLUMNS, map(float, row[3:]), strict=True))
    assert figures["kl_div_classes"] == float("inf")
    assert figures["time_per_sample"] == pytest.approx(0.002)
    assert figures["mse"] == pytest.approx(card.contest_2025["mse"])
    untimed = card.model_copy(update={"timing": None})
    assert contest_cells(untimed)["time_per_sample"] == "–"
    assert contest_line(untimed).split(",")[-6] == ""


def test_references_are_read_by_name_and_absent_ones_are_none(
    judged: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert references("mnist") == json.loads((wording.REFERENCES / "mnist.json").read_text())
    assert references("../references/mnist") == references("folder:/x") == {}
    known = {"<i>old": {"quality": 41.5, "training": 3.0}, "$new^": {"reconstruction": 77.7}}
    (tmp_path / f"{judged[0].dataset}.json").write_text(json.dumps(known))
    monkeypatch.setattr(wording, "REFERENCES", tmp_path)
    assert references(judged[0].dataset) == known
    page = page_of(judged, tmp_path / "card.html")
    assert {"<i>old", "$new^", "41.5", "77.7"} <= set(page.text)
    assert "i" not in {tag for tag, _ in page.tags}


def test_printed_card_fits_a_hundred_columns(judged: Judged, capsys: pytest.CaptureFixture[str]) -> None:
    card = judged[0].model_copy(update={"advice": (ADVICE,) * 2})
    print_card(card)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    whole = "\n".join(lines)
    assert [METRICS[name].title for name in card.scores if METRICS[name].title not in whole] == []
    assert card.fingerprint in whole
    places = [next(i for i, line in enumerate(lines) if line.strip().startswith(c)) for c in CATEGORIES.values()]
    assert places == sorted(places)


def test_a_class_that_was_not_asked_for_is_never_the_worst() -> None:
    asked = torch.tensor([1, 1, 2, 2])
    found = of_labels(Labels(draws(4), asked, torch.tensor([1, 1, 2, 2]), 3))
    assert found["worst_accuracy"].value == 1
