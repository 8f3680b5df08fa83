"""Files that hold a board, or a table of figures to be ranked."""

from __future__ import annotations

from pathlib import Path

from latentarena.config import validate
from latentarena.contest.board import Board
from latentarena.contest.contest import Contest
from latentarena.contest.making import make_board
from latentarena.contest.spreadsheet import Ranked, rank_table, table_rows
from latentarena.documents import parse_json
from latentarena.errors import ConfigError
from latentarena.files import csv_text


def rank_file(path: Path, contest: Contest) -> Ranked:
    """Rank a CSV file of raw columns; see `rank_table`.

    Raises:
        ConfigError: one line that names the file, the line and the column.
    """
    return rank_table(str(path), csv_text(path), contest)


def read_board(path: Path, contest: Contest) -> Board:
    """A board from the `board.json` that `arena board build` writes, or from a CSV of the figures that are ranked.

    Raises:
        ConfigError: one line that names the file and what is wrong with it.
    """
    if path.suffix == ".csv":
        return make_board(
            table_rows(str(path), csv_text(path), contest), contest.model_copy(update={"thresholds": ()}), rounds=1
        )
    try:
        return validate(Board, parse_json(path.read_bytes()), str(path))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; give a board.json or a CSV") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}; give a board.json or a CSV") from None
