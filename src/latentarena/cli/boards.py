"""Boards in the terminal. Imports no torch."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from latentarena.arena.intake import TriedBundle
from latentarena.arena.records import TeamDetails
from latentarena.cli.page import line_page, wide_page
from latentarena.contest.board import Board
from latentarena.contest.contest import Contest
from latentarena.contest.prediction import Prediction
from latentarena.contest.ranking import Placed
from latentarena.contest.spreadsheet import Ranked, inert
from latentarena.text import plain_line

if TYPE_CHECKING:  # what needs a server's packages
    from latentarena.arena.enrolment import Enrolled
    from latentarena.arena.store import Certification


def print_ranked(ranked: Ranked, contest: Contest) -> None:
    """Places, totals and ranks by category; below, how ties were broken."""
    page = wide_page()
    caption = f"{contest.total} of the ranks; 1 is best"
    table = Table(
        title=contest.title, title_justify="left", caption=caption, caption_justify="left", box=box.SIMPLE_HEAD
    )
    table.add_column("place", justify="right")
    table.add_column("entry", overflow="fold")
    table.add_column(contest.total, justify="right", style="bold")
    for category in contest.categories:
        table.add_column(category.label, justify="right")
    for one in ranked.placed:
        ranks = (str(place) for place in one.categories.values())
        table.add_row(_place(one), plain_line(one.name), f"{one.total:.4g}", *ranks)
    page.print(table)
    for one in ranked.placed:
        if one.reason:
            page.print(f"{plain_line(one.name)}: {plain_line(one.reason)}")


def _place(one: Placed) -> str:
    return f"{one.place}{'=' if 'shares' in one.reason else ' '}"


def print_board(board: Board, out: Path) -> None:
    """Places, awards, what was not ranked and why, and where the site is."""
    page = line_page()
    for line in board.lines:
        awards = f"  ({', '.join(line.awards)})" if line.awards else ""
        page.print(f"{line.place:>4}  {plain_line(line.team)}{awards}")
    for line in board.others:
        page.print(f"   –  {plain_line(line.team)}: {plain_line(line.refused)}")
    page.print(f"site -> {out / 'index.html'}")


def print_standing(board: Board) -> None:
    """Places with totals, ranks by category, points and the probability of being first; below, what must be said."""
    page = wide_page()
    table = Table(title=plain_line(board.title), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("place", justify="right")
    table.add_column("team", overflow="fold")
    for name in (board.total, *(plain_line(group.title) for group in board.groups), "points", "first"):
        table.add_column(name, justify="right")
    for line in board.lines:
        ranks = (str(line.categories[group.name]) for group in board.groups)
        points = f"{line.points['all']:.1f}" if "all" in line.points else ""
        first = "" if line.first is None else f"{line.first:.0%}"
        total = "" if line.total is None else f"{line.total:.4g}"
        table.add_row(str(line.place), plain_line(line.team), total, *ranks, points, first)
    page.print(table)
    for note in board.notes:
        page.print(plain_line(note, 300))


def print_submission(found: dict[str, Any]) -> None:
    """One line on a submission, and why it failed if it did."""
    page = line_page()
    words = [plain_line(str(found.get(key, ""))) for key in ("id", "state", "model", "received")]
    page.print("  ".join(word for word in words if word))
    if found.get("reason"):
        page.print(plain_line(str(found["reason"]), 500), style="bold red")


def print_tokens(tokens: Mapping[str, str]) -> None:
    """Tokens by team as CSV, to be kept or mailed."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["team", "token"])
    rows.writerows((inert(name), token) for name, token in tokens.items())


def print_plan(found: Enrolled) -> None:
    """What was read from which column of a roster, and what it would change, team by team."""
    page = line_page()
    columns = found.roster.columns
    page.print("columns: " + ", ".join(f"{role} = {plain_line(name)}" for role, name in columns.used.items()))
    if columns.ignored:
        page.print(f"not read: {', '.join(map(plain_line, columns.ignored))}")
    for plan in found.plans:
        what = "new team " if plan.new else "more for " if plan.added else "unchanged"
        page.print(f"{what}  {plan.name}{': ' if plan.added else ''}{', '.join(plan.added)}")
    print_enrolled(found)
    page.print("nothing was changed; without --preview it is. Names of teams are public, members are not")


def print_enrolled(found: Enrolled) -> None:
    """What a roster changes in a sentence, and what people should look at; on stderr, for tokens go to stdout."""
    page = line_page(stderr=True)
    for remark in found.remarks:
        page.print(remark)
    page.print(found.summary)


def print_teams(teams: Iterable[TeamDetails]) -> None:
    """A line for each team: name, members, entries."""
    page = line_page()
    for one in teams:
        page.print(f"{one.name}: {', '.join(one.members) or 'no members'}; {one.submissions} handed in")


def print_trainings(found: Mapping[str, Certification]) -> None:
    """A line for each entry whose recipe was, or is to be, trained anew."""
    from latentarena.arena.certification import certificate_in

    page = line_page()
    for id_, one in found.items():
        made = certificate_in(one)
        words = [one.words] if made is None else [one.words, made.verdict, *made.reasons]
        page.print(f"{id_}: {plain_line('; '.join(words), 400)}")
    if not found:
        page.print("no recipe was or is to be trained anew")


def print_outcomes(outcomes: Iterable[TriedBundle], many: int) -> list[TriedBundle]:
    """What became of each bundle, as it becomes known."""
    page = line_page()
    seen = []
    for number, one in enumerate(outcomes, 1):
        what = "not evaluated, through a fault of this machine" if one.fault else "refused"
        said = Text.assemble((what, "bold red"), f": {one.refused}") if one.refused else Text("evaluated")
        page.print(Text(f"{number}/{many}  {plain_line(one.entry)}: ") + said)
        seen.append(one)
    if not many:
        page.print("no bundle to check")
    return seen


def print_prediction(found: Prediction, contest: Contest) -> None:
    """Where a model would stand, by category; what was not measured; and which metric costs it most, and how much."""
    page = line_page()
    if found.standing is None:
        page.print(f"would not be ranked: {plain_line(found.refused)}")
        return
    best, worst = found.standing.best, found.standing.worst
    ranks = ", ".join(
        f"{one.label} {_between(best.categories[one.name], worst.categories[one.name])}" for one in contest.categories
    )
    place = _between(best.place, worst.place)
    page.print(f"would stand {place} of {found.entries} in {contest.title}: {ranks}")
    if found.unmeasured:
        page.print(
            f"not measured here: {', '.join(found.unmeasured)}; hence the range, from the best there to the worst"
        )
    if found.costliest is None or found.there is None:
        page.print("no single metric would lower its total")
        return
    cost = f"{found.lost} place{'' if found.lost == 1 else 's'}" if found.lost else "no place yet"
    there = f"{_between(found.there.best.place, found.there.worst.place)}"
    total = f"the {contest.total} of ranks {found.there.worst.total:.4g}, not {worst.total:.4g}"
    page.print(f"{found.costliest} costs most: {cost}; with the board's best there it would stand {there}, {total}")


def _between(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"
