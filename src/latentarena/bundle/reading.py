"""Reading the files of a bundle, whatever its form; each fault is one line that names the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentarena.errors import BundleError
from latentarena.gates.card import LARGEST_CARD, check_card

__all__ = ["CARD", "NATIVE", "is_portable", "read_card", "read_file"]

CARD = "card.json"
NATIVE = f"a bundle is a folder of {CARD} and weights.safetensors"


def read_file(path: Path, hint: str, limit: int | None = None) -> bytes:
    """A file's content.

    Raises:
        BundleError: it cannot be read, with `hint` as what a bundle is, or is larger than `limit` bytes.
    """
    try:
        if limit is not None and path.stat().st_size > limit:
            raise BundleError(f"{path} is larger than {limit} bytes")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; {hint}") from None


def read_card(folder: Path) -> tuple[bytes, Any]:
    """The card as bytes and as plain data.

    Raises:
        BundleError: it cannot be read, is too large, or is not strict JSON: see `check_card`.
    """
    content = read_file(folder / CARD, f"{NATIVE}, or of {CARD} and ONNX files", LARGEST_CARD)
    return content, check_card(content, str(folder / CARD))


def is_portable(raw: Any) -> bool:
    """Whether a card says that its bundle is portable; what says nothing is native."""
    return isinstance(raw, dict) and raw.get("form") == "portable"
