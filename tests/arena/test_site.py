"""The static site: whole pages, links that lead somewhere, and nothing that a stranger's folder can do."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from latentarena.arena.contest_files import load_contest
from latentarena.arena.pages import STATIC, heat, percent
from latentarena.arena.site import build_site, read_folder
from latentarena.card.score_card import Advice
from latentarena.cli.app import app
from latentarena.errors import ConfigError, OutputError
from latentarena.files import write_json
from pages import Page
from score_cards import made_card

OPEN = load_contest("open")
EVIL = "<script>alert(1)</script>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def put(home: Path, card: Any, picture: bool = True) -> Path:
    """An evaluated bundle in a folder."""
    home.mkdir(parents=True)
    write_json(home / "score.json", card.model_dump(mode="json"))
    if picture:
        Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(home / "samples.png")
        Image.new("L", (640, 64)).save(home / "reconstructions.png")
    return home


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three teams, one of two entries, one entry that cannot be ranked, and one card that cannot be read."""
    home = tmp_path / "entries"
    put(home / "alpha", made_card("alpha", mse=0.005))
    put(home / "beta" / "first", made_card("beta one", mse=0.02))
    put(home / "beta" / "second", made_card("beta two", mse=0.004), picture=False)
    put(home / "gamma", made_card("gamma", latent=(64,)))
    put(home / "delta", made_card("delta")).joinpath("score.json").write_text('{"format": 1}')
    return home


def links(path: Path) -> Iterator[str]:
    for tag, attributes in Page(path.read_text()).tags:
        for name in ("href", "src"):
            if tag != "base" and attributes.get(name):
                yield str(attributes[name])


def build(folder: Path, out: Path, *options: str) -> str:
    done = CliRunner().invoke(app, ["board", "build", str(folder), "--out", str(out), *options])
    assert done.exit_code == 0, done.output
    return done.output


