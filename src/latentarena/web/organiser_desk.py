"""What an organiser asks of a contest's site: its teams, what was done, and to judge, train or erase entries."""

from __future__ import annotations

from collections.abc import Sequence

from latentarena.arena.enrolment import Enrolled, add_roster, plan_roster, remove_team
from latentarena.arena.erasing import erase_entry
from latentarena.arena.roster import read_roster
from latentarena.arena.store import Audited, TeamDetails
from latentarena.web.desk import Desk, now
from latentarena.web.routing import Caller
from latentarena.web.views import Page


class OrganiserDesk:
    """A contest's teams and entries in its organiser's hands. Every method may block."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._store, self._objects = desk, desk.store, desk.objects

    def teams(self, number: int = 1) -> Page[TeamDetails]:
        """A page of the teams, by name."""
        return Page.of(number, self._store.teams.count(), self._store.teams.all)

    def audit(self, number: int = 1) -> Page[Audited]:
        """A page of the audit log, the latest first."""
        return Page.of(number, self._store.audit.count(), self._store.audit.lines)

    def plan_teams(self, roster: str) -> Enrolled:
        """The changes that a roster would make.

        Raises:
            ConfigError: one line on what is wrong with the roster.
        """
        return plan_roster(self._store, read_roster(roster))

    def add_teams(self, roster: str, caller: Caller) -> Enrolled:
        """Add the teams and members of a roster that are not there yet; with the new teams' tokens, shown this once.

        Raises:
            ConfigError: one line on what is wrong with the roster.
        """
        return add_roster(self._store, read_roster(roster), caller.name)

    def team(self, team: str) -> TeamDetails:
        """A team with its private members.

        Raises:
            NotThere: there is no such team.
        """
        return self._store.teams.one(team)

    def change_team(
        self, team: str, caller: Caller, name: str | None = None, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> TeamDetails:
        """Rename a team, or change who is in it; see `Teams.change`."""
        return self._store.teams.change(team, caller.name, now(), name, add, remove)

    def remove_team(self, team: str, caller: Caller, entries: bool) -> list[str]:
        """Delete a team, and its entries if they are to go; returns the hashes of deleted files. See `remove_team`."""
        return remove_team(self._store, self._objects, team, caller.name, entries)

    def new_token(self, team: str, caller: Caller) -> tuple[str, str]:
        """Replace all tokens of a team by a new one; returns the team's name and the token.

        Raises:
            NotThere: there is no such team.
        """
        name = self.team(team).name
        self._store.tokens.revoke(team, caller.name, now())
        return name, self._store.tokens.new(team, name, caller.name, now())

    def revoke(self, team: str, caller: Caller) -> int:
        """End all tokens and sessions of a team; returns how many.

        Raises:
            NotThere: there is no such team.
        """
        return self._store.tokens.revoke(team, caller.name, now())

    def erase(self, submission: str, caller: Caller) -> list[str]:
        """Delete a submission and the files that no other one has; returns their hashes.

        Raises:
            NotThere: there is none.
        """
        return erase_entry(self._store, self._objects, submission, caller.name)

    def requeue(self, submission: str, caller: Caller) -> None:
        """Evaluate again what ended without a score.

        Raises:
            NotThere, ConfigError: there is none, or it did not.
        """
        self._store.submissions.requeue(submission, self._desk.rules().judge, caller.name, now())

    def train_anew(self, submission: str, caller: Caller) -> None:
        """Queue the recipe of an entry to be trained anew.

        Raises:
            NotThere, ConfigError: there is no such entry, or it has no recipe.
        """
        self._store.certifying.order([submission], caller.name, now())
