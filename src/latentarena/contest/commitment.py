"""What everybody may know of a contest's key."""

from __future__ import annotations

from datetime import datetime

from latentarena.config import Config
from latentarena.contest.contest import Contest
from latentarena.key import Key


class Commitment(Config):
    """What everybody may know of a contest's key.

    Attributes:
        sha256: of the key, published from the start, so that the key cannot be exchanged afterwards.
        key: in hexadecimal digits, once the contest has closed; empty until then.
    """

    sha256: str
    key: str = ""

    @property
    def noise(self) -> str:
        """What score cards call the key."""
        return f"secret {self.sha256[:12]}"


def commitment_of(key: Key, contest: Contest, now: datetime) -> Commitment:
    """What may be published of a contest's key at this time."""
    return Commitment(sha256=key.commitment, key=key.text if contest.closed(now) else "")
