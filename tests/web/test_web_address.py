"""Where a site says it is, and that tokens never travel in clear text."""

from __future__ import annotations

import json
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest

from arena_site import Site, free_port, running
from latentarena.arena.address import is_loopback
from latentarena.arena.client import Client
from latentarena.arena.objects import Objects
from latentarena.arena.store import Database
from latentarena.errors import ArenaError, ConfigError
from latentarena.web.serve import Site as ServedSite
from latentarena.web.serve import serve
from latentarena.web.settings import Settings, public_address

LISTENS = ("127.0.0.1", 8000)


@contextmanager
def answering(content: bytes) -> Iterator[str]:
    """A server that answers everything with the same content; its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("said", "address"),
    [
        (("https://arena.example.org", False, *LISTENS), "https://arena.example.org"),
        (("https://arena.example.org:8443/", True, *LISTENS), "https://arena.example.org:8443"),
        (("http://10.0.0.7:8000", False, "0.0.0.0", 8000), "http://10.0.0.7:8000"),
        (("https://Arena.Example.ORG:443", False, *LISTENS), "https://arena.example.org"),  # as browsers' Origin
        (("http://arena.example.org:80/", False, *LISTENS), "http://arena.example.org"),
        (("https://b\u00fcro.example", False, *LISTENS), "https://xn--bro-hoa.example"),
        (("https://[2001:DB8::1]:8443", False, *LISTENS), "https://[2001:db8::1]:8443"),
        (("", False, *LISTENS), "http://127.0.0.1:8000"),
        (("", True, *LISTENS), "https://127.0.0.1:8000"),
        (("", False, "::1", 80), "http://[::1]:80"),
    ],
)
def test_an_address_is_what_the_operator_says(said: tuple[str, bool, str, int], address: str) -> None:
    assert public_address(*said) == address
    assert Settings(address).https == address.startswith("https")


@pytest.mark.parametrize(
    "url",
    [
        "arena.example.org",
        "ftp://arena.example.org",
        "https://",
        "https://a.example/arena",
        "https://me@a.example",
        "https://a.example:99999",
        "https://[",
        "https://a.example?x=1",
    ],
)
def test_what_is_no_address_of_a_site_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--url"):
        public_address(url, False, *LISTENS)


@contextmanager
def speaking_https(folder: Path) -> Iterator[tuple[str, Path]]:
    """An arena that speaks https with a certificate of its own; its address, and the certificate's file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    begun = datetime.now(UTC) - timedelta(hours=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begun)
        .not_valid_after(begun + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "certificate.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*plain))
    with answering(b'{"submissions": []}') as address:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        target = httpx.URL(address)
        with socket.create_server(("127.0.0.1", 0)) as outer:
            threading.Thread(target=_hand_on, args=(outer, context, target.host, target.port), daemon=True).start()
            yield f"https://127.0.0.1:{outer.getsockname()[1]}", file


def _hand_on(outer: socket.socket, context: ssl.SSLContext, host: str, port: int) -> None:
    """What a reverse proxy does with one request at a time."""
    while True:
        try:
            there = context.wrap_socket(outer.accept()[0], server_side=True)
            with there, socket.create_connection((host, port)) as here:
                here.sendall(there.recv(1 << 16))
                while piece := here.recv(1 << 16):
                    there.sendall(piece)
        except ssl.SSLError:  # who does not trust the certificate
            continue
        except OSError:  # it is closed
            return


def test_a_proxy_of_this_machine_is_trusted_by_the_certificate_that_the_user_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with speaking_https(tmp_path) as (address, certificate):
        with pytest.raises(ArenaError, match=r"a certificate that is not trusted here.*SSL_CERT_FILE"):
            Client(address, "token").submissions()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert Client(address, "token").submissions() == []
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"SSL_CERT_FILE = .*nowhere: No such file"):
        Client(address, "token")


def test_https_beside_an_http_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of them is wrong"):
        public_address("http://arena.example.org", True, *LISTENS)


def test_pages_print_the_address_of_the_operator_and_never_the_request_s(tmp_path: Path) -> None:
    with running(tmp_path, options=["--url", "https://arena.example.org", "--behind-proxy"]) as site:
        token = site.add_teams("One")["One"]
        evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
        login = httpx.get(f"{site.url}/login", headers=evil)
        assert "--to https://arena.example.org<" in login.text
        form = site.browser().form_token("/login")
        proxied = httpx.Client(base_url=site.url, headers={"Origin": "https://arena.example.org"})
        cookies = login.cookies
        signed = proxied.post("/login", data={"form_token": form, "token": token}, cookies=dict(cookies))
        assert signed.status_code == 403  # another browser's form
        page = proxied.get("/login")
        cookie = page.headers["set-cookie"].partition(";")[0]
        own = page.text.partition('name="form_token" value="')[2].partition('"')[0]
        signed = proxied.post("/login", data={"form_token": own, "token": token}, headers={"Cookie": cookie})
        assert signed.status_code == 303
        assert "secure" in signed.headers["set-cookie"].lower()
        session = signed.headers["set-cookie"].partition(";")[0]
        submit = httpx.get(f"{site.url}/submit", headers={**evil, "Cookie": session})
        assert "--to https://arena.example.org<" in submit.text
        assert "evil" not in login.text + submit.text
        assert "max-age" in login.headers["strict-transport-security"]


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    options = ["--url", "https://arena.example.org", "--behind-proxy"]
    with running(tmp_path_factory.mktemp("proxied"), options=options) as site:
        yield site