def test_every_link_leads_to_a_file_and_nothing_is_fetched_from_elsewhere(folder: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build(folder, site)
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 3 + 5
    for page in pages:
        for link in links(page):
            target, anchor = urldefrag(link)
            assert "//" not in target
            file = (page.parent / unquote(target)).resolve() if target else page
            assert file.is_file(), (page, link)
            assert file.is_relative_to(site)
            if anchor and file.suffix == ".html" and file.name != "compare.html":
                assert f'id="{anchor}"' in file.read_text()


def test_the_site_says_what_the_board_says(folder: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    said = build(folder, site)
    board = json.loads((site / "board.json").read_text())
    assert [(line["place"], line["id"]) for line in board["lines"]] == [(1, "beta-second"), (2, "alpha")]
    assert {line["id"] for line in board["others"]} == {"beta-first", "gamma", "delta"}
    text = Page((site / "index.html").read_text()).text
    assert {"beta", "alpha", "gamma", "delta"} <= set(text)
    for line in board["lines"] + board["others"]:
        assert line["team"] in said
        assert (site / "entries" / f"{line['id']}.html").is_file()
    rows = list(csv.DictReader(io.StringIO((site / "board.csv").read_text())))
    assert [row["entry"] for row in rows[:2]] == ["beta-second", "alpha"]
    reasons = {line["id"]: line["refused"] for line in board["others"]}
    assert reasons["gamma"] == "a latent of 64 numbers; this contest takes 3 to 49"
    assert reasons["delta"].startswith("its score card cannot be read: format = 1")
    assert str(tmp_path) not in "".join(path.read_text() for path in site.rglob("*.html"))


def test_building_again_gives_the_same_bytes_and_forgets_entries_that_are_gone(folder: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build(folder, site)
    before = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    build(folder, site)
    assert {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()} == before
    shutil.rmtree(folder / "gamma")
    build(folder, site)
    assert not list((site / "entries").glob("gamma*"))


class Killer(Mapping[str, bytes]):
    """Pictures at which a build ends as if it were killed."""

    def __getitem__(self, name: str) -> bytes:
        raise KeyboardInterrupt

    def __iter__(self) -> Iterator[str]:
        raise KeyboardInterrupt

    def __len__(self) -> int:
        return 1

    def __contains__(self, name: object) -> bool:
        return False


@pytest.mark.parametrize("entry", range(5))
def test_a_build_that_was_killed_lost_no_page_and_is_made_anew(folder: Path, tmp_path: Path, entry: int) -> None:
    fresh, site = tmp_path / "fresh", tmp_path / "site"
    found, files = read_folder(folder, OPEN)
    build_site(found, files, OPEN, fresh)
    whole = {path.relative_to(fresh): path.read_bytes() for path in fresh.rglob("*") if path.is_file()}
    deadly = files | {found[entry].id: Killer()}
    for home in (site, fresh):
        with pytest.raises(KeyboardInterrupt):
            build_site(found, deadly, OPEN, home)
        (home / ".index.html.4711.part").write_bytes(b"half")
    assert all((fresh / name).is_file() for name in whole)  # the board that was there stays whole
    build_site(found, files, OPEN, site)
    assert {name: (site / name).read_bytes() for name in whole} == whole
    only = tmp_path / "only"
    only.mkdir()
    (only / ".arena.css.4711.part").write_bytes(b"half")  # all that a build left that was killed at once
    build_site(found, files, OPEN, only)
    assert (only / "index.html").is_file()


def test_a_folder_of_something_else_is_left_alone(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="holds something else than a board; choose an empty folder"):
        build_site(*read_folder(folder, OPEN), OPEN, mine)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


def test_nothing_that_a_card_says_is_markup(tmp_path: Path) -> None:
    advice = Advice(fault=EVIL, text=f'"><img src=x onerror=alert(1)>{EVIL}', remedy="javascript:alert(1)")
    card = made_card(f"{EVIL}\u202e", advice=(advice,), solver=EVIL, platform=EVIL, notice=EVIL)
    home = put(tmp_path / "in" / "<b>team", card)
    (home / "report.html").write_text(EVIL)
    site = tmp_path / "site"
    build_site(*read_folder(tmp_path / "in", OPEN), OPEN, site)
    for page in site.rglob("*.html"):
        found = Page(page.read_text())
        scripts = [attributes.get("src") for tag, attributes in found.tags if tag == "script"]
        assert all(script and script.endswith("board.js") for script in scripts)
        assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
        assert "style" not in {name for _, attributes in found.tags for name in attributes}
        assert "\u202e" not in page.read_text()
    assert not list(site.rglob("*.report.html"))  # a page from a stranger is left behind
    assert any(EVIL in part for part in Page((site / "entries" / "b-team.html").read_text()).text)


def test_pages_made_here_are_published_and_entries_count_as_verified(folder: Path, tmp_path: Path) -> None:
    (folder / "alpha" / "report.html").write_text("<p>made here")
    site = tmp_path / "site"
    build(folder, site, "--verified")
    assert (site / "entries" / "alpha.report.html").read_text() == "<p>made here"
    assert all(line["verified"] for line in json.loads((site / "board.json").read_text())["lines"])


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    put(secret, made_card("secret"))
    (secret / "report.html").write_text("secret")
    (folder / "linked").symlink_to(secret)
    (folder / "alpha" / "samples.png").unlink()
    (folder / "alpha" / "samples.png").symlink_to(secret / "samples.png")
    (folder / "alpha" / "report.html").symlink_to(secret / "report.html")
    found, files = read_folder(folder, OPEN, verified=True)
    pictures = {one.id: one.pictures for one in found}
    assert "linked" not in pictures
    assert set(files["alpha"]) == pictures["alpha"] == {"reconstructions.png"}
    assert "report.html" not in files["alpha"]


def test_pictures_are_drawn_anew_or_left_out(tmp_path: Path) -> None:
    home = tmp_path / "in"
    for name, content in {"a": None, "b": b"<svg onload=alert(1)>", "c": b"\x89PNG\r\n\x1a\n" + b"0" * 99}.items():
        put(home / name, made_card(name))
        picture = home / name / "samples.png"
        picture.write_bytes(picture.read_bytes() + EVIL.encode() if content is None else content)
    put(home / "d", made_card("d"))
    Image.new("L", (5000, 1)).save(home / "d" / "samples.png")
    found = {name: files.get("samples.png") for name, files in read_folder(home, OPEN)[1].items()}
    assert found["a"] is not None
    assert EVIL.encode() not in found["a"]
    assert (found["b"], found["c"], found["d"]) == (None, None, None)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["marco", "mаrco"], "look alike; rename one of them"),
        (["a\u200bb"], "invisible or reordering character U+200B"),
        ([".hidden"], "holds no evaluated bundle"),
    ],
)
def test_folders_that_cannot_be_a_board_are_one_line(names: list[str], words: str, tmp_path: Path) -> None:
    home = tmp_path / "in"
    home.mkdir()
    for name in names:
        put(home / name, made_card("m"), picture=False)
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        read_folder(home, OPEN)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="is no folder"):
        read_folder(home / "absent", OPEN)


