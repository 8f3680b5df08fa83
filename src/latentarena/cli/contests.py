"""Commands for contests: boards, the server and its workers, submissions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentarena.cli.options import HELP, AnyBundleArgument, DatabaseOption, ObjectsOption, WholeGroup

app = typer.Typer()
board_app = typer.Typer(cls=WholeGroup, no_args_is_help=True, context_settings=HELP, rich_markup_mode=None)
app.add_typer(board_app, name="board", help="Rank a table, or build a board that needs no server.")

ContestOption = Annotated[
    str, typer.Option("--contest", metavar="NAME|FILE", help="contest-2025, digits, open, or a contest file, .yaml.")
]


KeyFileOption = Annotated[
    Path | None,
    typer.Option("--key-file", metavar="FILE", help="The contest's key, from `arena board key`; else ARENA_KEY."),
]


@board_app.command("rank")
def board_rank(
    raw: Annotated[Path, typer.Argument(metavar="RAW.csv", help="One row for each entry, one column for each figure.")],
    contest: ContestOption = "contest-2025",
    out: Annotated[Path | None, typer.Option(help="Write the table with its ranks, best first, as CSV.")] = None,
) -> None:
    """Rank a table of raw figures by a contest's rules."""
    from latentarena.arena.board_files import rank_file
    from latentarena.arena.contest_files import load_contest
    from latentarena.cli.boards import print_ranked
    from latentarena.contest.spreadsheet import write_csv
    from latentarena.files import make_folder, write_text

    rules = load_contest(contest)
    ranked = rank_file(raw, rules)
    print_ranked(ranked, rules)
    if out is not None:
        make_folder(out.parent)
        write_text(out, write_csv(ranked.header, ranked.rows))


@board_app.command("build")
def board_build(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="TEAM or TEAM/ENTRY folders, each with a score card, samples.png, ...")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the site.")] = Path("site"),
    contest: ContestOption = "open",
    verified: Annotated[
        bool, typer.Option("--verified", help="The cards and pages were made here from the bundles, not handed in.")
    ] = False,
    key_file: KeyFileOption = None,
) -> None:
    """Rank a folder of evaluated bundles into a static site, with CSV and JSON."""
    from datetime import UTC, datetime

    from latentarena.arena.contest_files import load_contest
    from latentarena.arena.keys import find_key
    from latentarena.arena.site import build_site, read_folder
    from latentarena.cli.boards import print_board
    from latentarena.contest.commitment import commitment_of

    rules, key = load_contest(contest), find_key(key_file, out)
    commitment = None if key is None else commitment_of(key, rules, datetime.now(UTC))
    print_board(build_site(*read_folder(folder, rules, verified), rules, out, commitment), out)


@board_app.command("key")
def board_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New; outside of what is published.")],
) -> None:
    """Make the key that a contest's noise follows from; keep the file secret, its SHA-256 is shown on the board."""
    from latentarena.arena.keys import write_key

    typer.echo(f"SHA-256 {write_key(file).commitment}; the key is in {file}: keep it secret until the contest closes")


@board_app.command("check")
def board_check(
    entries: Annotated[Path, typer.Argument(metavar="ENTRIES", help="Folder of TEAM/ENTRY bundles in a repository.")],
    contest: ContestOption = "open",
    since: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="Only bundles that changed since this commit.")
    ] = None,
    tolerant: Annotated[
        bool,
        typer.Option("--tolerant", help="Put refused bundles on the board too, with the reason; exit with 0."),
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for what `arena board build` takes.")] = Path("evaluated"),
    key_file: KeyFileOption = None,
) -> None:
    """Evaluate the bundles of a repository, each in a process of its own; the exit status is 1 where one is refused."""
    from latentarena.arena.contest_files import load_contest, refuse_own_images
    from latentarena.arena.intake import changed_since, evaluate_entries, find_bundles
    from latentarena.arena.keys import find_key
    from latentarena.cli.boards import print_outcomes

    rules, key = load_contest(contest), find_key(key_file, entries)
    refuse_own_images(rules)
    homes = find_bundles(entries) if since is None else sorted(changed_since(entries, since))
    outcomes = print_outcomes(evaluate_entries(entries, homes, rules, out, key), len(homes))
    refused = any(one.refused for one in outcomes)
    if refused and (not tolerant or all(one.fault for one in outcomes)):  # a machine that can evaluate nothing
        raise typer.Exit(1)


@board_app.command("init")
def board_init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Empty or absent, but for a .git.")],
    contest: ContestOption = "open",
) -> None:
    """Start a repository in which pull requests carry bundles and the board is published from main."""
    from latentarena import __version__
    from latentarena.arena.contest_files import contest_file
    from latentarena.arena.intake import start_repository

    for path in start_repository(folder, contest_file(contest), __version__):
        typer.echo(f"wrote {path}")


@app.command()
def worker(
    db: DatabaseOption = "sqlite:///arena.db",
    objects: ObjectsOption = "objects",
    once: Annotated[bool, typer.Option("--once", help="End when nothing waits.")] = False,
    threads: Annotated[
        int, typer.Option(min=0, max=256, help="Threads of an evaluation; as many as there are cores if 0.")
    ] = 0,
) -> None:
    """Evaluate what was handed in, until told to stop; any number of workers may share a database."""
    from latentarena.arena.operation import work

    work(db, objects, once, threads=threads)


