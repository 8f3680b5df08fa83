"""The report of a run: whole in itself, readable without eyes, and safe whatever a card says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from command import TINY
from latentarena.bundle import NativeBundle
from latentarena.card.score_card import ScoreCard
from latentarena.card.words import rows_by_category
from latentarena.data import Dataset, Images
from latentarena.data.digits import embedded_digits
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.judge.classifier import Judge
from latentarena.randomness import stream
from latentarena.report.report import write_report
from latentarena.report.show import VIEWS
from latentarena.run.pipeline import Prepared, run
from latentarena.train.recipe import Recipe, load_recipe
from pages import Page


@pytest.fixture(scope="module")
def page(tiny_run: Path) -> Page:
    """The tiny run's report."""
    return Page((tiny_run / "report.html").read_text())


@pytest.fixture(scope="module")
def card(tiny_run: Path) -> ScoreCard:
    """The tiny run's score card."""
    return ScoreCard.model_validate(json.loads((tiny_run / "score.json").read_text()))


def test_report_needs_neither_network_nor_scripts_nor_eyes(page: Page) -> None:
    page.assert_offline()


def test_report_holds_the_score_card_and_the_training(page: Page, card: ScoreCard) -> None:
    rows = [row for rows in rows_by_category(card).values() for row in rows]
    assert [row.title for row in rows if row.title not in page.text or row.value not in page.text] == []
    described = " ".join(attributes.get("alt", "") for tag, attributes in page.tags if tag == "img")
    assert "loss against time" in described
    assert "latents by class" in described
    assert [view.alt for name, view in VIEWS.items() if name != "guidance" and view.alt not in described] == []


def test_every_picture_can_be_enlarged_without_scripts(page: Page, tiny_run: Path) -> None:
    switches = [attributes["aria-label"] for tag, attributes in page.tags if tag == "input"]
    assert switches == [f"enlarge: {attributes['alt']}" for tag, attributes in page.tags if tag == "img"]
    assert (tiny_run / "report.html").stat().st_size < 4_000_000


def test_report_names_what_is_needed_to_repeat_the_run(
    page: Page, card: ScoreCard, tiny_run: Path, tmp_path: Path
) -> None:
    for known in (card.bundle, card.data, card.judge_hash, card.source):
        assert known in page.text
    [recipe] = [text for text in page.text if text.startswith("name:")]
    again = tmp_path / "again.yaml"
    again.write_text(recipe)
    assert load_recipe(str(again)) == Recipe.model_validate_json(
        json.dumps(json.loads((tiny_run / "bundle" / "card.json").read_text())["provenance"]["recipe"])
    )


def test_what_a_card_says_is_text_and_never_markup(
    tiny_run: Path, tiny_bundle: NativeBundle, card: ScoreCard, digits_judge: Judge, tmp_path: Path
) -> None:
    data = embedded_digits()
    hostile = card.model_copy(update={"model": "<b>x", "notice": "<script>alert(1)</script> & 'so' on"})
    findings = judge_bundle(tiny_bundle, Panel(data, digits_judge), samples=100, timed=False).findings
    write_report(tmp_path / "report.html", tiny_bundle, data, digits_judge, hostile, findings, tiny_run / "logs")
    page = Page((tmp_path / "report.html").read_text())
    assert {"b", "script"}.isdisjoint(tag for tag, _ in page.tags)
    assert "<b>x" in page.text
    assert "<script>alert(1)</script> & 'so' on." in page.text
    [note] = [attributes for tag, attributes in page.tags if attributes.get("role") == "note"]
    assert note["class"] == "notice"


def test_report_without_notice_has_no_note(page: Page, card: ScoreCard) -> None:
    assert card.notice == ""
    assert "note" not in {attributes.get("role") for _, attributes in page.tags}


@pytest.mark.parametrize(("train", "test"), [(40, 2), (40, 3), (16, 9)])
def test_few_images_and_mathematical_class_names_make_a_report(train: int, test: int, tmp_path: Path) -> None:
    """Fewer test images than latent dimensions, classes named like formulas, and a latent of one dimension."""
    generator = stream("few")
    pixels = torch.randint(256, (train + test, 1, 12, 12), generator=generator, dtype=torch.uint8)
    labels = torch.arange(train + test) % 2
    parts = Images(pixels[:train], labels[:train]), Images(pixels[train:], labels[train:])
    data = Dataset.of("few", *parts, ("$_$", "b$^$"))
    recipe = load_recipe("quickstart-digits", [*TINY, "autoencoder.latent=[1]"])
    prepared = Prepared(recipe, data, tmp_path, "")
    ran = run(prepared, Fabric(accelerator="cpu", devices=1), samples=200)
    assert ran is not None
    assert (ran[0] / "report.html").read_text().count("<img") >= 6