def test_nobody_has_entered_yet(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert "site ->" in build(tmp_path / "in", tmp_path / "site")
    assert any("No entry is ranked yet" in text for text in Page((tmp_path / "site" / "index.html").read_text()).text)


def test_a_bundle_s_own_card_is_no_score_card_and_serves_the_rules(tmp_path: Path) -> None:
    home = put(tmp_path / "in" / "a", made_card("a"))
    (home / "bundle").mkdir()
    write_json(home / "bundle" / "card.json", {"provenance": {"dataset": "mnist"}})
    only = tmp_path / "in" / "b"
    only.mkdir()
    write_json(only / "card.json", {"provenance": {"dataset": "mnist"}})
    [[one], _] = read_folder(tmp_path / "in", OPEN)
    assert one.facts["bundle.provenance.dataset"] == "mnist"


def test_the_look_names_nothing_outside_and_the_script_is_small() -> None:
    css, script = (STATIC / "arena.css").read_text(), (STATIC / "board.js").read_text()
    assert not re.search(r"url\(|@import|https?:", css + script)
    assert "innerHTML" not in script
    assert "eval(" not in script
    assert len(css) + len(script) < 32_000


def test_shades_and_percentages() -> None:
    assert [heat(place, 10) for place in range(1, 11)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert heat(1, 1) == 0
    assert [percent(share) for share in (0, 0.004, 0.5, 0.994, 1)] == ["0 %", "< 1 %", "50 %", "> 99 %", "100 %"]


def test_a_site_is_built_without_torch(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from latentarena.arena.contest_files import load_contest\n"
        "from latentarena.arena.site import build_site, read_folder\n"
        "rules = load_contest('open'); build_site(*read_folder(Path(sys.argv[1]), rules), rules, Path(sys.argv[2]))\n"
        "print(*sorted(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "site")]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "latentarena.arena.site" in loaded
    assert {"torch", "onnx", "onnxruntime", "matplotlib", "typer"}.isdisjoint(loaded)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: the site is not looked at in a browser")
def test_sorting_finding_and_comparing_in_a_browser_from_files(folder: Path, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    put(folder / "omega", made_card("omega", mse=0.5, recall=0.99))
    site = tmp_path / "site"
    build(folder, site)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        for file in sorted(site.rglob("*.html")):  # at phone width nothing scrolls sideways
            page.goto(file.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), file
            assert page.evaluate("getComputedStyle(document.body).margin") == "0px"  # the style sheet is there
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto((site / "index.html").as_uri())
        teams = page.locator("table.ranks tbody tr:visible th[scope=row] > a")
        assert teams.all_inner_texts() == ["beta", "alpha", "omega"]
        page.get_by_role("button", name="Diversity").press("Enter")  # by keyboard
        assert teams.all_inner_texts()[0] == "omega"
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
        page.get_by_role("button", name="Team").click()
        assert teams.all_inner_texts() == ["alpha", "beta", "omega"]
        page.get_by_role("button", name="Team").click()
        assert teams.all_inner_texts() == ["omega", "beta", "alpha"]
        page.get_by_placeholder("Find a team").fill("ALP")
        assert teams.all_inner_texts() == ["alpha"]
        assert not page.locator("td.figure").first.is_visible()
        page.get_by_label("Show the figures").check()
        assert page.locator("tr#alpha td.figure").first.is_visible()
        page.goto((site / "compare.html").as_uri() + "#alpha,omega")
        shown = page.locator("thead th[data-entry]:visible")
        assert [text.strip() for text in shown.all_inner_texts()] == ["alpha", "omega"]
        best = page.locator("tr", has=page.get_by_role("rowheader", name="MSE", exact=True)).locator("td.best")
        assert best.get_attribute("data-entry") == "alpha"
        best = page.locator("tr", has=page.get_by_role("rowheader", name="recall", exact=True)).locator("td.best")
        assert best.get_attribute("data-entry") == "omega"
        same = page.locator("tr", has=page.get_by_role("rowheader", name="SSIM", exact=True)).locator("td.best")
        assert same.count() == 0
        page.get_by_label("beta beta two").check()
        assert shown.count() == 3
        assert faults == []
        browser.close()


def contrast(one: str, other: str) -> float:
    """Of two colours such as #0b6b6b, by WCAG 2.2."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_in_both_themes(theme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", (STATIC / "arena.css").read_text(), re.DOTALL)
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", blocks[theme]))
    for ink in ("ink", "soft", "accent", "gold", "good", "warn", "bad"):
        for ground in ("paper", "panel", "sunk"):
            assert contrast(colors[ink], colors[ground]) >= 4.5, (ink, ground)
    assert contrast(colors["on-accent"], colors["accent"]) >= 4.5
    shade = [
        round(0.34 * int(colors["accent"][i : i + 2], 16) + 0.66 * int(colors["panel"][i : i + 2], 16))
        for i in (1, 3, 5)
    ]
    assert contrast(colors["ink"], "#" + "".join(f"{part:02x}" for part in shade)) >= 4.5  # the best ranks
    for line in ("edge", "faint"):  # borders of fields, and the mark of a shared place, which is large
        assert contrast(colors[line], colors["panel"]) >= 3
