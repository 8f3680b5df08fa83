"""What the pages of the documentation tell people to type."""

from __future__ import annotations

import re
from pathlib import Path


def shell_lines(page: Path) -> list[str]:
    """What a page tells people to type, in blocks: each command with its spaces made one, without comments."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.S | re.M)
    lines = (re.sub(r"(^|\s)#.*", "", line).removeprefix("$ ") for block in blocks for line in block.split("\n"))
    return [" ".join(line.split()) for line in lines if line.split()]


def typed(page: Path) -> list[str]:
    """What a page tells people to type after `arena`, in blocks."""
    return re.findall(r"\barena ([a-z](?:[^;&|>\n`]|(?<! )>)*)", "\n".join(shell_lines(page)))


def run_for_uses(line: str) -> bool:
    """Whether a line of the page on uses is run by the test of that page: all but judging and what a shell must do."""
    return line.startswith("arena ") and not line.startswith("arena judge ") and "$" not in line
