"""What the operator of a server decides."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """How a site is served.

    Attributes:
        https: browsers reach the site by https: cookies are sent over nothing else.
        behind_proxy: the last address in X-Forwarded-For is believed, for counting.
        session_seconds: how long a sign-in lasts.
        uploads_per_minute: by one team, before 429; quotas of the contest come on top.
    """

    https: bool = False
    behind_proxy: bool = False
    session_seconds: int = 12 * 3600
    uploads_per_minute: int = 10
