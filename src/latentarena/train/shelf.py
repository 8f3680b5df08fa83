"""Files that ship with the package and are taken by name, such as recipes, without importing what they configure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latentarena.documents import read_yaml
from latentarena.errors import ConfigError
from latentarena.text import meant

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Shelf:
    """The shipped YAML files of one kind.

    Attributes:
        what: they are, in a word.
        folder: where they lie.
        line: the key of their line for people.
    """

    what: str
    folder: Path
    line: str

    def names(self) -> list[str]:
        """The shipped ones."""
        return sorted(path.stem for path in self.folder.glob("*.yaml"))

    def about(self, name: str) -> str:
        """A shipped one's line for people."""
        return str(read_yaml(self.folder / f"{name}.yaml").get(self.line, ""))

    def lines(self) -> list[str]:
        """Every shipped one's name and line for people, in columns."""
        names = self.names()
        width = max(map(len, names))
        return [f"{name:{width}}  {self.about(name)}" for name in names]

    def source(self, name: str) -> Path:
        """The file of a shipped one, or the path itself where it names a YAML file.

        Raises:
            ConfigError: neither.
        """
        names = self.names()
        if name in names:
            return self.folder / f"{name}.yaml"
        if name.startswith("zoo:"):
            raise ConfigError(
                f"{name[:80]} is a trained model; arena zoo names the {self.what} that each is trained by"
            )
        path = Path(name)
        of_run = path / f"{self.what}.yaml"
        if _is_file(of_run):
            raise ConfigError(f"{name[:200]} is a folder; the {self.what} in it is {str(of_run)[:200]}")
        if path.suffix not in SUFFIXES and _is_file(path):
            raise ConfigError(f"{name[:200]}: a {self.what} is a .yaml file; give it that suffix if it is one")
        if path.suffix not in SUFFIXES:
            choices = f"choose from {', '.join(names)}, or a path to a .yaml file"
            raise ConfigError(f"{self.what} {name[:80]!r} is unknown; {meant(name, names)}{choices}")
        if _is_file(path):
            return path
        raise ConfigError(f"there is no file {name[:200]!r}; {self._instead(path)}")

    def _instead(self, path: Path) -> str:
        """What there is in place of a file that is missing."""
        try:
            beside = sorted(one.name for one in path.parent.iterdir() if one.suffix in SUFFIXES)
        except (OSError, ValueError):
            return f"there is no folder {str(path.parent)[:200]!r} either"
        there = (
            f"the YAML files there are {', '.join(beside[:10])}" if beside else "there is no YAML file in that folder"
        )
        shipped = path.stem in self.names()
        return f"{there}; the shipped {self.what} is called {path.stem}, without a suffix" if shipped else there


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return False


RECIPES = Shelf("recipe", Path(__file__).parent / "recipes", "about")
recipe_names, recipe_about, recipe_source = RECIPES.names, RECIPES.about, RECIPES.source
