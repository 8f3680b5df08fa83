"""Strict reading of `card.json`: plain data of bounded size, and no text that looks like what it is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from latentarena.documents import parse_json
from latentarena.errors import GateError
from latentarena.text import first_hidden

LARGEST_CARD = 1 << 20  # bytes
MOST_VALUES = 50_000
LONGEST_TEXT = 20_000  # characters


def check_card(content: bytes, what: str = "card.json") -> Any:
    """The card as plain data; whether its keys and values are those of a card is for the card's schema to say.

    Args:
        content: of the file.
        what: its name in messages.

    Raises:
        GateError: it is too large, no strict JSON (a key twice, NaN, nested deeply), or holds text that cannot be seen.
    """
    if len(content) > LARGEST_CARD:
        raise GateError("too-large", f"{what} is larger than {LARGEST_CARD} bytes; leave out what no card needs")
    try:
        raw = parse_json(content)
    except ValueError as error:
        raise GateError("card-json", f"{what} is not JSON: {error}") from None
    for count, value in enumerate(_values(raw)):
        if count >= MOST_VALUES:
            raise GateError("card-many", f"{what} holds more than {MOST_VALUES:,} values; leave out what no card needs")
        if isinstance(value, str):
            _refuse_text(value, what)
    return raw


def is_portable(raw: Any) -> bool:
    """Whether a card says that its bundle is portable; what says nothing is native."""
    return bool(_inner(raw, "form") == "portable")


def dataset_named(raw: Any) -> str | None:
    """The name of the dataset that a card of either form says; None where it says none."""
    home = raw if is_portable(raw) else _inner(_inner(raw, "provenance"), "recipe")
    name = _inner(_inner(home, "data"), "name")
    return name if isinstance(name, str) else None


def _inner(raw: Any, key: str) -> Any:
    return raw.get(key) if isinstance(raw, dict) else None


def _values(raw: Any) -> Iterator[Any]:
    """Everything in nested plain data, keys too."""
    waiting = [raw]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value


def _refuse_text(text: str, what: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise GateError(
            "card-text", f"{what}: a text of {len(text):,} characters is too long; at most {LONGEST_TEXT:,}"
        )
    hidden = first_hidden(text)
    if hidden:
        raise GateError("card-text", f"{what}: {ascii(text)[:80]} holds {hidden}, which cannot be seen; take it out")
