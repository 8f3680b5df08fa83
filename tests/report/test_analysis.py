"""The analysis of a run: its figures and pictures, and a student's own words, which are never lost."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from command import Arena
from latentarena.arena.contest_files import load_contest
from latentarena.bundle import OWN, AnyBundle, NativeBundle, open_bundle
from latentarena.card.score_card import Score, ScoreCard, read_card
from latentarena.card.words import contest_cells, rows_by_category
from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.judge.classifier import Judge
from latentarena.report.analysis import (
    KINDS,
    QUESTIONS,
    Analysed,
    card_of,
    compared,
    home_of,
    published,
    write_analysis,
)
from latentarena.report.markdown import inert, pieces, place, table, words_in
from latentarena.text import printable
from pages import Page

OPEN = load_contest("open")


def analysed(out: Path, bundle: AnyBundle, card: ScoreCard, contest: str = "open") -> Analysed:
    return write_analysis(out, bundle, card, embedded_digits(), load_contest(contest), {})


@pytest.fixture(autouse=True)
def no_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: Analysed) -> None:
    """Only `made` is printed: a browser takes seconds to start."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("latentarena.report.publishing.APPLICATIONS", ())


@pytest.fixture(scope="module")
def card(tiny_run: Path) -> ScoreCard:
    return read_card(tiny_run / "score.json")


@pytest.fixture(scope="module")
def made(tiny_bundle: NativeBundle, card: ScoreCard, tmp_path_factory: pytest.TempPathFactory) -> Analysed:
    """The tiny run's analysis, held against a model of other figures and against itself."""
    better = {"frechet": Score(value=1e-3, low=1e-4, high=2e-3), "mse": Score(value=0.9, low=0.8, high=1.0)}
    other = card.model_copy(update={"scores": card.scores | better})
    out = tmp_path_factory.mktemp("analysis")
    return write_analysis(out, tiny_bundle, card, embedded_digits(), OPEN, {"other": other, "itself": card})


def test_the_page_needs_neither_network_nor_scripts_nor_eyes(made: Analysed) -> None:
    Page(made.page.read_text()).assert_offline()


def test_every_figure_stands_in_text_and_page_with_its_interval(made: Analysed, card: ScoreCard) -> None:
    text, page = html.unescape(made.text.read_text()), Page(made.page.read_text()).text
    for rows in rows_by_category(card).values():
        for row in rows:
            for words in (row.title, row.value, row.interval):
                assert inert(words) in text
                assert words in page or not words
    assert card.fingerprint in text


def test_all_pictures_lie_beside_the_text_and_in_the_page(made: Analysed) -> None:
    drawn = {path.name for path in made.text.parent.glob("*.png")}
    assert drawn == set(KINDS)
    images = [attributes for tag, attributes in Page(made.page.read_text()).tags if tag == "img"]
    assert len(images) == len(drawn)
    assert [name for name in drawn if f"]({name})" not in made.text.read_text()] == []


def test_another_run_is_better_worse_or_even_beyond_the_error_bars(made: Analysed) -> None:
    lines = {line.split(" |")[0].strip("| "): line for line in made.text.read_text().splitlines() if "**" in line}
    assert "**better** " in lines["Frechet distance (lower)"].replace("|", "")
    assert "**worse** " in lines["MSE (lower)"].replace("|", "")
    words = [line.rstrip(" |").rpartition(" ")[2] for name, line in lines.items() if name.endswith(("er)", "1)"))]
    assert len(words) > 5
    assert set(words) == {"**even**"}  # the last column is the model itself


def test_every_question_has_a_place(made: Analysed) -> None:
    assert set(made.unanswered) == set(QUESTIONS) == set(words_in(made.text.read_text()))
    assert made.page.read_text().count('class="words empty"') == len(QUESTIONS)


