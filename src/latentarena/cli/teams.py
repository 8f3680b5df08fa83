"""Commands for the teams of a site, for its organiser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentarena.cli.options import HELP, DatabaseOption, ObjectsOption, WholeGroup

app = typer.Typer()
team_app = typer.Typer(cls=WholeGroup, no_args_is_help=True, context_settings=HELP, rich_markup_mode=None)
app.add_typer(team_app, name="team", help="Teams and tokens of a site, for its organiser.")


@team_app.command("add")
def team_add(
    roster: Annotated[
        Path,
        typer.Argument(metavar="ROSTER.csv", help="A class list: CSV with columns such as team,member,email."),
    ],
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what was read and what would change; change nothing.")
    ] = False,
    db: DatabaseOption = "sqlite:///arena.db",
) -> None:
    """Add teams and members that are not there yet; prints tokens of new teams as CSV, this once."""
    from latentarena.arena.operation import add_teams
    from latentarena.cli.boards import print_enrolled, print_plan, print_tokens

    found = add_teams(db, roster, preview)
    if preview:
        print_plan(found)
        return
    print_enrolled(found)
    print_tokens(found.tokens)


TeamArgument = Annotated[str, typer.Argument(metavar="TEAM", help="Name of the team.")]


@team_app.command("rename")
def team_rename(
    team: TeamArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its new one; its entries stand under it from now on.")],
    db: DatabaseOption = "sqlite:///arena.db",
) -> None:
    """Give a team another name."""
    from latentarena.arena.operation import change_team

    typer.echo(f"{team} is called {change_team(db, team, name).name} now")


@team_app.command("remove")
def team_remove(
    team: TeamArgument,
    entries: Annotated[
        bool, typer.Option("--entries", help="Erase all that it has handed in too; this cannot be undone.")
    ] = False,
    db: DatabaseOption = "sqlite:///arena.db",
    objects: ObjectsOption = "objects",
) -> None:
    """Forget a team with its members and tokens."""
    from latentarena.arena.operation import remove_team

    typer.echo(f"removed {team} and {remove_team(db, objects, team, entries)} files of its entries")


@team_app.command("members")
def team_members(
    team: TeamArgument,
    add: Annotated[
        list[str] | None, typer.Option("--add", metavar="MEMBER", help="Member to add, as `name <address>`.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="MEMBER", help="Member to remove, by name, address or both.")
    ] = None,
    db: DatabaseOption = "sqlite:///arena.db",
) -> None:
    """Change who is in a team; to rename a member, remove the one and add the other. Prints who is in it then."""
    from latentarena.arena.operation import change_team
    from latentarena.errors import ConfigError

    if not add and not remove:
        raise ConfigError("name whom to --add or to --remove; arena team list shows who is in a team")
    for member in change_team(db, team, None, add or (), remove or ()).members:
        typer.echo(member)


@team_app.command("list")
def team_list(db: DatabaseOption = "sqlite:///arena.db") -> None:
    """List the teams with their members, which are private."""
    from latentarena.arena.operation import teams
    from latentarena.cli.boards import print_teams

    print_teams(teams(db))


@team_app.command("token")
def team_token(
    team: Annotated[
        str, typer.Argument(metavar="[TEAM]", help="Name of the team; for an organiser unless given.")
    ] = "",
    db: DatabaseOption = "sqlite:///arena.db",
) -> None:
    """Make a token: for a team in place of all it had, or one more for an organiser. It is printed this once."""
    from latentarena.arena.operation import new_token

    typer.echo(new_token(db, team or None))


@team_app.command("revoke")
def team_revoke(
    team: Annotated[str, typer.Argument(metavar="[TEAM]", help="Name of the team.")] = "",
    organisers: Annotated[bool, typer.Option("--organisers", help="All organisers' instead.")] = False,
    db: DatabaseOption = "sqlite:///arena.db",
) -> None:
    """End all tokens and sessions of a team; `arena team token` makes a new one."""
    from latentarena.arena.operation import revoke
    from latentarena.errors import ConfigError

    if bool(team) == organisers:
        raise ConfigError("name a team, or --organisers: whose tokens are to end?")
    typer.echo(f"{revoke(db, team or None)} tokens and sessions ended")
