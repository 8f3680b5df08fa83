"""A real site for tests: `arena serve` in a process of its own, on a free port, with its own database and files."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

NO_TLS = False  # the sites are of this machine; to read all certificates that it trusts takes 20 ms a client
FORM_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


@dataclass(frozen=True)
class Site:
    """A running site: its address, the organiser's token, its folder and the process."""

    url: str
    organiser: str
    folder: Path
    db: str
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def api(self, token: str = "") -> httpx.Client:
        """A program."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=30, verify=NO_TLS)

    def browser(self, token: str = "") -> Browser:
        """A browser, signed in with the token unless it is empty."""
        browser = Browser(httpx.Client(base_url=self.url, headers={"Accept": "text/html"}, timeout=30, verify=NO_TLS))
        if token:
            assert browser.send("/login", "/login", token=token).status_code == 303
        return browser

    def add_teams(self, *names: str) -> dict[str, str]:
        """Tokens by team."""
        with self.api(self.organiser) as api:
            answer = api.post("/teams", json={"roster": "\n".join(["team", *names])})
        assert answer.status_code == 201, answer.text
        tokens: dict[str, str] = answer.json()["tokens"]
        return tokens


@dataclass(frozen=True)
class Browser:
    """Cookies and forms, as a browser without scripts."""

    http: httpx.Client

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def form_token(self, page: str) -> str:
        found = FORM_TOKEN.search(self.get(page).text)
        assert found, page
        return found[1]

    def send(self, page: str, action: str, **fields: str) -> httpx.Response:
        """Fill in the form on a page."""
        return self.http.post(action, data={"form_token": self.form_token(page), **fields})


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    folder: Path,
    contest: str = "open",
    db: str | None = None,
    largest: int | None = None,
    options: Sequence[str] = (),
) -> Iterator[Site]:
    """Start a site, and end it.

    Args:
        options: further ones of `arena serve`.
        largest: bytes that a file may have, as if the disk were full beyond.
    """
    port = free_port()
    where = ["--db", db or f"sqlite:///{folder / 'arena.db'}", "--objects", str(folder / "objects")]
    command = [sys.executable, "-m", "latentarena", "serve", contest, "--port", str(port), "--workers", "0"]
    command += options
    log = (folder / "log").open("wb")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    limit = [] if largest is None else ["prlimit", f"--fsize={largest}"]
    process = subprocess.Popen([*limit, *command, *where], cwd=folder, stdout=log, stderr=log, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(url, process, folder)
        token = (folder / "organiser-token").read_text().strip()
        yield Site(url, token, folder, where[1], process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
            log.close()


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the site answers."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            if httpx.get(f"{url}/healthz", timeout=5, verify=NO_TLS).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())
