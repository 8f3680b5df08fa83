"""Files in an S3-compatible store: a real server in a second process, through fsspec and s3fs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from arena_parts import Parts, bundle_that, free_port, now, until
from latentarena.arena.backup import back_up, restore
from latentarena.arena.objects import Objects
from latentarena.arena.store import Database, Store
from latentarena.contest.contest import Quotas
from latentarena.errors import NotThere, StoreError

BUNDLE = bundle_that("score 1")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (tmp_path_factory.mktemp("s3") / "log").open("wb") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)

    def answers() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{url}/moto-api/", timeout=5).status_code == 200
        return False

    try:
        until(answers, 120)
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, and what anything needs to reach it: only the environment says where it is."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    httpx.post(f"{endpoint}/moto-api/reset")
    httpx.put(f"{endpoint}/arena")
    return "s3://arena/files"


def test_what_was_put_is_got_by_its_hash_from_another_store(bucket: str) -> None:
    with Objects(bucket).incoming() as incoming:
        for piece in (b"one", b"two" * 3_000_000):  # more than one part of an upload
            incoming.write(piece)
        digest = incoming.keep()
    other = Objects(bucket)
    assert digest == hashlib.sha256(b"one" + b"two" * 3_000_000).hexdigest()
    assert hashlib.sha256(other.read(digest)).hexdigest() == digest
    assert list(other.list()) == [digest]
    assert other.put(b"one" + b"two" * 3_000_000) == digest
    with pytest.raises(NotThere):
        other.read("0" * 64)


def test_what_was_not_kept_is_nowhere(bucket: str) -> None:
    objects = Objects(bucket)
    with objects.incoming() as incoming:
        incoming.write(b"half")
    assert list(Objects(bucket).list()) == []
    assert objects.files.find(objects.root) == []


def test_damage_is_seen(bucket: str) -> None:
    objects = Objects(bucket)
    digest = objects.put(b"content")
    objects.files.pipe_file(objects.path(digest), b"c0ntent")
    with pytest.raises(StoreError, match="damaged"):
        Objects(bucket).read(digest)


def test_a_store_that_is_gone_is_said_to_be(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="object store"):
        Objects("s3://no-such-bucket/files").put(b"content")


def test_a_site_on_s3_evaluates_and_is_backed_up_and_restored(bucket: str, tmp_path: Path) -> None:
    with closing(Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path, objects_url=bucket)) as parts:
        digest = parts.objects.put(BUNDLE)
        id_ = parts.store.submissions.add(parts.team(), digest, len(BUNDLE), "official", Quotas(), now())[0].id
        assert parts.worker(once=True).wait(120) == 0
        assert parts.state(id_) == "scored", (tmp_path / "log").read_text()
        [evaluation] = parts.store.cards.of(id_)
        manifest = back_up(parts.database, parts.objects, tmp_path / "backup")
    assert set(manifest.objects) == {digest, *evaluation.files.values()}
    with closing(Database(f"sqlite:///{tmp_path / 'new.db'}")) as database:
        restore(tmp_path / "backup", database, Objects("s3://arena/restored"))
        assert [one.id for one, *_ in Store(database).rejudging.state().entries] == [id_]
    assert Objects("s3://arena/restored").read(digest) == BUNDLE