def test_a_pdf_is_printed_or_it_is_said_why_not(
    made: Analysed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if made.pdf is not None:
        assert made.pdf.read_bytes().startswith(b"%PDF")
        assert made.why == ""
    folder = tmp_path / "analysis"
    shutil.copytree(made.text.parent, folder)
    without = published(folder)
    assert without.pdf is None
    assert without.why.startswith("no PDF: there is no Chromium")
    assert not (folder / "analysis.pdf").exists()


def test_words_are_kept_when_all_else_is_made_anew(tiny_bundle: NativeBundle, card: ScoreCard, tmp_path: Path) -> None:
    first = analysed(tmp_path, tiny_bundle, card)
    words = "Ones lie *apart*.\n\n- 4 and 9 <script>alert(1)</script>\n- $x^2$ | y"
    text = first.text.read_text()
    text = text.replace("# ", "# of mine ", 1).replace(place("latents"), place("latents", words))
    first.text.write_text(text + "\n" + place("thanks", "To all."))
    again = analysed(tmp_path, tiny_bundle, card, "contest-2025")
    found = words_in(again.text.read_text())
    assert (found["latents"], found["thanks"]) == (words, "To all.")
    assert "of mine" not in again.text.read_text()
    assert set(again.unanswered) == set(QUESTIONS) - {"latents"}
    assert [cell for cell in contest_cells(card).values() if cell not in again.text.read_text()] == []
    page = Page(again.page.read_text())
    assert {"apart", "To all."} <= set(page.text)
    assert "4 and 9 <script>alert(1)</script>" in page.text
    assert "script" not in {tag for tag, _ in page.tags}


def test_names_are_text_and_never_markup(tiny_bundle: NativeBundle, card: ScoreCard, tmp_path: Path) -> None:
    name, notice = "<b>x</b> | *y* [z](w) <!-- your words: latents -->", "`code` _and_ <i>more</i>"
    made = analysed(tmp_path, tiny_bundle, card.model_copy(update={"model": name, "notice": notice}))
    page = Page(made.page.read_text())
    assert f"{name}: analysis of results" in page.text
    assert f"{notice}." in page.text
    assert {"b", "i"}.isdisjoint(tag for tag, _ in page.tags)
    assert set(made.unanswered) == set(QUESTIONS)


def test_a_portable_bundle_is_analysed_too(portable_folder: Path, digits_judge: Judge, tmp_path: Path) -> None:
    bundle = open_bundle(portable_folder, trust=OWN)
    card = judge_bundle(bundle, Panel(embedded_digits(), digits_judge), samples=200, timed=False).card
    made = analysed(tmp_path, bundle, card)
    assert {"latent.png", "traverse.png", "samples.png"} <= {path.name for path in tmp_path.iterdir()}
    Page(made.page.read_text()).assert_offline()


def test_a_picture_of_ones_own_is_shown_where_it_lies_beside_the_text(made: Analysed, tmp_path: Path) -> None:
    folder = tmp_path / "analysis"
    shutil.copytree(made.text.parent, folder)
    shutil.copy(folder / "latent.png", folder / "own.png")
    text = (folder / "analysis.md").read_text()
    (folder / "analysis.md").write_text(text.replace(place("limits"), place("limits", "![a drawing](own.png)\nMine.")))
    images = [one["alt"] for tag, one in Page(published(folder).page.read_text()).tags if tag == "img"]
    assert "a drawing" in images
    for source in ("../secret.png", "https://example.org/x.png", "own.svg", "nothing.png"):
        (folder / "analysis.md").write_text(f"# x\n\n![a]({source})\n")
        with pytest.raises(ConfigError, match="no PNG file in this folder"):
            published(folder)


def test_a_card_of_another_bundle_or_judge_is_refused(
    tiny_bundle: NativeBundle, card: ScoreCard, tiny_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="that of another bundle"):
        analysed(tmp_path, tiny_bundle, card.model_copy(update={"bundle": "0" * 64}))
    assert list(compared(card, [tiny_run, tiny_run / "score.json"])) == [tiny_run.name, "score.json"]
    with pytest.raises(ConfigError, match="only figures of one judge"):
        compared(card, [Path("zoo:quickstart")])


def test_a_run_is_found_by_its_bundle_and_what_is_none_is_refused(
    tiny_run: Path, portable_folder: Path, tmp_path: Path
) -> None:
    assert home_of(tiny_run / "bundle") == tiny_run
    assert card_of(tiny_run / "bundle") == card_of(tiny_run) == card_of(tiny_run / "score.json")
    with pytest.raises(ConfigError, match="is a bundle alone"):
        card_of(portable_folder)
    with pytest.raises(ConfigError, match=r"holds no score\.json; arena judge"):
        card_of(tmp_path)
    with pytest.raises(ConfigError, match="cannot read"):
        card_of(tmp_path / "nowhere")


def test_the_command_says_what_it_wrote_and_what_comes_next(arena_here: Arena, tiny_run: Path, tmp_path: Path) -> None:
    done = arena_here("analyse", tiny_run, "--out", tmp_path, "--against", tiny_run / "score.json")
    assert done.returncode == 0, done.stderr
    assert f"page  {tmp_path / 'analysis.html'}" in done.stdout
    assert "next: write your own words" in done.stdout
    commands = re.findall(r"then: (arena .*)", done.stdout)  # `open` is on MNIST, and would take no model of digits
    anew = f"arena analyse {tiny_run} --contest digits, for this run is of digits and open is on mnist"
    assert commands == [anew, f"arena pack {tiny_run} --analysis {tmp_path} --contest digits"]
    text = (tmp_path / "analysis.md").read_text()
    assert "It would not be ranked there: judged on digits, not on mnist." in text
    recipe = json.loads((tiny_run / "bundle" / "card.json").read_text())["provenance"]["recipe"]
    assert f"    seed: {recipe['seed']}" in text


LINE = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


@given(LINE)
def test_inert_text_is_read_as_it_stands(text: str) -> None:
    reader = MarkdownIt("commonmark", {"html": False})
    assert html.unescape(reader.renderInline(inert(text))).strip() == printable(text).strip()


@given(LINE, LINE)
def test_cells_stay_in_their_columns(first: str, second: str) -> None:
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    page = Page(reader.render(table(["a", "b"], [["x" + first, "y" + second]])))
    assert [tag for tag, _ in page.tags].count("td") == 2
    assert {tag for tag, _ in page.tags} == {"table", "thead", "tbody", "tr", "th", "td"}


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40), st.sampled_from(sorted(QUESTIONS)))
def test_words_come_back_as_they_were_written(words: str, name: str) -> None:
    words = words.replace("<!--", "").strip()
    text = f"before\n{place(name, words)}\n<!-- aside -->\nafter"
    assert words_in(text) == {name: words}
    assert [piece for piece, own in pieces(text) if own] == [words]
    assert "aside" not in "".join(piece for piece, _ in pieces(text))


def test_words_on_the_lines_of_the_marks_are_kept() -> None:
    begin, end = place("limits").split("\n")[0], "<!-- end of your words -->"
    text = f"x\n{begin} First.\nSecond. {end} Third.\nbetween\n{begin.replace('limits', 'results')}\n{end}Late."
    assert words_in(text) == {"limits": "First.\nSecond.\nThird.", "results": "Late."}
    assert list(pieces(text))[1:4] == [("First.\nSecond.\nThird.", True), ("between\n", False), ("Late.", True)]
    both = f"{begin}\nOne.\n{end} {begin.replace('limits', 'results')}\nTwo.\n{end}"
    assert words_in(both) == {"limits": "One.", "results": "Two."}
