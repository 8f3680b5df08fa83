"""Native bundles whose model is made of parts that do not come with this package: of one's own opened, others refused.

What a card says of such parts is compared and repeated. Nothing that it names is looked for or imported.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from latentarena.config import validate
from latentarena.errors import BundleError, GateError
from latentarena.parts import ForeignPart
from latentarena.text import printable

log = logging.getLogger(__name__)
MOST_PARTS = 32
REASON = "parts"  # why a gate refuses them


class _Needed(BaseModel):
    """The foreign parts that a card names, whatever else it holds."""

    parts: tuple[ForeignPart, ...] = Field(default=(), max_length=MOST_PARTS)


def refuse_missing(raw: Any, card: Path, trusted: bool) -> None:
    """Raise where a card, as plain data, names foreign parts: a stranger's at all, one's own if they are not loaded.

    Raises:
        GateError: it is a stranger's.
        BundleError: a part is not loaded; the message says what to do.
    """
    needed = validate(_Needed, raw if isinstance(raw, dict) else {}, str(card)).parts
    if not trusted:
        refuse_foreign(needed, card)
    missing = [part for part in needed if part.loaded is None]
    if missing:
        words, sources = _listed(part.words for part in missing), _listed(part.source for part in missing)
        raise BundleError(
            f"{card}: the model is made of {words}, which is not loaded; give {sources} with --plugin (in Python: "
            "parts=[...]), or install it if it is a package"
        )
    for part in needed:
        if part.loaded is not None and part.loaded.digest != part.digest:
            log.warning("%s: the source of %s has changed since the model was trained", card, printable(part.words))


def refuse_foreign(parts: Sequence[ForeignPart], card: Path) -> None:
    """Raise a GateError where a stranger's model is made of foreign parts."""
    if parts:
        words = _listed(part.words for part in parts)
        way_out = "take its portable form, which needs none: arena export BUNDLE --plugin FILE"
        raise GateError(
            REASON, f"{card}: the model is made of {words}, which does not come with latentarena; {way_out}"
        )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))
