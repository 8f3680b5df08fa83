"""What docs/bundles.md says of the code, and the schema of the card beside it: `python benchmarks/bundles_page.py`.

The page's tables of opsets, operators and card keys are made of the code, its examples are the files of
`examples/bundles`, and `docs/portable-card.schema.json` is the card's pydantic model.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

from latentarena.bundle.portable import PortableCard
from latentarena.gates.operators import OPERATORS, OPSETS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "bundles.md"
SCHEMA = ROOT / "docs" / "portable-card.schema.json"
EXAMPLES = ROOT / "examples" / "bundles"
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


def schema() -> dict[str, Any]:
    """The card as a JSON schema, each key with its line of the page."""

    def described(value: Any) -> Any:
        """The same with the first paragraph of every description: what follows is for readers of the code."""
        if isinstance(value, list):
            return [described(one) for one in value]
        if not isinstance(value, dict):
            return value
        found = {key: described(one) for key, one in value.items()}
        if isinstance(found.get("description"), str):
            found["description"] = " ".join(found["description"].split("\n\n")[0].split())
        return found

    made = described(PortableCard.model_json_schema())
    for key, told in made["properties"].items():
        told["description"] = ABOUT[key].replace("`", "")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return head | made | {"title": "card.json of a portable bundle", "description": "Metadata of a portable bundle."}


def schema_text() -> str:
    """The schema as it lies in its file."""
    return json.dumps(schema(), indent=2) + "\n"


def with_examples(text: str) -> str:
    """The page with each example under the link to its file, as it stands there."""

    def example(found: re.Match[str]) -> str:
        code = (EXAMPLES / found[2]).read_text(encoding="utf-8").rstrip()
        return f"{found[1]}```python\n{code}\n```"

    return re.sub(r"(\(\.\./examples/bundles/(\w+\.py)\)[^#]*?\n\n)```python\n.*?\n```", example, text, flags=re.DOTALL)


def page(text: str) -> str:
    """The page with its tables and examples made anew."""
    operators = textwrap.fill(" ".join(f"`{one}`" for one in sorted(OPERATORS)), 118)
    text = re.sub(r"(?<=Opsets ).*?(?= of the standard domain)", f"{OPSETS[0]} to {OPSETS[-1]}", text)
    text = re.sub(r"(?<=these operators:\n\n).*?(?=\n\nNo control flow)", operators, text, flags=re.DOTALL)
    head, _, _ = text.partition("(generator).\n\n")
    return with_examples(f"{head}(generator).\n\n{card()}\n")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
