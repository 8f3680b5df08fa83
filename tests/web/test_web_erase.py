"""Tokens and entries that organisers take back are gone from pages, database and files; the audit log says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from arena_parts import Parts, a_card, bundle_that, now, until
from arena_site import Site, running
from latentarena.arena.store import Store
from latentarena.contest.contest import Quotas
from latentarena.errors import NotThere

JUDGED = {"judge_hash": "67cf626b32b2".ljust(64, "0")}  # passes for the official judge's


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    db = request.getfixturevalue("postgres").new_database() if request.param == "postgres" else None
    with running(tmp_path, db=db) as found:
        yield found


def scored(site: Site, parts: Parts, token: str, content: bytes) -> str:
    """An entry with a score card and a picture."""
    parts.card.write_text(a_card("erasable").model_copy(update=JUDGED).model_dump_json())
    with site.api(token) as api:
        entry = str(api.post("/submissions", content=content).json()["id"])
    assert parts.worker(once=True).wait(60) == 0
    return entry


def files(site: Site) -> set[str]:
    return {path.name for path in (site.folder / "objects").rglob("*") if path.is_file()}


def audited(store: Store) -> set[tuple[str, str]]:
    return {(line.action, line.subject) for line in store.audit.lines()}


def test_an_erased_entry_is_nowhere_but_in_the_audit_log(site: Site) -> None:
    parts = Parts(site.db, site.folder)
    tokens = site.add_teams("One", "Two")
    entry, other = (scored(site, parts, tokens[name], bundle_that("score same")) for name in tokens)
    digest = parts.store.submissions.one(entry).digest
    until(lambda: len(httpx.get(f"{site.url}/api/v1/entries").json()["entries"]) == 2)
    with site.api(tokens["One"]) as api:
        assert api.delete(f"/submissions/{entry}").status_code == 403
    with site.api(site.organiser) as api:
        assert api.delete(f"/submissions/{entry}").status_code == 204
        assert api.delete(f"/submissions/{entry}").status_code == 404
        assert api.get(f"/submissions/{entry}").status_code == 404
    assert digest in files(site)  # the other team handed in the same
    for path in (f"/entries/{entry}", f"/entries/{entry}/bundle", f"/entries/{entry}/play"):
        assert httpx.get(f"{site.url}{path}").status_code == 404
    until(lambda: [one["id"] for one in httpx.get(f"{site.url}/api/v1/entries").json()["entries"]] == [other])
    assert ("erase entry", entry) in audited(parts.store)
    page = site.browser(site.organiser)
    assert page.send("/organiser/entries", f"/organiser/submissions/{other}/erase").status_code == 303
    assert files(site) == set()
    with site.api(tokens["Two"]) as api:  # its place in the quota is free again, and the same bytes are new
        assert api.post("/submissions", content=bundle_that("score same")).status_code == 201
    parts.close()


def test_what_is_evaluated_while_it_is_erased_comes_to_nothing(site: Site) -> None:
    parts = Parts(site.db, site.folder)
    token = site.add_teams("One")["One"]
    with site.api(token) as api:
        entry = api.post("/submissions", content=bundle_that("sleep 1")).json()["id"]
    worker = parts.worker()
    until(lambda: parts.state(entry) == "running")
    parts.store.submissions.erase(entry, "tests", now())
    with pytest.raises(NotThere):
        parts.store.submissions.one(entry)
    with site.api(token) as api:
        after = api.post("/submissions", content=bundle_that("score")).json()["id"]
    until(lambda: parts.state(after) == "scored")
    worker.terminate()
    assert worker.wait(30) == 0
    assert [one.id for one, *_ in parts.store.rejudging.state().entries] == [after]
    parts.close()


def test_tokens_are_revoked_by_api_page_and_shell(site: Site) -> None:
    parts = Parts(site.db, site.folder)
    tokens = site.add_teams("One", "Two", "Three")
    ids = {team.name: team.id for team in parts.store.teams.all()}
    browser = site.browser(tokens["One"])
    with site.api(site.organiser) as api:
        assert api.delete(f"/teams/{ids['One']}/tokens").json() == {"revoked": 2}
        assert api.delete("/teams/nobody/tokens").status_code == 404
    assert browser.get("/team").status_code == 401
    page = site.browser(site.organiser).send("/organiser", f"/organiser/teams/{ids['Two']}/revoke")
    assert page.status_code == 200
    command = [sys.executable, "-m", "latentarena", "team", "revoke"]
    done = subprocess.run([*command, "Three", "--db", site.db], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "1 tokens and sessions ended\n")
    for token in tokens.values():
        with site.api(token) as api:
            assert api.get("/submissions").status_code == 401
    assert {("revoke tokens", name) for name in tokens} <= audited(parts.store)
    assert subprocess.run([*command, "--db", site.db], capture_output=True, timeout=60).returncode == 2
    done = subprocess.run([*command, "--organisers", "--db", site.db], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    with site.api(site.organiser) as api:
        assert api.get("/teams").status_code == 401
    parts.close()


def test_the_shell_erases_too(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        token = site.add_teams("One")["One"]
        with site.api(token) as api:
            entry = api.post("/submissions", content=bundle_that("one")).json()["id"]
        where = ["--db", site.db, "--objects", str(site.folder / "objects")]
        command = [sys.executable, "-m", "latentarena", "erase", entry, *where]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, f"erased {entry} with 1 files\n")
        assert files(site) == set()
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "there is no submission" in done.stderr


def test_an_object_that_is_spoken_of_is_not_removed(tmp_path: Path) -> None:
    parts = Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path)
    kept = parts.objects.put(b"bundle")
    parts.store.submissions.add(parts.team(), kept, 6, "official", Quotas(), now())
    free = parts.objects.put(b"nobody's")
    assert not parts.store.references.discard(kept, parts.objects.remove)
    assert parts.store.references.discard(free, parts.objects.remove)
    assert set(parts.objects.list()) == {kept}
    parts.close()
