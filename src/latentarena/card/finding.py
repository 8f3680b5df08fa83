"""What a check of a model's honesty came to. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from latentarena.config import Config

Consequence = Literal["clear", "noted", "unranked", "refused"]


class Finding(Config):
    """A check of a model: what was measured, how far it may go, and what follows.

    Attributes:
        name: of the check, such as `test images as memory`.
        value: what was measured; limit: beyond which it is no longer clear.
        verdict: `clear`; `noted`, which is shown and changes nothing; `unranked`, a suspicion that keeps an entry from
            being ranked; `refused`, evidence on which the bundle is turned down.
        sentence: what was found, with its figures.
        withheld: metrics that are shown but do not rank because of it.
    """

    name: str
    value: float
    limit: float
    verdict: Consequence
    sentence: str
    withheld: tuple[str, ...] = ()


def gravest(findings: Iterable[Finding]) -> Finding | None:
    """The finding that keeps a model from being ranked, evidence before suspicion; None if nothing does."""
    found = list(findings)
    return next((one for kind in ("refused", "unranked") for one in found if one.verdict == kind), None)
