"""Who may do what on a real site: roles on every route, forms from elsewhere, strangers' text, other teams' things."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from arena_parts import Parts, now, until
from arena_site import Site, running
from latentarena.web import app as web
from latentarena.web.routing import Role

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'{{7*7}}"
PARTS = {"{entry}": "1", "{submission}": "1", "{team}": "1", "{name}": "nothing", "{round}": "1", "{verb}": "samples"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def tokens(site: Site) -> dict[str, str]:
    return site.add_teams("Blue Herons", "Night Shift")


def routes() -> list[tuple[str, str, Role]]:
    """(method, path with its parts filled in, least role) of every route of the app."""
    found = []
    for route in web.routes():
        assert isinstance(route, APIRoute), route
        path = re.sub(r"{\w+}", lambda part: PARTS[part[0]], route.path)
        found += [(method, path, route.endpoint.least_role) for method in route.methods]
    return sorted(found)


ROUTES = routes()


def test_every_route_names_its_role_and_all_roles_are_used() -> None:
    assert {role for _, _, role in ROUTES} == set(Role)
    assert len(ROUTES) > 30


@pytest.mark.parametrize(("method", "path", "least"), ROUTES)
def test_below_its_role_every_route_refuses(
    site: Site, tokens: dict[str, str], method: str, path: str, least: Role
) -> None:
    """Row 23: nobody, a wrong scheme, a team where an organiser is due; with headers that would override the method."""
    override = {
        "X-HTTP-Method-Override": "GET",
        "X-Method-Override": "GET",
        "X-Original-URL": "/",
        "X-Rewrite-URL": "/",
    }
    with httpx.Client(base_url=site.url) as client:
        refused = client.request(method, path, headers=override)
        if least > Role.PUBLIC:
            assert refused.status_code == 401, refused.text
            basic = client.request(method, path, auth=("organiser", site.organiser))
            assert basic.status_code == 401
        if least is Role.ORGANISER:
            team = client.request(
                method, path, headers={"Authorization": f"Bearer {tokens['Blue Herons']}", **override}
            )
            assert team.status_code == 403
        elif method in ("POST", "PUT", "DELETE"):
            assert refused.status_code in (401, 403)


@pytest.mark.parametrize("path", ["/nothing", "/organiser/", "/organiser/nothing", "/static/../app.py", "/api/v2"])
def test_what_is_not_there_is_not_found(site: Site, path: str) -> None:
    with httpx.Client(base_url=site.url) as client:
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", [path for method, path, _ in ROUTES if method == "GET"])
def test_head_is_answered_as_get_without_the_body(site: Site, path: str) -> None:
    """As link checkers and the health checks of proxies ask; by nobody and by an organiser."""
    for headers in ({}, {"Authorization": f"Bearer {site.organiser}"}):
        with httpx.Client(base_url=site.url, headers=headers) as client:
            asked, bare = client.get(path), client.head(path)
        assert (bare.status_code, bare.content) == (asked.status_code, b"")
        for name in ("Content-Type", "Content-Security-Policy", "Location", "WWW-Authenticate"):
            assert bare.headers.get(name) == asked.headers.get(name)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(site: Site, method: str) -> None:
    with httpx.Client(base_url=site.url) as client:
        assert client.request(method, "/organiser").status_code in (401, 405)
        assert client.request(method, "/").status_code == 405


def test_wrong_tokens_are_counted_and_lock_nobody_else_out(tmp_path: Any) -> None:
    """Row 31: who guesses is told to wait; whoever shares the address, with a right token or none, is not."""
    with running(tmp_path) as site, httpx.Client(base_url=f"{site.url}/api/v1") as client:
        token = site.add_teams("Neighbours")["Neighbours"]

        def asked(secret: str, path: str = "/submissions") -> httpx.Response:
            return client.get(path, headers={"Authorization": f"Bearer {secret}"})

        statuses = [asked(f"{i:064x}").status_code for i in range(14)]
        assert statuses == [401] * 10 + [429] * 4
        assert int(asked("0" * 64).headers["Retry-After"]) > 0
        assert asked("mistyped").status_code == 401  # by somebody else there
        statuses = [asked(f"{i + 100_000}").status_code for i in range(200)]
        assert statuses[0] == 401
        assert statuses[-1] == 429  # of many prefixes
        for path in ("/submissions", "/board", "/me"):
            assert asked(token, path).status_code == 200
        assert client.get("/board").status_code == 200
        assert site.browser(token).get("/team").status_code == 200
        page = httpx.get(f"{site.url}/", headers={"Cookie": "arena_session=of-last-week"})
        assert page.status_code == 200


def test_a_page_with_a_stale_session_is_a_visitor_s(site: Site) -> None:
    """However many browsers of one address come back the next morning."""
    for i in range(30):
        stale = {"Cookie": f"arena_session=expired-{i}"}
        assert httpx.get(f"{site.url}/", headers=stale).status_code == 200
        assert httpx.get(f"{site.url}/team", headers=stale).status_code == 401


def test_a_session_opens_no_other_and_a_token_is_no_session(site: Site, tokens: dict[str, str]) -> None:
    browser = site.browser(tokens["Blue Herons"])
    session = browser.http.cookies["arena_session"]
    other = site.browser()
    assert other.send("/login", "/login", token=session).status_code == 401
    with site.api(session) as api:
        assert api.get("/submissions").status_code == 401
    as_cookie = {"Cookie": f"arena_session={tokens['Blue Herons']}"}
    assert httpx.get(f"{site.url}/team", headers=as_cookie).status_code == 401


def test_expired_and_revoked_tokens_are_nobody_s(site: Site) -> None:
    """Row 23; a session ends with the token that opened it."""
    parts = Parts(site.db, site.folder)
    team, soon = parts.team("Ephemeral"), now() + timedelta(seconds=2)
    token = parts.store.tokens.new(team, "", "tests", now(), soon)
    browser = site.browser(token)
    with site.api(token) as api:
        assert api.get("/submissions").status_code == 200
        until(lambda: now() > soon)
        assert api.get("/submissions").status_code == 401
    assert browser.get("/team").status_code == 401
    fresh = parts.store.tokens.new(team, "", "tests", now())
    signed = site.browser(fresh)
    answer = site.browser(site.organiser).send("/logout", f"/organiser/teams/{team}/token")
    assert answer.status_code == 200
    with site.api(fresh) as api:
        assert api.get("/submissions").status_code == 401
    assert signed.get("/team").status_code == 401
    parts.close()


def test_a_session_ends_at_sign_out_and_its_cookie_is_guarded(site: Site, tokens: dict[str, str]) -> None:
    browser = site.browser(tokens["Blue Herons"])
    cookie = browser.http.cookies["arena_session"]
    assert browser.get("/team").status_code == 200
    signed = browser.http.get("/team").request.headers["cookie"]
    answer = browser.send("/logout", "/logout")
    assert answer.status_code == 303
    again = httpx.get(f"{site.url}/team", headers={"Cookie": f"arena_session={cookie}"})
    assert signed
    assert again.status_code == 401
    fresh = httpx.Client(base_url=site.url)
    page = fresh.get("/login")
    token = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert token
    made = fresh.post("/login", data={"form_token": token[1], "token": tokens["Blue Herons"]})
    flags = made.headers["set-cookie"].lower()
    assert "httponly" in flags
    assert "samesite=lax" in flags
    assert "arena_session=" in flags
    assert tokens["Blue Herons"] not in made.headers["set-cookie"]


@pytest.mark.parametrize("kind", ["no token", "another's token", "another site", "cross-site fetch", "as JSON"])
def test_forms_from_elsewhere_are_refused(site: Site, tokens: dict[str, str], kind: str) -> None:
    """Row 24."""
    browser, other = site.browser(site.organiser), site.browser(tokens["Night Shift"])
    own = browser.form_token("/organiser")
    fields, headers = {"roster": "Forged", "form_token": own}, {}
    if kind == "no token":
        del fields["form_token"]
    elif kind == "another's token":
        fields["form_token"] = other.form_token("/logout")
    elif kind == "another site":
        headers["Origin"] = "https://evil.example"
    elif kind == "cross-site fetch":
        headers["Sec-Fetch-Site"] = "cross-site"
    if kind == "as JSON":
        answer = browser.http.post("/api/v1/teams", content=json.dumps(fields), headers={"Content-Type": "text/plain"})
    else:
        answer = browser.http.post("/organiser/roster", data=fields, headers=headers)
    assert answer.status_code == 403
    assert "Forged" not in browser.get("/organiser").text


def test_an_upload_by_cookie_needs_the_form_token_too(site: Site, tokens: dict[str, str]) -> None:
    browser = site.browser(tokens["Night Shift"])
    for path in ("/submit", "/api/v1/submissions"):
        assert browser.http.post(path, content=b"PK").status_code == 403
        files = {"bundle": ("x.zip", b"PK", "application/zip")}
        assert browser.http.post(path, files=files, data={"form_token": "0" * 64}).status_code == 403
    assert browser.http.get("/api/v1/submissions").json() == {"submissions": []}


def test_every_page_has_a_strict_policy_and_no_inline_script(site: Site, tokens: dict[str, str]) -> None:
    """Row 25: nothing inline runs, whatever text got into a page."""
    visits = [(site.browser(), ("/", "/login", "/rules", "/compare", "/nothing"))]
    visits += [(site.browser(tokens["Blue Herons"]), ("/", "/submit", "/team"))]
    visits += [
        (site.browser(site.organiser), ("/organiser", "/organiser/entries", "/organiser/rejudge", "/organiser/audit"))
    ]
    for browser, paths in visits:
        for path in paths:
            answer = browser.get(path)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text), path


def test_strangers_text_is_inert_everywhere(site: Site) -> None:
    """Rows 25, 26: markup in members and team names is text; names that mislead are refused."""
    with site.api(site.organiser) as api:
        roster = f'"{SCRIPT[:40]}","{SCRIPT}"'.replace('""', "'")
        answer = api.post("/teams", json={"roster": "team,member\nHostile,<script>alert(1)</script>\n<b>Bold</b>,x"})
        assert answer.status_code == 201, roster
        for name in ("Blue\u202eHerons", "Blue\u200bHerons", "Bluе Herons", "Blue Her0ns"):
            refused = api.post("/teams", json={"roster": f"team,member\n{name},x"})
            assert refused.status_code == 422
            assert "\n" not in refused.json()["detail"]
    text = site.browser(site.organiser).get("/organiser").text
    assert "<script>alert" not in text
    assert "<b>Bold" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;b&gt;Bold&lt;/b&gt;" in text


@pytest.mark.parametrize(
    "part", ["1' OR '1'='1", "1; DROP TABLE teams", "../../etc/passwd", "%00", "9" * 40, "-1", "é"]
)
def test_addresses_with_sql_or_paths_in_them_find_nothing(site: Site, tokens: dict[str, str], part: str) -> None:
    """Rows 27, 30."""
    with site.api(tokens["Blue Herons"]) as api:
        for path in (f"/entries/{part}", f"/submissions/{part}"):
            assert api.get(path).status_code == 404
        assert httpx.get(f"{site.url}/entries/{part}/bundle").status_code == 404
        assert httpx.get(f"{site.url}/entries/1/pictures/{part}").status_code == 404
        assert httpx.get(f"{site.url}/compare", params={"a": part, "b": "2"}).status_code == 404


def test_private_names_stay_with_the_organisers(site: Site, tokens: dict[str, str]) -> None:
    """Row 32."""
    with site.api(site.organiser) as api:
        api.post("/teams", json={"roster": "team,member,email\nDiscreet,Ada Secret,ada.secret@example.org"})
    public, team = site.browser(), site.browser(tokens["Blue Herons"])
    assert "Ada Secret" in site.browser(site.organiser).get("/organiser").text
    pages = [
        public.get(path).text for path in ("/", "/rules", "/compare", "/board.csv", "/api/v1/board", "/api/v1/entries")
    ]
    pages += [team.get(path).text for path in ("/", "/team", "/submit", "/api/v1/submissions")]
    assert not [page for page in pages if "Secret" in page or "secret@" in page]
    assert "Secret" not in (site.folder / "log").read_text()
    for token in (site.organiser, *tokens.values()):
        assert token not in (site.folder / "log").read_text()


def test_metrics_are_for_this_machine_or_an_organiser(site: Site) -> None:
    local = httpx.get(f"{site.url}/metrics")
    assert local.status_code == 200
    assert "arena_requests_total" in local.text
    handed_on = {"X-Forwarded-For": "203.0.113.9"}
    assert httpx.get(f"{site.url}/metrics", headers=handed_on).status_code == 404
    signed = {**handed_on, "Authorization": f"Bearer {site.organiser}"}
    assert httpx.get(f"{site.url}/metrics", headers=signed).status_code == 200