def logged(site: Site) -> list[str]:
    """The lines of the log on requests for one's submissions."""
    return [line for line in (site.folder / "log").read_text().splitlines() if "/api/v1/submissions" in line]


@pytest.mark.parametrize(
    "lines",
    [
        lambda n: [f"198.51.100.{n}", "203.0.113.9"],  # a proxy that adds a line of its own behind the caller's
        lambda n: [f"198.51.100.{n}, 203.0.113.9"],
        lambda n: [f"203.0.113.9:{4000 + n}"],
        lambda n: [f"[2001:db8::{n}]:{4000 + n}"],  # one network
    ],
    ids=["own line", "same line", "port", "port of IPv6"],
)
def test_what_a_caller_says_of_its_address_does_not_change_it(proxied: Site, lines: Callable[[int], list[str]]) -> None:
    statuses, before = [], logged(proxied)
    for n in range(12):
        headers = [("X-Forwarded-For", line) for line in lines(n)]
        headers.append(("Authorization", f"Bearer {lines(0)[0][-6:]}-wrong-{n}"))
        statuses.append(httpx.get(f"{proxied.url}/api/v1/submissions", headers=headers).status_code)
    assert statuses == [401] * 10 + [429] * 2
    until = time.monotonic() + 20
    while len(logged(proxied)) < len(before) + 12 and time.monotonic() < until:
        time.sleep(0.05)  # a line may be written once the answer is sent
    seen = {json.loads(line).get("client") for line in logged(proxied)[len(before) :]}
    assert seen in ({"203.0.113.9"}, {"2001:db8::/64"})  # and not the proxy's


def test_https_alone_prints_https(tmp_path: Path) -> None:
    with running(tmp_path, options=["--https"]) as site:
        assert "--to https://127.0.0.1:" in httpx.get(f"{site.url}/login").text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "::1", "LOCALHOST", "a.localhost."])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.evil.example", "192.168.0.1", "10.0.0.1", "127.0.0.1.nip.io", "", "::"])
def test_other_machines_are_not(host: str) -> None:
    assert not is_loopback(host)


def test_the_client_sends_no_token_in_clear_text() -> None:
    for url in ("http://arena.example.org", "http://192.168.1.5:8000", "HTTP://arena.example.org", "arena.example.org"):
        with pytest.raises(ConfigError, match="clear text"):
            Client(url, "token")
    Client("https://arena.example.org", "token")
    Client("http://localhost:8000", "token")
    Client("http://arena.example.org")  # the board is everybody's


def test_the_client_takes_a_site_s_address_and_not_a_page_s() -> None:
    for url in ("https://a.example:8443/rules", "https://a.example:8443/?x=1", "https://me:secret@a.example:8443"):
        with pytest.raises(ConfigError, match=r"write https://a\.example:8443$"):
            Client(url, "token")
    with pytest.raises(ConfigError, match=r"write http://\[::1\]$"):
        Client("http://[::1]/board")
    with pytest.raises(ConfigError, match=r"names a user, and leads to evil\.example; write https://evil\.example$"):
        Client("http://127.0.0.1@evil.example", "token")
    Client("https://a.example:8443/", "token")


@pytest.mark.parametrize("content", [b"<html>sign in", b"[]", b"3"])
def test_what_answers_and_is_no_arena_is_said_so(content: bytes) -> None:
    with answering(content) as url, Client(url, "token") as client:
        for ask in (client.board, client.submissions):
            with pytest.raises(ArenaError, match="not as an arena does"):
                ask()


def test_the_command_refuses_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    (tmp_path / "bundle.zip").write_bytes(b"PK")
    command = [sys.executable, "-m", "latentarena", "submit", "bundle.zip", "--to", "http://192.0.2.1", "--token-file"]
    done = subprocess.run([*command, "token"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "clear text" in done.stderr
    assert "secret" not in done.stderr


def test_what_goes_to_this_machine_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    port = free_port()
    with Client(f"http://127.0.0.1:{port}", "token") as client, pytest.raises(ArenaError, match=f":{port} does not"):
        client.board()


def test_a_port_that_is_taken_or_elsewhere_is_named_before_anything_is_made(tmp_path: Path) -> None:
    site = ServedSite("open", f"sqlite:///{tmp_path}/arena.db", str(tmp_path / "objects"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--host 127.0.0.1 --port {port}: .*in use; choose another one"):
            serve(site, "127.0.0.1", port, 0)
    with pytest.raises(ConfigError, match=r"--host 192\.0\.2\.1 "):  # an address of documentation, so nobody's
        serve(site, "192.0.2.1", 8000, 0)
    assert not list(tmp_path.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_files_of_a_site_are_its_owner_s_alone(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        site.add_teams("One")
        assert {mode(site.folder / f"arena.db{end}") for end in ("", "-wal", "-shm")} == {0o600}
        assert mode(site.folder / "objects") == 0o700
        assert mode(site.folder / "organiser-token") == 0o600


def test_files_of_an_earlier_version_are_closed_to_others(tmp_path: Path) -> None:
    database, folder = tmp_path / "arena.db", tmp_path / "objects"
    database.touch(0o644)
    database.chmod(0o644)
    folder.mkdir()
    folder.chmod(0o755)
    opened = Database(f"sqlite:///{database}")
    opened.upgrade()
    Objects(str(folder))
    assert (mode(database), mode(folder)) == (0o600, 0o700)
    opened.close()


def test_a_command_on_a_database_that_is_not_there_makes_none(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "latentarena", "team", "list", "--db", "sqlite:///nothing.db"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []
    assert json.dumps(done.stderr)