@app.command()
def certify(
    entries: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Entries to train anew; lists all unless given.")
    ] = None,
    db: DatabaseOption = "sqlite:///arena.db",
) -> None:
    """On a site: queue entries whose recipes workers are to train anew, or list how far that is."""
    from latentarena.arena.operation import train_anew, trainings
    from latentarena.cli.boards import print_trainings

    if entries:
        many = train_anew(db, entries)
        typer.echo(f"{many} {'recipe waits' if many == 1 else 'recipes wait'} to be trained anew, behind evaluations")
    print_trainings(trainings(db))


UrlArgument = Annotated[
    str, typer.Argument(metavar="URL", help="Address of the arena, such as https://arena.example.org.")
]


@app.command()
def backup(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="New or empty; private names will be in it.")],
    db: DatabaseOption = "sqlite:///arena.db",
    objects: ObjectsOption = "objects",
) -> None:
    """Copy a site's database and files while it runs: one state of everything, with hashes."""
    from latentarena.arena.operation import save

    made = save(db, objects, out)
    typer.echo(f"{sum(made.rows.values())} rows and {len(made.objects)} files -> {out}")


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that arena backup made.")],
    db: DatabaseOption = "sqlite:///arena.db",
    objects: ObjectsOption = "objects",
) -> None:
    """Bring a backup into a new, empty database, SQLite or PostgreSQL."""
    from latentarena.arena.operation import bring_back

    made = bring_back(db, objects, folder)
    typer.echo(f"{sum(made.rows.values())} rows and {len(made.objects)} files <- {folder}")


@app.command()
def erase(
    submission: Annotated[str, typer.Argument(metavar="ID", help="Number of an entry, as its address ends.")],
    db: DatabaseOption = "sqlite:///arena.db",
    objects: ObjectsOption = "objects",
) -> None:
    """Forget an entry of a site: its bundle, score cards, pictures and log. The audit log says that it was erased."""
    from latentarena.arena.operation import erase as erase_submission

    typer.echo(f"erased {submission} with {erase_submission(db, objects, submission)} files")


UrlOption = Annotated[str, typer.Option("--to", metavar="URL", envvar="ARENA_URL", help="The arena; else ARENA_URL.")]
TokenFileOption = Annotated[
    Path | None, typer.Option("--token-file", help="File that holds the token; else the variable ARENA_TOKEN.")
]


@board_app.command("show")
def board_show(url: UrlArgument) -> None:
    """Show the board of an arena."""
    from latentarena.arena.client import Client
    from latentarena.cli.boards import print_standing
    from latentarena.config import validate
    from latentarena.contest.board import Board

    with Client(url) as client:
        print_standing(validate(Board, client.board(), url))


@app.command()
def submit(
    bundle: AnyBundleArgument,
    to: UrlOption,
    token_file: TokenFileOption = None,
) -> None:
    """Hand a bundle in to an arena."""
    from latentarena.arena.client import Client, read_token
    from latentarena.cli.boards import print_submission

    with Client(to, read_token(token_file)) as client:
        print_submission(client.submit(bundle))


@app.command()
def status(
    to: UrlOption,
    submission: Annotated[str, typer.Argument(metavar="[ID]", help="Number of one submission; all unless given.")] = "",
    token_file: TokenFileOption = None,
) -> None:
    """Ask what became of a submission."""
    from latentarena.arena.client import Client, read_token
    from latentarena.cli.boards import print_submission

    with Client(to, read_token(token_file)) as client:
        for one in [client.status(submission)] if submission else client.submissions():
            print_submission(one)


@app.command()
def serve(
    contest: Annotated[
        str, typer.Argument(metavar="CONTEST", help="contest-2025, digits, open, or a contest file, .yaml.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    db: DatabaseOption = "sqlite:///arena.db",
    objects: ObjectsOption = "objects",
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes that evaluate; 0 if they run elsewhere.")] = 1,
    url: Annotated[
        str,
        typer.Option(
            "--url", metavar="URL", help="Address under which people reach it, such as https://arena.example.org."
        ),
    ] = "",
    https: Annotated[
        bool, typer.Option("--https", help="Without --url: browsers reach it by https, cookies go over nothing else.")
    ] = False,
    uploads_per_minute: Annotated[
        int, typer.Option(min=1, help="Most uploads of one team in a minute; quotas come on top.")
    ] = 10,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Believe the last address in X-Forwarded-For, for rate limits.")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Rank the teams and entries of another contest in --db in this one.")
    ] = False,
) -> None:
    """Serve a contest: board, submissions, organiser's pages and API."""
    from latentarena.web.serve import Site, serve
    from latentarena.web.settings import Settings, public_address

    settings = Settings(public_address(url, https, host, port), behind_proxy, uploads_per_minute=uploads_per_minute)
    serve(Site(contest, db, objects, settings, take_over), host, port, workers)
