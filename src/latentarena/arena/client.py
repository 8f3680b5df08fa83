"""Talking to an arena from a program: hand in a bundle, ask what became of it, read the board."""

from __future__ import annotations

import io
import os
import re
import ssl
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from latentarena.arena.address import is_loopback
from latentarena.arena.contest_files import LARGEST
from latentarena.config import validate
from latentarena.contest.contest import Contest
from latentarena.documents import parse_json
from latentarena.errors import ArenaError, BundleError, ConfigError
from latentarena.gates import bundle_in
from latentarena.text import printable
from latentarena.zoo import located

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: the archive says nothing of when it was made
TOKEN = re.compile(r"[!-~]*")  # what a header can carry
PATIENCE = httpx.Timeout(30.0, write=300.0, read=120.0)


def pack(bundle: Path) -> bytes:
    """A bundle as one zip: a zip as it is, a folder packed so that equal files give equal bytes.

    Of the folder of a run its bundle is taken.

    Raises:
        BundleError: there is no such bundle, or the file or folder is empty.
    """
    bundle = bundle_in(located(bundle))
    if bundle.is_file():
        content = bundle.read_bytes()
        if not content:
            raise BundleError(f"{bundle} is empty: it has no bytes; zip the bundle again, or give its folder")
        return content
    if not bundle.is_dir():
        raise BundleError(
            f"{bundle} is neither a folder nor a zip; give the bundle that `arena train` or `arena export` made"
        )
    files = sorted(path for path in bundle.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise BundleError(f"{bundle} holds no files; give the bundle that `arena train` or `arena export` made")
    return zipped({path.name: path.read_bytes() for path in files})


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Files by their name as one zip, the same bytes for the same files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return packed.getvalue()


def names_a_site(text: str) -> bool:
    """Whether a text is the address of a server, not a name or a file."""
    return text.startswith(("http://", "https://"))


def fetch_contest(url: str) -> Contest:
    """The contest that a server runs, read as strictly as a stranger's file.

    Args:
        url: of the site; https, or of this machine itself: rules that somebody on the way could change are none.

    Raises:
        ConfigError: the address is none of these, or what it answers is no contest.
        ArenaError: it does not answer.
    """
    with Client(url) as client:
        if not client.safe:
            raise ConfigError(f"--contest {url}: rules that come in clear text can be changed on the way; use https://")
        content = client.contest()
    try:
        raw = parse_json(content)
    except ValueError as error:
        raise ConfigError(f"{url} answers with no contest: {printable(str(error)[:200])}") from None
    return validate(Contest, raw, url)


def read_token(file: Path | None) -> str:
    """The token in a file, else in the variable ARENA_TOKEN; never an argument, for those are seen by others.

    Raises:
        ConfigError: there is none.
    """
    if file is not None:
        if not file.is_file():
            raise ConfigError(f"token file {file} is not there; save the token that the organiser gave you in it")
        return file.read_text(encoding="utf-8", errors="replace").strip()
    token = os.environ.get("ARENA_TOKEN", "").strip()
    if not token:
        raise ConfigError("there is no token; set ARENA_TOKEN, or name a file with --token-file")
    return token


class Client:
    """One arena, by its address.

    Args:
        url: such as https://arena.example.org; token: of a team or an organiser; the public's pages need none.

    Raises:
        ConfigError: the address is none, has more to it than a server's, or would carry the token over a network in
            clear text; or the token is none, of which the message shows nothing.
    """

    def __init__(self, url: str, token: str = "") -> None:
        if not TOKEN.fullmatch(token):
            raise ConfigError(
                "the token holds a space, a line break or a letter that no token has (it is not shown here, for it is "
                "a secret); copy it anew, alone, into ARENA_TOKEN or the token's file"
            )
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url = url.rstrip("/")
        if not names_a_site(url.lower()):
            missing = "http:// or https:// is missing in front"
            raise ConfigError(f"address {url!r}: {missing}; write https://NAME, for no token goes in clear text")
        try:
            parts = httpx.URL(self._url)
            here = is_loopback(parts.host)
            self._http = httpx.Client(
                base_url=f"{self._url}/api/v1/",
                headers=headers,
                timeout=PATIENCE,
                trust_env=not here,  # no proxy stands between this machine and itself
                verify=_trusted(),
            )
        except httpx.InvalidURL as error:
            raise ConfigError(f"address {url!r} is not one of a server ({error}); write https://NAME") from error
        _refuse_more_than_a_site(url, parts)
        self.safe = here or parts.scheme == "https"
        if token and not self.safe:
            raise ConfigError(
                f"{url} would carry the token in clear text, for anybody on the way to read; use https://"
            )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit(self, bundle: Path) -> dict[str, Any]:
        """Hand a bundle in; the same bytes again give the same submission."""
        return self._ask("POST", "submissions", pack(bundle))

    def status(self, submission: str) -> dict[str, Any]:
        """What became of a submission of one's own."""
        return self._ask("GET", f"submissions/{submission}")

    def submissions(self) -> list[dict[str, Any]]:
        """One's own submissions, the latest first, from all pages of the list."""
        found: dict[str, dict[str, Any]] = {}
        page, more = 1, True
        while more:
            answer = self._answer("GET", f"submissions?page={page}")
            listed = self._read(answer, "submissions")["submissions"]
            found |= {one["id"]: one for one in listed}  # what comes in meanwhile moves others on a page
            page, more = page + 1, "next" in answer.links
        return list(found.values())

    def contest(self) -> bytes:
        """The rules as JSON, at most as much as a contest file may have."""
        with self._explained(), self._http.stream("GET", "contest") as answer:
            content = b""
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > LARGEST:
                    raise ConfigError(f"{self._url} answers with more than {LARGEST} bytes: that is no contest")
        if not answer.is_success:
            raise ConfigError(f"{self._url} answers {answer.status_code}, and is no site of a contest")
        return content

    def board(self) -> dict[str, Any]:
        """The board as data."""
        return self._ask("GET", "board")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        return self._read(self._answer(method, path, body))

    def _read(self, answer: httpx.Response, key: str = "") -> dict[str, Any]:
        """The answer as an object, which has the key."""
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict) or (key and key not in found):
            raise ArenaError(f"{self._url} answers, but not as an arena does; check the address")
        return found

    def _answer(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        with self._explained():
            headers = {"Content-Type": "application/zip"} if body is not None else {}
            answer = self._http.request(method, path, content=body, headers=headers)
        if answer.is_success:
            return answer
        raise ArenaError(f"{self._url} refused ({answer.status_code}): {_detail(answer)}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            if "CERTIFICATE_VERIFY_FAILED" in reason:
                raise ArenaError(
                    f"{self._url} has a certificate that is not trusted here ({reason}); check the address, or name "
                    "the file of its authority in the variable SSL_CERT_FILE"
                ) from error
            raise ArenaError(f"{self._url} does not answer ({reason}); check the address and try again") from error
        except httpx.InvalidURL as error:
            raise ConfigError(f"address {self._url!r} is not one of a server ({error}); write https://NAME") from error


def _trusted() -> ssl.SSLContext:
    """Whose certificates are believed: the usual authorities, or those of the file that SSL_CERT_FILE names.

    Raises:
        ConfigError: that file cannot be read.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
        raise ConfigError(f"SSL_CERT_FILE = {named}: {error.strerror or error}; name a file of certificates") from None


def _refuse_more_than_a_site(url: str, parts: httpx.URL) -> None:
    """Raise a ConfigError for the address of a page, or one with a name and password, which would replace the token."""
    if parts.userinfo or parts.path.strip("/") or parts.query or parts.fragment:
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.host}]" if ":" in parts.host else parts.host
        more = f"names a user, and leads to {host}" if parts.userinfo else "has more to it than a site's"
        scheme = parts.scheme if is_loopback(parts.host) else "https"
        raise ConfigError(f"address {url!r} {more}; write {scheme}://{host}{port}")


def _detail(answer: httpx.Response) -> str:
    """The one line of a problem, without what a terminal would act on."""
    try:
        text = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        text = answer.reason_phrase
    return printable(text[:500])
