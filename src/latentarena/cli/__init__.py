"""The command line: words in, one call of the library, words out. Torch is imported by commands, not by `--help`."""

from __future__ import annotations

import codecs
import errno
import gc
import io
import os
import re
import sys
from itertools import pairwise
from typing import Any, NoReturn, TypeGuard

__all__ = ["main"]

SERVER = {
    "alembic",
    "fastapi",
    "fsspec",
    "granian",
    "prometheus_client",
    "sqlalchemy",
    "starlette",
}  # the extra `arena`
GOES_ON = {  # how commands go on that were interrupted; the others begin anew
    "train": ", and the same command with --resume goes on",
    **dict.fromkeys(("study", "search", "retrain"), ", and the same command goes on"),
}
LISTED = {  # commands that list -> what shows one of the names
    "arena recipes": "a recipe is shown by arena recipes show {}",
    "arena zoo": "images of a model are drawn by arena sample zoo:{}",
}
UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what a disk says that takes no more
PATH = "Path"  # what an option is taken for whose type typer does not tell


def main() -> None:
    """Run `arena`; a refusal is one line on stderr and a non-zero exit status."""
    from latentarena.errors import Interrupted
    from latentarena.system import stopping_as_ctrl_c

    gc.set_threshold(50_000, 20, 20)  # torch is a million objects that stay: looking for garbage among them takes 0.7 s
    _show_any_letter()
    with stopping_as_ctrl_c() as came:
        try:
            _run()
        except KeyboardInterrupt:
            command = next((one for one in sys.argv[1:] if not one.startswith("-")), "")
            stop = Interrupted(f"interrupted; what was saved before is kept{GOES_ON.get(command, '')}", *came[:1])
            _refuse(str(stop), stop.exit_code)
        except BrokenPipeError:  # whoever read the output has left, such as `head`
            sys.stderr.close()  # else Python complains about stdout while it exits
            sys.exit(141)


def _show_any_letter() -> None:
    """A letter that the terminal's encoding lacks is shown as a plain one, not answered with a traceback."""
    from latentarena.text import plain_letters

    codecs.register_error("latentarena", plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="latentarena")


def _run() -> None:
    import typer

    from latentarena.cli.app import app
    from latentarena.errors import ArenaError, Interrupted

    # typer carries its own click, so the base of its usage errors is found by name
    usage: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    if any(one == "" or one.endswith("=") for one in arguments):
        _refuse_empty(arguments)
    try:
        status = app(arguments, prog_name="arena", standalone_mode=False)
    except ArenaError as error:
        if debug:
            raise
        _refuse(_in_options(str(error), arguments), error.exit_code)
    except usage as error:
        message = error.format_message()  # type: ignore[attr-defined]
        if message.startswith("Usage:"):  # nothing was asked for, so help is the answer
            print(message)
            sys.exit(2)
        if type(error) is typer.BadParameter and error.param is None and error.param_hint is None:  # a command's words
            _refuse(error.message, 2)
        asked = getattr(getattr(error, "ctx", None), "command_path", "arena")
        ways = f"{_override(error, arguments)}{_option(error, arguments)}{_of_list(message, asked)}"
        _refuse(f"{message}{ways} (see {asked} --help)", 2)
    except BrokenPipeError:
        raise
    except Exception as error:
        if debug:
            raise
        _refuse_unexpected(error)
    if status == Interrupted.exit_code:  # how typer reports a Ctrl-C that it caught
        raise KeyboardInterrupt
    _flush()
    sys.exit(status)


def _refuse_empty(arguments: list[str]) -> None:
    """Refuse what a shell makes of `--out "$OUT"` where OUT is not set: as a path it would be the current folder.

    Other options say themselves what they take.
    """
    paths, others = _options()
    for before, one in pairwise(["arena", *arguments]):
        option = one.removesuffix("=") if one.startswith("--") and one.endswith("=") else ""
        if option in paths or (one == "" and before not in others):
            what = option or (before if before in paths else f"what follows {before[:80]}")
            _refuse(f"nothing is given for {what}; is a variable of the shell empty?", 2)


def _options() -> tuple[set[str], set[str]]:
    """The options of all commands that take a path, and those that take anything else."""
    import typer

    from latentarena.cli.app import app

    commands: list[Any] = [typer.main.get_command(app)]
    kinds: tuple[set[str], set[str]] = set(), set()
    for command in commands:
        commands.extend(getattr(command, "commands", {}).values())
        for one in command.params:
            kinds[PATH not in repr(vars(one).get("type_descriptor", PATH))].update(one.opts)
    return kinds[0], kinds[1] - kinds[0]


