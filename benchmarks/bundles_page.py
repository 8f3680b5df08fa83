"""docs/bundles.md's tables of opsets, operators and card keys, from the code: `python benchmarks/bundles_page.py`."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from latentarena.bundle.portable import PortableCard
from latentarena.gates.operators import OPERATORS, OPSETS

PAGE = Path(__file__).parents[1] / "docs" / "bundles.md"
ABOUT = {
    "format": "version of this form of card",
    "form": "what kind of bundle it is",
    "name": "what to call the model, 1 to 80 characters",
    "shape": "channels, height, width of an image",
    "latent": "shape of one latent",
    "noise": "shape of one sample's noise",
    "precision": "to which the judge rounds latents before they are decoded",
    "classes": "names of the labels; may be empty",
    "conditional": "whether `generate` takes labels",
    "pixels": "whether the latent is the image itself, so that there is no reconstruction to judge",
    "output": "range of the images",
    "hashes": "SHA-256 of each graph's file: `encode`, `decode`, `generate`",
    "parameters": "stored numbers: `encoder`, `decoder`, `generator`",
    "sampling": "what `generate` does, in words: `solver`, `steps`, `guidance`",
    "data": "what it was trained on: `name`, as in a recipe",
    "provenance": "how it came to be; shown as self-reported",
}


def kind(told: dict[str, Any]) -> str:
    """A key's type, as the schema tells it, in a few words."""
    if "const" in told:
        return f"`{told['const']!r}`".replace("'", '"')
    if "enum" in told:
        return ", ".join(f"`{one}`" for one in told["enum"])
    if "$ref" in told or "anyOf" in told or told.get("type") == "object":
        return "object"
    if told.get("type") == "array":
        return "list of texts" if told.get("items", {}).get("type") == "string" else "list of whole numbers"
    return {"string": "text", "boolean": "true or false", "integer": "whole number"}[told["type"]]


def card() -> str:
    """The keys of the card as a Markdown table."""
    schema = PortableCard.model_json_schema()
    rows = [
        f"| `{key}` | {kind(told)} | {'yes' if key in schema['required'] else 'no'} | {ABOUT[key]} |"
        for key, told in schema["properties"].items()
    ]
    return "\n".join(["| key | value | needed | what it says |", "|---|---|---|---|", *rows])


def page(text: str) -> str:
    """The page with its three parts made anew."""
    operators = textwrap.fill(" ".join(f"`{one}`" for one in sorted(OPERATORS)), 118)
    text = re.sub(r"(?<=Opsets ).*?(?= of the standard domain)", f"{OPSETS[0]} to {OPSETS[-1]}", text)
    text = re.sub(r"(?<=these operators:\n\n).*?(?=\n\nNo control flow)", operators, text, flags=re.DOTALL)
    head, _, _ = text.partition("(generator).\n\n")
    return f"{head}(generator).\n\n{card()}\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
