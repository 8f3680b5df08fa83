"""Rosters and teams on a real site: looked at before anything is added, changed afterwards, by pages and by the API."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from arena_parts import bundle_that
from arena_site import Site, running

ROSTER = "name,login_id,group_name\n" + "".join(
    f'"Family{i}, Given{i}",student{i}@example.edu,Team {letter}\n' for i, letter in enumerate("AABBIL")
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("rosters")) as found:
        yield found


def test_a_roster_is_looked_at_before_it_is_added(site: Site) -> None:
    browser = site.browser(site.organiser)
    fields = {"form_token": browser.form_token("/organiser"), "roster": ""}
    content = ROSTER.encode("utf-16")
    page = browser.http.post("/organiser/roster/preview", data=fields, files={"file": ("groups.csv", content)})
    assert page.status_code == 200, page.text
    assert page.text.count('<span class="badge good">new team</span>') == 4
    assert "Nothing has been changed yet" in page.text
    assert "Family5, Given5 &lt;student5@example.edu&gt;" in page.text
    with site.api(site.organiser) as api:
        assert api.get("/teams").json()["teams"] == []
    hidden = re.search(r'<textarea name="roster" hidden>\n(.*?)</textarea>', page.text, re.DOTALL)
    assert hidden
    roster = hidden[1].replace("&#34;", '"')
    added = browser.http.post("/organiser/roster", data=fields | {"roster": roster})
    assert re.findall(r"Team (\w),[\w-]{40,}", added.text) == ["A", "B", "I", "L"]
    again = browser.http.post("/organiser/roster", data=fields | {"roster": roster})
    assert again.status_code == 200
    assert "4 teams unchanged" in again.text
    wrong = browser.http.post("/organiser/roster/preview", data=fields, files={"file": ("a.xlsx", b"PK\x03\x04")})
    assert wrong.status_code == 422
    assert "is a workbook" in wrong.text


def test_teams_are_changed_by_page_and_api(site: Site) -> None:
    browser = site.browser(site.organiser)
    with site.api(site.organiser) as api:
        body = {"roster": "team,member\nOwls,Ada\nOwls,Ben\nCrows,Cy"}
        shown = api.post("/teams/preview", json=body).json()
        assert shown["summary"] == "2 new teams with 3 members"
        assert shown["plans"][0] == {"team": "Owls", "new": True, "added": ["Ada", "Ben"], "known": 0}
        tokens = api.post("/teams", json=body).json()["tokens"]
        ids = {team["name"]: team["id"] for team in api.get("/teams").json()["teams"]}
        changed = api.patch(f"/teams/{ids['Owls']}", json={"name": "Night Owls", "remove": ["Ben"], "add": ["Dee"]})
        assert changed.json()["members"] == ["Ada", "Dee"]
        assert api.patch(f"/teams/{ids['Owls']}", json={"name": "Cr0ws"}).status_code == 422
        page = f"/organiser/teams/{ids['Owls']}"
        assert "Night Owls" in browser.get(page).text
        assert "Changed." in browser.send(page, f"{page}/change", remove="Dee", add="Dora <d@x.org>").text
        assert browser.send(page, f"{page}/change", name="Crows").status_code == 422
        with site.api(tokens["Owls"]) as team:
            assert team.get("/me").json()["name"] == "Night Owls"
            assert team.post("/submissions", content=bundle_that("anything")).status_code in (201, 422)
        listed = {team["name"]: team for team in api.get("/teams").json()["teams"]}
        assert listed["Night Owls"]["members"] == ["Ada", "Dora <d@x.org>"]
        assert api.delete(f"/teams/{ids['Crows']}").status_code == 204
        assert "was removed" in browser.send(page, f"{page}/remove", entries="true").text
        left = {team["name"] for team in api.get("/teams").json()["teams"]}
        assert left.isdisjoint({"Crows", "Night Owls"})
    log = browser.get("/organiser/audit").text
    assert all(action in log for action in ("rename team", "change members", "remove team"))
