"""A roster: which teams there are, and who is in them. Only the team's name is ever public."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from latentarena.arena.names import clean_name, looks_like, plain_line
from latentarena.errors import ConfigError

__all__ = ["read_roster"]

MOST = 2000  # lines


def read_roster(text: str, taken: Iterable[str]) -> dict[str, list[str]]:
    """Teams and their members from a CSV of `team,member,email`, a line for each member; a header may stand first.

    Args:
        text: as it was pasted or uploaded.
        taken: names of teams that are there already; a new name must not look like one of them.

    Returns:
        By team, `member <email>` of each; empty where only the team is named.

    Raises:
        ConfigError: one line that names the line of the roster and what is wrong with it.
    """
    teams: dict[str, list[str]] = {}
    known = list(taken)
    try:
        lines = list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), strict=True))
    except csv.Error as error:
        raise ConfigError(f"the roster is not CSV ({error}); write team,member,email on each line") from None
    if len(lines) > MOST:
        raise ConfigError(f"the roster has {len(lines)} lines, more than {MOST}; hand it in in parts")
    for number, cells in enumerate(lines, 1):
        cells = [cell.strip() for cell in cells]
        if not any(cells) or (number == 1 and cells[0].lower() == "team"):
            continue
        name = _name(number, cells[0], known, teams)
        teams.setdefault(name, []).extend(_member(cells[1:]))
    if not teams:
        raise ConfigError("the roster names no team; write team,member,email on each line")
    return teams


def _name(number: int, text: str, known: list[str], teams: Iterable[str]) -> str:
    try:
        name = clean_name(text, "team name")
    except ConfigError as error:
        raise ConfigError(f"line {number} of the roster: {error}") from None
    if name in teams:
        return name
    like = looks_like(name, [*known, *teams])
    if like is not None:
        raise ConfigError(f"line {number} of the roster: team {name!r} looks like {like!r}, which is there already")
    return name


def _member(cells: list[str]) -> list[str]:
    member, address = [plain_line(cell, 120) for cell in (*cells, "", "")[:2]]
    if not member and not address:
        return []
    return [f"{member} <{address}>" if member and address else member or address]
