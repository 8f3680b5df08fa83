"""What the pages of the documentation tell people to type."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OF_A_SERVER = r"export ARENA_TOKEN=.*|arena (serve|submit|status|worker|erase|board show|team remove)( .*)?"


def shell_lines(page: Path) -> list[str]:
    """What a page tells people to type, in blocks: each command with its spaces made one, without comments."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.S | re.M)
    lines = (re.sub(r"(^|\s)#.*", "", line).removeprefix("$ ") for block in blocks for line in block.split("\n"))
    return [" ".join(line.split()) for line in lines if line.split()]


def lines_of_all_pages() -> list[str]:
    """Each line that a page tells people to type once, in the order of the pages; most of uses.md has its own test."""
    lines = ((page, line) for page in PAGES for line in shell_lines(page))
    kept = (line for page, line in lines if page.name != "uses.md" or not run_for_uses(line))
    return list(dict.fromkeys(one for line in kept for one in _turns(line)))


def _turns(line: str) -> list[str]:
    """A line, or if it is a loop of the shell what each of its turns types."""
    line = re.sub(r"^(\w+=\S+ )+(?=arena )", "", line)  # variables that a line sets for itself alone
    loop = re.fullmatch(r"for (\w+) in (.*); do (.*); done", line)
    return [loop[3].replace(f"${loop[1]}", value) for value in loop[2].split()] if loop else [line]


def typed(page: Path) -> list[str]:
    """What a page tells people to type after `arena`, in blocks."""
    return re.findall(r"\barena ([a-z](?:[^;&|>\n`]|(?<! )>)*)", "\n".join(shell_lines(page)))


def run_for_uses(line: str) -> bool:
    """Whether a line of the page on uses is run by the test of that page: all but judging and what a shell must do."""
    return line.startswith("arena ") and not line.startswith("arena judge ") and "$" not in line
