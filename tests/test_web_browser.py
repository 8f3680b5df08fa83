"""A semester in a real browser: roster, token, upload, live status, board, comparison, publishing, a new judge.

With ARENA_SHOTS=FOLDER every page is also photographed there, in both themes and at a phone's width, to be looked at.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arena_parts import Parts, a_card, now, until
from arena_site import Site, running

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the path: apt-get install chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
SHOTS = os.environ.get("ARENA_SHOTS")
SIZES = {"wide": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
JUDGE = "67cf626b32b2".ljust(64, "0")  # passes for the official judge's hash


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


def score_with(parts: Parts, value: float) -> None:
    """What the next evaluation will find."""
    card = a_card(f"model {value}", value)
    parts.card.write_text(card.model_copy(update={"judge_hash": JUDGE}).model_dump_json())


def test_a_semester(page: Any, site: Site, parts: Parts, tmp_path: Path) -> None:
    sign_in(page, site, site.organiser)
    page.get_by_label("Roster").fill("team,member,email\nBlue Herons,Ada Secret,ada@example.org\nNight Shift,,")
    page.get_by_role("button", name="Add teams").click()
    shown = page.locator("#tokens").inner_text().splitlines()[1:]
    tokens = dict(line.rsplit(",", 1) for line in shown)
    assert set(tokens) == {"Blue Herons", "Night Shift"}
    page.goto(f"{site.url}/organiser")
    assert page.locator("#tokens").count() == 0

    for team, value in (("Blue Herons", 0.9), ("Night Shift", 0.3)):
        score_with(parts, value)
        sign_in(page, site, tokens[team])
        page.get_by_role("link", name="Hand in a bundle").click()
        bundle = tmp_path / f"{value}.zip"
        bundle.write_text(f"PK score {value}")
        page.get_by_label("Drop the zip here").set_input_files(bundle)
        page.get_by_role("button", name="Send").click()
        page.wait_for_url("**/submissions/*")
        assert page.locator(".steps .now").inner_text().startswith("Waiting")
        assert parts.worker(once=True).wait(60) == 0
        page.get_by_role("link", name="See the score card").wait_for(timeout=20_000)  # the page asks by itself

    rows = page.locator("table.ranks tbody tr")
    until(lambda: page.goto(f"{site.url}/").ok and rows.count() == 2)
    assert {rows.nth(i).locator("th.team a").inner_text() for i in range(2)} == set(tokens)
    page.get_by_placeholder("Find a team").fill("night")
    assert [rows.nth(i).is_visible() for i in range(2)].count(True) == 1
    assert "Secret" not in page.content()

    page.goto(f"{site.url}/compare")
    page.get_by_label("First").select_option(index=0)
    page.get_by_label("Second").select_option(index=1)
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("is better in").wait_for()
    assert page.locator("td.won").count() > 10

    page.goto(f"{site.url}/team")
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("button", name="Withhold").wait_for()
    public = page.context.browser.new_context().new_page()
    public.goto(f"{site.url}/")
    public.get_by_role("link", name="Night Shift").click()
    with public.expect_download() as download:
        public.get_by_role("link", name="Download the bundle").click()
    assert Path(download.value.path()).read_text() == "PK score 0.3"
    public.context.close()

    sign_in(page, site, site.organiser)
    page.goto(f"{site.url}/organiser/rejudge")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Judge").fill("official")
    page.get_by_role("button", name="Evaluate all 2").click()
    page.get_by_text("2 entries wait").wait_for()
    score_with(parts, 0.5)
    assert parts.worker(once=True).wait(60) == 0
    page.goto(f"{site.url}/organiser/rejudge")
    assert page.locator("table.list tbody tr").count() == 2
    page.goto(f"{site.url}/organiser/audit")
    assert {"evaluate all again", "publish", "add team"} <= set(page.locator("td[data-label=What]").all_inner_texts())


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_are_labelled_and_reachable_by_keyboard(
    chromium: Any, site: Site, parts: Parts, theme: str, size: str
) -> None:
    context = chromium.new_context(viewport=SIZES[size], color_scheme=theme)
    page = context.new_page()
    paths = {"board": "/", "compare": "/compare", "rules": "/rules", "login": "/login", "not-found": "/nothing"}
    scored = parts.store.scored()
    if scored:
        paths |= {"entry": f"/entries/{scored[0][0].id}"}
    for name, path in paths.items():
        look(page, site, name, path, theme, size)
    sign_in(page, site, parts.store.new_token(parts.team("Onlookers"), "", "tests", now()))
    for name, path in {"team": "/team", "submit": "/submit", "logout": "/logout"}.items():
        look(page, site, name, path, theme, size)
    sign_in(page, site, site.organiser)
    for tab in ("", "/entries", "/rejudge", "/audit"):
        look(page, site, f"organiser{tab.replace('/', '-')}", f"/organiser{tab}", theme, size)
    context.close()


def look(page: Any, site: Site, name: str, path: str, theme: str, size: str) -> None:
    """The page fits its width, its fields and pictures have names, and the first tab leads past the menu."""
    page.goto(site.url + path)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    assert page.evaluate("[...document.images].every((image) => image.alt)"), name
    fields = "input:not([type=hidden]), select, textarea"
    assert page.evaluate(f"[...document.querySelectorAll('{fields}')].every((one) => one.labels.length > 0)"), name
    assert page.locator("h1").count() == 1, name
    if not page.locator("[autofocus]").count():
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip", name
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}-{theme}-{size}.png", full_page=True)
