"""The recipes that ship with the package, without importing what they configure."""

from __future__ import annotations

from pathlib import Path

from latentarena.config import read_yaml
from latentarena.errors import ConfigError

__all__ = ["recipe_about", "recipe_names", "recipe_source"]

SHELF = Path(__file__).parent / "recipes"


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
    if name in recipe_names():
        return SHELF / f"{name}.yaml"
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    raise ConfigError(f"recipe {name!r} is unknown; choose from {', '.join(recipe_names())}, or a path to a .yaml file")
