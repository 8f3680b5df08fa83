"""The recipes that ship with the package, without importing what they configure."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from latentarena.documents import read_yaml
from latentarena.errors import ConfigError

SHELF = Path(__file__).parent / "recipes"
SUFFIXES = (".yaml", ".yml")


def recipe_names() -> list[str]:
    """The shipped recipes."""
    return sorted(path.stem for path in SHELF.glob("*.yaml"))


def recipe_about(name: str) -> str:
    """A shipped recipe's line for people."""
    return str(read_yaml(SHELF / f"{name}.yaml").get("about", ""))


def recipe_source(name: str) -> Path:
    """The file of a shipped recipe, or the path itself where it names a YAML file.

    Raises:
        ConfigError: neither.
    """
    names = recipe_names()
    if name in names:
        return SHELF / f"{name}.yaml"
    path = Path(name)
    if path.suffix not in SUFFIXES:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"recipe {name[:80]!r} is unknown; {hint}choose from {', '.join(names)}, or a path to a .yaml file"
        )
    if _is_file(path):
        return path
    raise ConfigError(f"there is no file {name[:200]!r}; {_instead(path)}")


def _instead(path: Path) -> str:
    """What there is in place of a recipe's file that is missing."""
    try:
        beside = sorted(one.name for one in path.parent.iterdir() if one.suffix in SUFFIXES)
    except (OSError, ValueError):
        return f"there is no folder {str(path.parent)[:200]!r} either"
    there = f"the YAML files there are {', '.join(beside[:10])}" if beside else "there is no YAML file in that folder"
    shipped = path.stem in recipe_names()
    return f"{there}; the shipped recipe is called {path.stem}, without a suffix" if shipped else there


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return False
