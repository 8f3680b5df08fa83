"""What the pages of the documentation tell people to type."""

from __future__ import annotations

import re
from pathlib import Path


def typed(page: Path) -> list[str]:
    """What a page tells people to type after `arena`, in blocks."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    lines = "\n".join(
        line.split(" #")[0] for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.split("\n")
    )
    return re.findall(r"\barena ([a-z](?:[^;&|>\n`]|(?<! )>)*)", lines)
