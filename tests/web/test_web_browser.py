"""A semester in a real browser: roster, token, upload, live status, board, comparison, playground, a new judge.

With ARENA_SHOTS=FOLDER every page is also photographed there, in both themes and at a phone's width, to be looked at.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import latentarena.judge
from arena_parts import Parts, bundle_that, now, until
from arena_site import Site, running
from latentarena.arena.client import pack
from latentarena.arena.contest_files import load_contest
from latentarena.arena.site import build_site, read_folder
from latentarena.card.catalogue import METRICS
from latentarena.card.score_card import Score, read_card
from score_cards import OFFICIAL
from untrained import native

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the path: apt-get install chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
SHOTS = os.environ.get("ARENA_SHOTS")
SIZES = {"wide": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
ANOTHER = next((Path(latentarena.judge.__file__).parent / "weights" / "opinions").glob("mnist-*.safetensors"))
MNIST = {"dataset": "mnist", "precision": "float8"}  # what a card must say on the open board
TOLD = [  # a tiny model that is told the class
    "autoencoder={kind: mlp, latent: [6], widths: [16]}",
    "generator={backbone: {kind: mlp, width: 16, depth: 1}, conditional: true}",
]
TEAMS = {  # how many times its figures are those of a tiny model of real digits
    "Blue Herons": 1.0,
    "Night Shift": 1.01,
    "Society for the Slow Reconstruction of Handwritten Digits": 0.6,
    "Ünïcödé & Söhne": 1.7,
    "q": 2.5,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def parts(site: Site) -> Iterator[Parts]:
    made = Parts(f"sqlite:///{site.folder / 'arena.db'}", site.folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page on which nothing is refused by its policy and no script fails."""
    context = chromium.new_context()
    opened, said = context.new_page(), []
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("console", lambda line: said.append(line.text) if "Security Policy" in line.text else None)
    yield opened
    context.close()
    assert said == []


def sign_in(page: Any, site: Site, token: str) -> None:
    page.goto(f"{site.url}/login")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: not url.endswith("/login"))


def judge_with(parts: Parts, run: Path, factor: float, judge: str = OFFICIAL) -> None:
    """What the next evaluation will find: the figures of a run so many times, by a judge."""
    card = read_card(run / "score.json")

    def scaled(name: str, score: Score) -> Score:
        metric = METRICS[name]  # a figure outside of its range is on no card
        ends = {end: getattr(score, end) * factor for end in ("value", "low", "high")}
        cut = {end: min(max(value, metric.smallest), metric.largest) for end, value in ends.items()}
        return Score.model_validate(score.model_dump() | cut)

    same = ("ssim", "precision", "recall", "coverage", "probe")
    scores = {name: score if name in same else scaled(name, score) for name, score in card.scores.items()}
    named = {"model": f"digits x {factor:g}", "judge": f"mnist-{judge[:12]}", "judge_hash": judge, "scores": scores}
    parts.card.write_text(card.model_copy(update=MNIST | named).model_dump_json())
    shutil.copy(run / "samples.png", parts.folder)


def test_a_semester(page: Any, site: Site, parts: Parts, tiny_run: Path, tmp_path: Path) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    tokens = enrol(page, site)
    native(tmp_path / "told", "quickstart-digits", "data={name: mnist}", *TOLD)
    contents = {"Blue Herons": pack(tmp_path / "told"), "Night Shift": bundle_that("score 1")}
    for (team, content), factor in zip(contents.items(), (1.5, 1.0), strict=True):
        judge_with(parts, tiny_run, factor)
        hand_in(page, site, parts, tokens[team], content, tmp_path)
    assert board(page, site) == ["Night Shift", "Blue Herons"]
    page.get_by_placeholder("Find a team").fill("night")
    rows = page.locator("table.ranks tbody tr")
    assert [rows.nth(i).is_visible() for i in range(2)].count(True) == 1
    assert "Secret" not in page.content()

    page.goto(f"{site.url}/compare")
    page.get_by_label("First").select_option(index=0)
    page.get_by_label("Second").select_option(index=1)
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("is better in").wait_for()
    assert page.locator("td.won").count() > 5

    page.goto(f"{site.url}/team")
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("button", name="Withhold").wait_for()
    public = page.context.browser.new_context().new_page()
    public.goto(f"{site.url}/")
    public.get_by_role("link", name="Night Shift").click()
    with public.expect_download() as download:
        public.get_by_role("link", name="Download the bundle").click()
    assert Path(download.value.path()).read_bytes() == contents["Night Shift"]
    play(public, site)
    public.context.close()
    rejudge(page, site, parts, tiny_run)


def enrol(page: Any, site: Site) -> dict[str, str]:
    """Tokens by team, from a roster; they are shown once."""
    sign_in(page, site, site.organiser)
    page.get_by_label("Roster").fill("team,member,email\nBlue Herons,Ada Secret,ada@example.org\nNight Shift,,")
    page.get_by_role("button", name="Preview").click()
    assert page.locator("#tokens").count() == 0
    page.get_by_role("button", name="Add these").click()
    shown = page.locator("#tokens").inner_text().splitlines()[1:]
    tokens = dict(line.rsplit(",", 1) for line in shown)
    assert set(tokens) == {"Blue Herons", "Night Shift"}
    page.goto(f"{site.url}/organiser")
    assert page.locator("#tokens").count() == 0
    return tokens


