"""The command line: words in, one call of the library, words out. Torch is imported by commands, not by `--help`."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> None:
    """Run `arena`; a refusal is one line on stderr and a non-zero exit status."""
    try:
        _run()
    except KeyboardInterrupt:
        _refuse("interrupted; what was saved before is kept, and the same command with --resume goes on", 130)


def _run() -> None:
    import typer

    from latentarena.cli.app import app
    from latentarena.errors import ArenaError

    # typer carries its own click, so the base of its usage errors is found by name
    usage: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        status = app(arguments, prog_name="arena", standalone_mode=False)
    except ArenaError as error:
        if debug:
            raise
        _refuse(str(error), error.exit_code)
    except usage as error:
        message = error.format_message()  # type: ignore[attr-defined]
        if message.startswith("Usage:"):  # nothing was asked for, so help is the answer
            print(message)
            sys.exit(2)
        _refuse(f"{message} (see arena --help)", 2)
    if status == 130:  # how typer reports a Ctrl-C that it caught
        raise KeyboardInterrupt
    sys.exit(status)


def _refuse(message: str, status: int) -> NoReturn:
    print(f"arena: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)
