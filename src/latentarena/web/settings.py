"""The settings that the operator of a server chooses."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from latentarena.errors import ConfigError

USUAL = {"http": 80, "https": 443}
LOCAL = "http://127.0.0.1:8000"  # where `arena serve` listens unless told otherwise


@dataclass(frozen=True)
class Settings:
    """Settings of a site.

    Attributes:
        address: under which people reach the site, such as https://arena.example.org; pages print it, whatever
            a request says of itself.
        behind_proxy: the last address in X-Forwarded-For is believed, for counting.
        session_seconds: how long a sign-in lasts.
        uploads_per_minute: by one team, before 429; quotas of the contest come on top.
    """

    address: str = LOCAL
    behind_proxy: bool = False
    session_seconds: int = 12 * 3600
    uploads_per_minute: int = 10

    @property
    def https(self) -> bool:
        """Whether browsers reach the site by https: then cookies are sent over nothing else."""
        return self.address.startswith("https://")


def public_address(url: str, https: bool, host: str, port: int) -> str:
    """The address under which people reach a site.

    Args:
        url: as its operator says; where that is empty, what follows from where the server listens.
        https: whether a proxy in front of it speaks https, for an empty `url`.

    Raises:
        ConfigError: the URL is none of a site's, or says http beside `https`.
    """
    if not url:
        name = platform.node() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
        return f"{'https' if https else 'http'}://{f'[{name}]' if ':' in name else name}:{port}"
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
        netloc = _as_browsers_say(parts)
    except ValueError:  # which a name that no domain may have is too
        sound, netloc = False, ""
    if not sound or parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError(f"--url {url}: write https://NAME, without a path; the site has its addresses below /")
    if https and parts.scheme != "https":
        raise ConfigError(f"--https beside --url {url}: one of them is wrong; --url alone says which it is")
    return f"{parts.scheme}://{netloc}"


def _as_browsers_say(parts: SplitResult) -> str:
    """Host and port as a browser's `Origin` has them: no capitals, no letters beyond ASCII, no usual port."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host.encode("idna").decode()
    return host if parts.port in (None, USUAL.get(parts.scheme)) else f"{host}:{parts.port}"
