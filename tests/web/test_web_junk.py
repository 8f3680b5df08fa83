"""What is handed in by mistake: refused on receipt, in words that fit it, before it costs a quota; and other slips."""

from __future__ import annotations

import io
import json
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from arena_parts import bundle_that
from arena_site import running
from latentarena.arena.client import fetch_contest, pack
from latentarena.arena.contest_files import load_contest
from latentarena.arena.operation import erase, work
from latentarena.errors import BundleError, ConfigError, GateError
from latentarena.gates import file_in
from latentarena.web.serve import Site, _prepare
from latentarena.web.team_desk import refuse_junk
from receiving import a_contest, objects

OPEN, OF_2025 = load_contest("open"), load_contest("contest-2025")


def zipped(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return packed.getvalue()


def tarred() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("card.json"))
    return packed.getvalue()


JUNK = {
    "an empty file": (b"", "is no zip file"),
    "text": (b"our model is on the drive\n", "is a text file; hand in the bundle"),
    "rar": (b"Rar!\x1a\x07\x00" + bytes(99), "is not packed as zip"),
    "tar": (tarred(), "is not packed as zip"),
    "gzip": (b"\x1f\x8b" + bytes(99), "is not packed as zip"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "is a picture"),
    "document": (b"%PDF-1.7 \x00\xff", "is a document"),
    "pickle": (b"\x80\x02}q\x00.", "a pickle"),
    "run": (zipped("bundle/card.json", "recipe.yaml", "logs/x"), "part of a run, not of its bundle"),
    "half": (zipped("card.json", "weights.safetensors")[:-30], "does not end as a zip file does"),
    "incomplete": (zipped("card.json"), "lacks"),
    "workbook": (b"PK\x03\x04" + bytes(99), "does not end as a zip file does"),
    "two letters": (b"PK and then something else", "is no zip file|is a text file"),
    "checkpoint": (zipped("card.json", "model.pt"), "pickle"),
    "program": (zipped("card.json", "model.py"), "a bundle holds no code"),
}


@pytest.mark.parametrize("what", JUNK)
def test_words_fit_what_was_handed_in(what: str) -> None:
    content, said = JUNK[what]
    with pytest.raises(GateError, match=said) as caught:
        refuse_junk(content, OPEN)
    assert "\n" not in str(caught.value)


def test_what_may_be_a_bundle_is_let_through() -> None:
    for names in (("card.json", "weights.safetensors"), ("m/card.json", "m/weights.safetensors", "__MACOSX/x")):
        refuse_junk(zipped(*names), OPEN)
    refuse_junk(zipped("card.json", "encode.onnx", "decode.onnx", "generate.onnx"), OPEN)
    program = b"import torch\nclass SubmissionInterface:\n    pass\n"
    for content in (program, zipped("model.py", "weights.safetensors"), zipped("card.json", "weights.safetensors")):
        refuse_junk(content, OF_2025)
    with pytest.raises(GateError, match="code"):
        refuse_junk(program, OPEN)
    with pytest.raises(GateError, match=r"holds a\.py and b\.py"):
        refuse_junk(zipped("a.py", "b.py"), OF_2025)


