"""The command line: words in, one call of the library, words out. Torch is imported by commands, not by `--help`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run `arena`; a refusal is one line on stderr and a non-zero exit status."""
    from latentarena.cli.app import app
    from latentarena.errors import ArenaError

    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, prog_name="arena")
    except ArenaError as error:
        if debug:
            raise
        print(f"arena: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("arena: interrupted before anything could be saved", file=sys.stderr)
        sys.exit(130)