def hand_in(page: Any, site: Site, parts: Parts, token: str, content: bytes, room: Path) -> None:
    """A bundle, watched until it is scored: the page asks by itself."""
    sign_in(page, site, token)
    page.get_by_role("link", name="Hand in a bundle").click()
    bundle = room / "bundle.zip"
    bundle.write_bytes(content)
    page.get_by_label("Drop the zip here").set_input_files(bundle)
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/submissions/*")
    assert page.locator(".steps .now").inner_text().startswith("Waiting")
    assert parts.worker(once=True).wait(60) == 0
    page.get_by_role("link", name="See the score card").wait_for(timeout=20_000)


def board(page: Any, site: Site) -> list[str]:
    """Teams, best first."""
    names = page.locator("table.ranks tbody th.team a")
    until(lambda: page.goto(f"{site.url}/").ok and names.count() == 2)
    return list(names.all_inner_texts())


def play(page: Any, site: Site) -> None:
    """What anybody can do with an entry: other seeds, classes and steps, noise becoming digits, a walk, a drawing."""

    def drawn(name: str) -> str:
        """The picture's address, once it is there."""
        there = f"(one => one.complete && one.naturalWidth > 0 && !one.ariaBusy)(document.getElementById('{name}'))"
        until(lambda: bool(page.evaluate(there)), 90)
        return str(page.locator(f"#{name}").get_attribute("src"))

    def inked(name: str) -> int:
        """How much light is on a canvas."""
        found = page.evaluate(
            f"(one => one.getContext('2d').getImageData(0, 0, one.width, one.height).data"
            f".filter((_, i) => i % 4 === 0).reduce((a, b) => a + b, 0))(document.getElementById('{name}'))"
        )
        return int(found)

    page.goto(f"{site.url}/")
    page.get_by_role("link", name="Blue Herons").click()
    page.get_by_role("link", name="Play").click()
    page.locator("#samples").wait_for(timeout=90_000)  # the model is loaded first; the page asks again by itself
    first = [drawn(name) for name in ("samples", "walk", "becoming")]
    page.get_by_label("Seed", exact=True).fill("7")
    until(lambda: "seed=7" in drawn("samples"))
    page.get_by_label("Class").select_option("3")
    page.get_by_label("Steps").fill("4")
    page.get_by_label("Guidance").fill("2")
    until(lambda: all("guidance=2" in drawn(name) for name in ("samples", "walk", "becoming")))
    second = [drawn(name) for name in ("samples", "walk", "becoming")]
    assert all("label=3" in one and "steps=4" in one for one in second)
    assert set(first).isdisjoint(second)
    before = inked("stop")
    page.get_by_label("Where on the way").fill("15")
    assert inked("stop") != before
    page.locator("#paper").scroll_into_view_if_needed()
    paper = page.locator("#paper").bounding_box()
    page.mouse.move(paper["x"] + paper["width"] / 3, paper["y"] + paper["height"] / 4)
    page.mouse.down()
    page.mouse.move(paper["x"] + paper["width"] / 2, paper["y"] + paper["height"] * 0.8, steps=4)
    page.mouse.up()
    page.get_by_text("Mean squared error").wait_for()
    assert inked("paper") > 0
    assert inked("copy") > 0
    assert page.locator("#latent rect").count() == 6


def rejudge(page: Any, site: Site, parts: Parts, run: Path) -> None:
    """Old and new side by side; the board changes when the organiser says so."""
    sign_in(page, site, site.organiser)
    page.goto(f"{site.url}/organiser/rejudge")
    page.get_by_label("A judge's file").set_input_files(ANOTHER)
    page.get_by_role("button", name="Send it and evaluate all again").click()
    page.get_by_text("2 entries wait").wait_for()
    assert page.get_by_role("button", name="Adopt").is_disabled()
    judge = parts.queue.claim("nobody", now())
    assert judge is not None
    parts.queue.release(judge, now())
    judge_with(parts, run, 2.0, judge.judge)
    worker = parts.worker()
    until(lambda: len(parts.starts()) == 3)
    judge_with(parts, run, 3.0, judge.judge)
    until(lambda: parts.store.submissions.by_state()["waiting"] + parts.store.submissions.by_state()["leased"] == 0)
    worker.terminate()
    page.get_by_role("link", name="Look again").click()
    assert page.locator("table.both tbody tr").count() == 2
    page.get_by_role("link", name="Night Shift").click()
    page.get_by_text("is better in").wait_for()
    assert board(page, site) == ["Night Shift", "Blue Herons"]
    page.goto(f"{site.url}/organiser/rejudge")
    page.get_by_role("button", name="Adopt 2 new cards").click()
    page.get_by_text("now stands by 2 new cards").wait_for()
    until(lambda: board(page, site) == ["Blue Herons", "Night Shift"])
    page.goto(f"{site.url}/organiser/audit")
    said = set(page.locator("td[data-label=What]").all_inner_texts())
    assert {"add team", "publish", "evaluate all again", "adopt new cards"} <= said


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Iterator[tuple[Site, Parts]]:
    """A site with something of everything: entries scored, refused, waiting and set aside, some by a new judge."""
    with running(tmp_path_factory.mktemp("furnished")) as site:
        parts = Parts(f"sqlite:///{site.folder / 'arena.db'}", site.folder)
        for team, factor in TEAMS.items():
            judge_with(parts, tiny_run, factor)
            id_ = parts.team(team)
            bundle = pack(tiny_run / "bundle")
            parts.store.submissions.add(
                id_, parts.objects.put(bundle), len(bundle), "official", load_contest("open").quotas, now()
            )
            if team == "Night Shift":
                parts.hand_in(id_, "refuse")
            if team == "q":
                parts.hand_in(id_, "die")
            assert parts.worker(once=True).wait(60) == 0
        judge_with(parts, tiny_run, 0.8, OFFICIAL)
        parts.store.rejudging.begin("official", "tests", now())
        worker = parts.worker()
        until(lambda: parts.store.submissions.by_state()["waiting"] < 3)
        worker.kill()
        parts.hand_in(parts.team("Night Shift"), "sleep 1")
        yield site, parts
        parts.close()


@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_are_labelled_and_reachable_by_keyboard(
    chromium: Any, furnished: tuple[Site, Parts], size: str
) -> None:
    site, parts = furnished
    context = chromium.new_context(viewport=SIZES[size])
    page = context.new_page()
    first, second = [one.id for one, *_ in parts.store.rejudging.state().entries][:2]
    page.goto(f"{site.url}/entries/{first}/play")
    page.locator("#samples").wait_for(timeout=90_000)
    public = {
        "board": "/",
        "entry": f"/entries/{first}",
        "compare": "/compare",
        "compared": f"/compare?a={first}&b={second}",
        "play": f"/entries/{first}/play",
        "rules": "/rules",
        "login": "/login",
        "not-found": "/nothing",
        "sign-in-first": "/team",
    }
    for name, path in public.items():
        look(page, f"{site.url}{path}", f"{name}-{size}")
    own = parts.team("Night Shift")
    sign_in(page, site, parts.store.tokens.new(own, "", "tests", now()))
    handed = {one.state: one.id for one in parts.store.submissions.latest(own)}
    signed_in = {"team": "/team", "submit": "/submit", "logout": "/logout", "forbidden": "/organiser"}
    signed_in |= {f"submission-{state}": f"/submissions/{id_}" for state, id_ in handed.items()}
    for name, path in signed_in.items():
        look(page, f"{site.url}{path}", f"{name}-{size}")
    sign_in(page, site, site.organiser)
    for tab in ("", "/entries", "/rejudge", f"/rejudge/{first}", "/audit"):
        name = "both" if first in tab else tab.strip("/") or "teams"
        look(page, f"{site.url}/organiser{tab}", f"organiser-{name}-{size}")
    context.close()


@pytest.mark.parametrize("size", SIZES)
def test_the_pages_of_a_board_without_a_server_fit_too(
    chromium: Any, tiny_run: Path, size: str, tmp_path: Path
) -> None:
    for team, factor in TEAMS.items():
        home = tmp_path / "entries" / team
        home.mkdir(parents=True)
        parts_of_site = ("score.json", "samples.png", "report.html")
        for name in parts_of_site:
            shutil.copy(tiny_run / name, home)
        card = read_card(home / "score.json")
        mse = card.scores["mse"].model_copy(update=dict.fromkeys(("value", "low", "high"), factor * 0.01))
        changed = {"judge_hash": OFFICIAL, "scores": card.scores | {"mse": mse}}
        (home / "score.json").write_text(card.model_copy(update=MNIST | changed).model_dump_json())
    contest = load_contest("open")
    made = build_site(*read_folder(tmp_path / "entries", contest, verified=True), contest, tmp_path / "site")
    context = chromium.new_context(viewport=SIZES[size])
    for name in ("index", "compare", "embed", f"entries/{made.lines[0].id}"):
        url = (tmp_path / "site" / f"{name}.html").as_uri()
        look(context.new_page(), url, f"static-{name.partition('/')[0]}-{size}", skips=name != "embed")
    context.close()


def look(page: Any, url: str, name: str, skips: bool = True) -> None:
    """The page fits its width, its fields and pictures have names, and the first tab leads past the menu."""
    page.goto(url)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    assert page.evaluate("[...document.images].every((image) => image.alt)"), name
    fields = "input:not([type=hidden]), select, textarea"
    assert page.evaluate(f"[...document.querySelectorAll('{fields}')].every((one) => one.labels.length > 0)"), name
    assert page.locator("h1").count() == 1, name
    if SHOTS:
        page.evaluate("[...document.images].forEach((image) => { image.loading = 'eager'; })")
        page.wait_for_load_state("networkidle")
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.screenshot(path=Path(SHOTS) / f"{name}-{theme}.png", full_page=True)
    if skips and not page.locator("[autofocus]").count():
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip", name
