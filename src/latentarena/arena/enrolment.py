"""Rosters and teams, as organisers bring them in and take them away: from a shell, by the API or on their page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from latentarena.arena.erasing import erase_entry
from latentarena.arena.objects import Objects
from latentarena.arena.roster import Roster, TeamPlan, plan_teams
from latentarena.arena.store import Store


@dataclass(frozen=True)
class Enrolled:
    """What a roster changes, or has changed: for each of its teams; and the new teams' tokens once they are made."""

    roster: Roster
    plans: tuple[TeamPlan, ...]
    tokens: dict[str, str]

    @property
    def summary(self) -> str:
        """Such as `2 new teams; 3 members more in 1 other team; 10 teams unchanged`."""
        new = sum(plan.new for plan in self.plans)
        grown = [plan for plan in self.plans if plan.added and not plan.new]
        parts = [f"{_many(new, 'new team')} with {_many(sum(len(p.added) for p in self.plans if p.new), 'member')}"]
        if grown:
            more = _many(sum(len(plan.added) for plan in grown), "new member")
            parts.append(f"{more} of {_many(len(grown), 'team')} that {'is' if len(grown) == 1 else 'are'} there")
        same = len(self.plans) - new - len(grown)
        return "; ".join([*parts, f"{_many(same, 'team')} unchanged"] if same else parts)

    @property
    def remarks(self) -> list[str]:
        """What people should look at before they add it."""
        said = [
            f"{member} of {plan.name} is in {home} too"
            for plan in self.plans
            for member, home in plan.elsewhere.items()
        ]
        if self.roster.teamless:
            lines = self.roster.teamless
            shown = ", ".join(map(str, lines[:10])) + (", ..." if len(lines) > 10 else "")
            said.append(f"left out, for they name no team: line{'s' if len(lines) > 1 else ''} {shown}")
        if self.roster.doubt:
            said.append(self.roster.doubt)
        return said


def plan_roster(store: Store, roster: Roster) -> Enrolled:
    """What a roster would change.

    Raises:
        ConfigError: a name of a new team looks like another one.
    """
    there = {team.name: team.members for team in store.teams.all()}
    return Enrolled(roster, tuple(plan_teams(roster.teams, there, roster.lines)), {})


def add_roster(store: Store, roster: Roster, actor: str) -> Enrolled:
    """Add the teams and members of a roster that are not there yet; all or none.

    Raises:
        ConfigError: a name of a new team looks like another one.
    """
    planned = plan_roster(store, roster)
    tokens = store.teams.add(roster.teams.items(), actor, datetime.now(UTC))
    return Enrolled(roster, planned.plans, tokens)


def remove_team(store: Store, objects: Objects, team: str, actor: str, entries: bool = False) -> list[str]:
    """Forget a team; the hashes of the files that are gone with it.

    Args:
        entries: forget what it has handed in too; its tokens end first, so that nothing more comes in.

    Raises:
        NotThere: no such team.
        ConfigError: it has entries, and these were not to be forgotten.
    """
    gone = []
    if entries:
        store.tokens.revoke(team, actor, datetime.now(UTC))
        while found := store.submissions.latest(team):
            for one in found:
                gone += erase_entry(store, objects, one.id, actor)
    store.teams.remove(team, actor, datetime.now(UTC))
    return gone


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
