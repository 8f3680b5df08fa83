"""Commands for contests: boards, the server and its workers, submissions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer()
board_app = typer.Typer(
    no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}, rich_markup_mode=None
)
app.add_typer(board_app, name="board", help="Rank a table, or build a board that needs no server.")

ContestOption = Annotated[
    str, typer.Option("--contest", metavar="NAME|FILE", help="contest-2025, open, or a contest file, .yaml.")
]


@board_app.command("rank")
def board_rank(
    raw: Annotated[Path, typer.Argument(metavar="RAW.csv", help="One row for each entry, one column for each figure.")],
    contest: ContestOption = "contest-2025",
    out: Annotated[Path | None, typer.Option(help="Write the table with its ranks, best first, as CSV.")] = None,
) -> None:
    """Rank a table of raw figures by a contest's rules."""
    from latentarena.arena.contest import load_contest
    from latentarena.arena.spreadsheet import rank_table, write_csv
    from latentarena.cli.boards import print_ranked
    from latentarena.files import make_folder, write_text

    rules = load_contest(contest)
    ranked = rank_table(raw, rules)
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
) -> None:
    """Rank a folder of evaluated bundles into a static site, with CSV and JSON."""
    from latentarena.arena.contest import load_contest
    from latentarena.arena.site import build_site, read_folder
    from latentarena.cli.boards import print_board

    rules = load_contest(contest)
    print_board(build_site(read_folder(folder, rules, verified), rules, out), out)


DatabaseOption = Annotated[
    str,
    typer.Option(
        "--db", metavar="URL", envvar="ARENA_DB", help="sqlite:///FILE or postgresql://HOST/NAME; else ARENA_DB."
    ),
]
ObjectsOption = Annotated[
    str,
    typer.Option(
        "--objects",
        metavar="FOLDER|URL",
        envvar="ARENA_OBJECTS",
        help="Where files are, such as s3://BUCKET; else ARENA_OBJECTS.",
    ),
]


@app.command()
def worker(
    db: DatabaseOption = "sqlite:///arena.db",
    objects: ObjectsOption = "objects",
    once: Annotated[bool, typer.Option("--once", help="End when nothing waits.")] = False,
) -> None:
    """Evaluate what was handed in, until told to stop; any number of workers may share a database."""
    from latentarena.arena.operation import work

    work(db, objects, once)