def _in_options(said: str, arguments: list[str]) -> str:
    """A refusal in options where a command has them in place of a recipe's keys: `data.size=28` is `--size 28`."""
    return re.sub(r"\bdata\.(size|crop|resize)=", r"--\1 ", said) if arguments[:1] in (["judge"], ["data"]) else said


def _override(error: Exception, arguments: list[str]) -> str:
    """What to write instead of `--seed 1` or `--lr 0.1`: keys of a recipe are written in full and take no dashes."""
    from latentarena.text import SHOWN

    option = str(getattr(error, "option_name", ""))
    if arguments[:1] != ["train"] or not option.startswith("--"):
        return ""
    at = next((i for i, one in enumerate(arguments) if one.partition("=")[0] == option), len(arguments))
    own, following = (*arguments[at : at + 2], "", "")[:2]
    given = own.partition("=")[2] or ("" if following.startswith("-") else following) or "VALUE"
    ways = " or ".join(f"{key}={given[:SHOWN]}" for key in _keys(option[2:].replace("-", "_"), arguments))
    return f"; a key of the recipe is set without dashes: {ways}" if ways else ""


def _keys(named: str, arguments: list[str]) -> list[str]:
    """The keys that are meant by a name, of the recipe that is to be trained; none where there are no such ones."""
    from latentarena.config import keys_meant
    from latentarena.documents import read_yaml
    from latentarena.errors import ArenaError
    from latentarena.train.recipe import Recipe
    from latentarena.train.shelf import SUFFIXES, recipe_names, recipe_source

    recipe = next((one for one in arguments if one in recipe_names() or one.endswith(SUFFIXES)), "")
    try:
        written = read_yaml(recipe_source(recipe))
    except ArenaError:  # of which the name alone is to be told
        written = {}
    return keys_meant(named, Recipe, written)


def _option(error: Exception, arguments: list[str]) -> str:
    """What to write instead of `steps=3`: options take dashes, and only keys of a recipe an equals sign alone."""
    from latentarena.text import SHOWN

    command = getattr(getattr(error, "ctx", None), "command", None)
    known = {option for one in getattr(command, "params", ()) for option in one.opts}
    for name, equals, value in (one.partition("=") for one in arguments):
        if equals and f"--{name}" in known:
            return f"; options are given with dashes: --{name} {value[:SHOWN]}"
    return ""


def _of_list(message: str, asked: str) -> str:
    """What to write instead of `arena zoo quickstart`: a command that lists takes no name of what it lists."""
    name = re.search(r"(?:No such command '|unexpected extra arguments?(?:\(s\))? \()([^')]+)", message)
    return f"; {LISTED[asked].format(name[1])}" if name and asked in LISTED else ""


def _flush() -> None:
    """Write what was printed while a fault of the disk can still be told in words."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _refuse_unexpected(error)


def _refuse_unexpected(error: Exception) -> NoReturn:
    if _is_unwritten(error) and sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains while it exits
    _refuse(_unexpected(error), 1)


def _is_unwritten(error: Exception) -> TypeGuard[OSError]:
    """Whether it is the output that cannot be written: files that are named are told by name."""
    return isinstance(error, OSError) and error.errno in UNWRITTEN and error.filename is None


def _unexpected(error: Exception) -> str:
    """A fault that no part of the program has words for: an extra that is missing, a file, or the fault's name."""
    from latentarena.parts import fault_in_parts
    from latentarena.system import starved

    if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] in SERVER:
        return f"this command needs {error.name}: pip install 'latentarena[arena]'"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        name = str(error.filename)
        shown = name if len(name) <= 200 else f"{name[:100]}... ({len(name)} characters)"
        return f"cannot use {shown}: {error.strerror}"
    if _is_unwritten(error):
        return f"cannot write the output: {error.strerror}; free some space, or send it elsewhere"
    if starved(error):
        return "there is not enough memory for this"
    if said := fault_in_parts(error):
        return f"{said}; the same command with --debug shows all of it"
    return f"unexpected fault, {type(error).__name__}: {error}; the same command with --debug shows where"


def _refuse(message: str, status: int) -> NoReturn:
    from latentarena.text import printable

    print(f"arena: {printable(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(status)
