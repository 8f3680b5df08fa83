"""Files that hold a board, or a table of figures to be ranked."""

from __future__ import annotations

from pathlib import Path

from latentarena.config import validate
from latentarena.contest.board import Board
from latentarena.contest.contest import Contest
from latentarena.contest.making import make_board
from latentarena.contest.spreadsheet import Ranked, rank_table, table_rows
from latentarena.documents import parse_json, read_at_most
from latentarena.errors import ConfigError

LARGEST_TABLE = 16 << 20  # bytes


def rank_file(path: Path, contest: Contest) -> Ranked:
    """Rank a CSV file of raw columns; see `rank_table`.

    Raises:
        ConfigError: one line that names the file, the line and the column.
    """
    return rank_table(str(path), _csv_text(path), contest)


def read_board(path: Path, contest: Contest) -> Board:
    """A board from the `board.json` that `arena board build` writes, or from a CSV of the figures that are ranked.

    Raises:
        ConfigError: one line that names the file and what is wrong with it.
    """
    if path.suffix == ".csv":
        return make_board(
            table_rows(str(path), _csv_text(path), contest), contest.model_copy(update={"thresholds": ()}), rounds=1
        )
    try:
        return validate(Board, parse_json(path.read_bytes()), str(path))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; give a board.json or a CSV") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}; give a board.json or a CSV") from None


def _csv_text(path: Path) -> str:
    """What a CSV file of UTF-8 holds."""
    too_large = f"is larger than {LARGEST_TABLE >> 20} MiB: it is no table of a contest"
    try:
        return read_at_most(path, LARGEST_TABLE, too_large).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 at byte {error.start}; save it as CSV (UTF-8)") from None
