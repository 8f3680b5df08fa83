"""Sections of docs/arena.md: each benchmark writes its own and leaves the others as they are."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from latentarena.files import write_text

TITLE = "# The arena, measured\n\nEach section is made by the script it names; do not edit.\n"


def replace_section(page: Path, name: str, lines: list[str]) -> None:
    """Write the section between its marks; at the end of the page if it is new."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    text = page.read_text() if page.is_file() else TITLE
    section = "\n".join([begin, *lines, end])
    if begin in text:
        before, rest = text.split(begin, 1)
        text = before + section + rest.split(end, 1)[1]
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    write_text(page, text)


def zipped(weights: bytes) -> bytes:
    """A bundle at a glance, as the server takes it on receipt: of a native bundle's files, with anything as weights."""
    archive = BytesIO()
    with ZipFile(archive, "w") as out:
        out.writestr("card.json", "{}")
        out.writestr("weights.safetensors", weights)
    return archive.getvalue()
