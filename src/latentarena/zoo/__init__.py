"""The zoo: small trained models that ship with the package, each with its score card; `zoo:NAME` is the name of one.

Needs neither torch nor a network. `benchmarks/zoo.py` makes the files from finished runs.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pydantic import Field

from latentarena.bounds import Label
from latentarena.card.score_card import ScoreCard, read_card
from latentarena.config import Config, validate
from latentarena.documents import read_json
from latentarena.errors import BundleError, ConfigError
from latentarena.files import digest, refuse_address
from latentarena.text import nearest

__all__ = ["BUNDLE", "MODELS", "PREFIX", "SCORE", "Kept", "located", "zoo_card", "zoo_models"]

PREFIX = "zoo:"
MODELS = Path(__file__).parent / "models"
INDEX, BUNDLE, SCORE = "index.json", "bundle", "score.json"
LARGEST_INDEX = 1 << 20  # bytes
ANEW = "install latentarena anew"


class Kept(Config):
    """What the index says of a model.

    Attributes:
        about: the model in a line.
        recipe: what it was trained by; command: that trains it anew.
        files: SHA-256 by path of each file, bundle and score card.
    """

    about: Label
    recipe: Label
    command: Label
    files: dict[str, str] = Field(min_length=3)


class _Index(Config):
    models: dict[str, Kept]


def zoo_models() -> dict[str, Kept]:
    """The models of the zoo by name, as the index lists them."""
    raw = read_json(MODELS / INDEX, LARGEST_INDEX, "index of the zoo", ANEW)
    return validate(_Index, raw, str(MODELS / INDEX)).models


def located(path: Path) -> Path:
    """The folder of the bundle that `zoo:NAME` names, its files checked by hash; any other path as it is.

    Raises:
        ConfigError: the zoo has no such model, and the message names the nearest; or the path is a web address.
        BundleError: a file is missing, or is not the one that was shipped.
    """
    refuse_address(path)
    name = str(path)
    return _checked(name.removeprefix(PREFIX)) / BUNDLE if name.startswith(PREFIX) else path


def zoo_card(name: str) -> ScoreCard:
    """The score card of a model; for what is raised see `located`."""
    return read_card(_checked(name) / SCORE)


def _checked(name: str) -> Path:
    """A model's folder, all of whose files have the hash that the index says."""
    models = zoo_models()
    if name not in models:
        near = nearest(name, models)
        hint = f"did you mean {PREFIX}{near}? " if near else ""
        raise ConfigError(f"the zoo has no {name[:80]!r}; {hint}it has {', '.join(models)}: see `arena zoo`")
    for file, wanted in models[name].files.items():
        path = MODELS / name / PurePosixPath(file)
        try:
            found = digest(path.read_bytes())
        except OSError as error:
            raise BundleError(f"{PREFIX}{name}: cannot read {path}: {error.strerror}; {ANEW}") from None
        if found != wanted:
            raise BundleError(f"{PREFIX}{name}: {path} is not the file that was shipped; {ANEW}")
    return MODELS / name