def named(dataset: str, form: str) -> bytes:
    card = {"form": "portable", "data": {"name": dataset}}
    names = ["encode.onnx", "decode.onnx", "generate.onnx"]
    if form == "native":
        card, names = {"provenance": {"recipe": {"data": {"name": dataset}}}}, ["weights.safetensors"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/card.json", json.dumps(card))
        for name in names:
            archive.writestr(f"m/{name}", b"x")
    return packed.getvalue()


@pytest.mark.parametrize("form", ["native", "portable"])
def test_a_model_of_other_images_is_told_so_at_once(form: str) -> None:
    refuse_junk(named("mnist", form), OPEN)
    with pytest.raises(GateError, match="is one of digits, not of mnist"):
        refuse_junk(named("digits", form), OPEN)
    with pytest.raises(GateError, match="is not what the directory says of it"):
        file_in(named("mnist", form).replace(b"m/card.json", b"m/cord.json", 1), "card.json", 100)


def test_one_file_of_an_archive_is_read_without_the_others() -> None:
    whole = named("mnist", "native")
    assert json.loads(file_in(whole, "card.json", 1000)) == json.loads(zipped_files(whole)["m/card.json"])
    for name, most, said in (("encode.onnx", 1000, "lacks"), ("card.json", 10, "more|at most 10")):
        with pytest.raises(GateError, match=said):
            file_in(whole, name, most)


def zipped_files(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_junk_costs_no_quota_and_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path, a_contest(tmp_path, quotas="{total: 1}")) as site:
        with site.api(site.add_teams("Hasty")["Hasty"]) as api:
            for what in ("text", "rar", "picture", "run", "half", "checkpoint", "two letters"):
                content, said = JUNK[what]
                answer = api.post("/submissions", content=content)
                assert (answer.status_code, bool(re.search(said, answer.json()["detail"]))) == (422, True), answer.text
            assert api.get("/submissions").json()["submissions"] == []
            assert objects(site) == []
            good = zipped("card.json", "weights.safetensors")
            assert api.post("/submissions", content=good).status_code == 201
        fetched = fetch_contest(site.url)
        assert fetched == load_contest(tmp_path / "contest.yaml")
        page = site.browser(site.add_teams("Other")["Other"])
        for path in ("/submit", "/rules"):
            assert f"arena check BUNDLE --contest {site.url}</code>" in page.get(path).text


def test_the_client_packs_the_bundle_of_a_run(tmp_path: Path) -> None:
    bundle = tmp_path / "run" / "bundle"
    bundle.mkdir(parents=True)
    (tmp_path / "run" / "recipe.yaml").write_text("name: x")
    for name in ("card.json", "weights.safetensors"):
        (bundle / name).write_bytes(b"x")
    assert pack(tmp_path / "run") == pack(bundle)


def test_the_client_sends_no_empty_file(tmp_path: Path) -> None:
    (tmp_path / "mine.zip").touch()
    with pytest.raises(BundleError, match=r"mine\.zip is empty"):
        pack(tmp_path / "mine.zip")


def test_rules_come_over_a_safe_way_only() -> None:
    with pytest.raises(ConfigError, match="clear text"):
        fetch_contest("http://arena.example.org")


def test_a_contest_takes_another_ones_entries_over_when_told_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = (f"sqlite:///{tmp_path / 'arena.db'}", str(tmp_path / "objects"))
    with running(tmp_path, db=places[0]) as site:
        site.add_teams("One")
    for contest in ("contest-2025", a_contest(tmp_path, dataset="digits")):
        with pytest.raises(ConfigError, match=r"holds the contest 'open' on mnist with 1 team and 0 entries, not"):
            _prepare(Site(contest, *places))
    _prepare(Site(a_contest(tmp_path, title="Changed"), *places))
    _prepare(Site("contest-2025", *places, take_over=True))
    _prepare(Site("contest-2025", *places))


def test_a_contest_on_a_folder_of_images_does_not_start_for_no_entry_could_be_judged(tmp_path: Path) -> None:
    contest = a_contest(tmp_path, dataset="folder:photos")
    with pytest.raises(ConfigError, match=r"folder:photos: workers know datasets by name.*arena check BUNDLE"):
        _prepare(Site(contest, f"sqlite:///{tmp_path / 'arena.db'}", str(tmp_path / "objects")))
    assert not (tmp_path / "arena.db").exists()


def test_a_database_with_entries_starts_with_their_objects_only(tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path / 'arena.db'}"
    with running(tmp_path, db=db) as site, site.api(site.add_teams("One")["One"]) as api:
        entry = api.post("/submissions", content=bundle_that("score")).json()["id"]
    other = str(tmp_path / "other")
    for start in (lambda: _prepare(Site("open", db, other)), lambda: work(db, other), lambda: erase(db, other, entry)):
        with pytest.raises(ConfigError, match="holds none of the bundles"):
            start()
    _prepare(Site("open", db, str(tmp_path / "objects")))
    assert erase(db, str(tmp_path / "objects"), entry) == 1
