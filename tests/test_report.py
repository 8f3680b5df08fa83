"""The report of a run: whole in itself, readable without eyes, and safe whatever a card says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from conftest import TINY
from latentarena.bundle import Bundle
from latentarena.data import Dataset, Images
from latentarena.data.digits import embedded_digits
from latentarena.judge.classifier import Judge
from latentarena.judge.score import METRICS, ScoreCard
from latentarena.randomness import stream
from latentarena.study.pipeline import Prepared, run
from latentarena.study.report import table_rows, write_report
from latentarena.study.scoring import score_bundle
from latentarena.train.recipe import Recipe, load_recipe


@dataclass
class Page(HTMLParser):
    """What a browser would find: tags with their attributes, and the text between them."""

    source: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text.append(data.strip())


@pytest.fixture(scope="module")
def page(tiny_run: Path) -> Page:
    """The tiny run's report."""
    return Page((tiny_run / "report.html").read_text())


@pytest.fixture(scope="module")
def card(tiny_run: Path) -> ScoreCard:
    """The tiny run's score card."""
    return ScoreCard.model_validate(json.loads((tiny_run / "score.json").read_text()))


def test_report_needs_neither_network_nor_scripts(page: Page) -> None:
    addresses = [
        value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href", "srcset")
    ]
    assert addresses
    assert [address[:40] for address in addresses if not address.startswith("data:image/png;base64,")] == []
    assert {"script", "link", "iframe", "object", "base"}.isdisjoint(tag for tag, _ in page.tags)
    assert [name for _, attributes in page.tags for name in attributes if name.startswith("on")] == []
    assert "url(" not in page.source
    assert "@import" not in page.source


def test_every_picture_is_described(page: Page) -> None:
    described = [attributes.get("alt", "") for tag, attributes in page.tags if tag == "img"]
    assert len(described) >= 6
    assert all(described)
    assert len(set(described)) == len(described)


def test_report_holds_every_figure_of_the_card(page: Page, card: ScoreCard) -> None:
    rows = table_rows(card)
    assert {row["title"] for row in rows} == {metric.title for metric in METRICS.values()}
    cells = [row[column] for row in rows for column in ("title", "value", "real", "prior", "better") if row[column]]
    assert [cell for cell in cells if cell not in page.text] == []


def test_table_rounds_the_figures_of_the_card(card: ScoreCard) -> None:
    for row, (name, score) in zip(table_rows(card), card.scores.items(), strict=True):
        half = 0.5000001 * 10 ** -METRICS[name].decimals
        for column in ("value", "real", "prior"):
            figure = getattr(score, column)
            assert (row[column] == "–") == (figure is None)
            assert figure is None or abs(float(row[column].replace(",", "")) - figure) <= half


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
    tiny_run: Path, tiny_bundle: Bundle, card: ScoreCard, digits_judge: Judge, tmp_path: Path
) -> None:
    data = embedded_digits()
    hostile = card.model_copy(update={"model": "<b>x", "notice": "<script>alert(1)</script> & 'so' on"})
    _, findings = score_bundle(tiny_bundle, data, digits_judge, samples=100)
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


@pytest.mark.parametrize(("train", "test"), [(40, 1), (40, 3), (12, 9)])
def test_few_images_and_mathematical_class_names_make_a_report(train: int, test: int, tmp_path: Path) -> None:
    """Fewer test images than latent dimensions, classes named like formulas, and a latent of one dimension."""
    generator = stream("few")
    pixels = torch.randint(256, (train + test, 1, 12, 12), generator=generator, dtype=torch.uint8)
    labels = torch.arange(train + test) % 2
    parts = Images(pixels[:train], labels[:train]), Images(pixels[train:], labels[train:])
    data = Dataset.of("few", *parts, ("$_$", "b$^$"))
    recipe = load_recipe("quickstart-digits", [*TINY, "autoencoder.latent=[1]"])
    prepared = Prepared(recipe, data, tmp_path, "")
    results = run(prepared, Fabric(accelerator="cpu", devices=1))
    assert results is not None
    assert results.report.read_text().count("<img") >= 6
