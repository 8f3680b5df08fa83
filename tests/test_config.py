"""Configuration: overrides, one-line refusals, and recipes that hold what they promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from latentarena.config import override, read_yaml, validate
from latentarena.errors import ConfigError
from latentarena.train.model import Architecture, LatentModel
from latentarena.train.recipe import Recipe, load_recipe, to_yaml
from latentarena.train.shelf import recipe_about, recipe_names, recipe_source

SHAPES = {"mnist": (1, 28, 28), "fashion-mnist": (1, 28, 28), "kmnist": (1, 28, 28), "digits": (1, 28, 28)} | {
    "folder:images": (3, 32, 32)
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-0.5", -0.5),
        ("true", True),
        ("null", None),
        ("[4, 7, 7]", [4, 7, 7]),
        ("{kind: mlp, width: 9}", {"kind": "mlp", "width": 9}),
        ("euler", "euler"),
        ("'3'", "3"),
        ("folder:/tmp/x=y", "folder:/tmp/x=y"),
        ("", None),
    ],
)
def test_override_values_are_yaml(text: str, value: Any) -> None:
    assert override({}, [f"a.b={text}"]) == {"a": {"b": value}}


def test_overrides_reach_into_the_tree_and_the_last_one_wins() -> None:
    raw = {"a": {"b": 1, "c": 2}, "d": 3}
    assert override(raw, ["a.b=5", "a.x.y=6", "d=7", "a.b=8"]) == {"a": {"b": 8, "c": 2, "x": {"y": 6}}, "d": 7}


def test_override_leaves_its_input_alone() -> None:
    raw = {"a": {"b": {"c": 1}}}
    override(raw, ["a.b.c=2", "a.d=3"])
    assert raw == {"a": {"b": {"c": 1}}}


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("seed", "'seed' is not an override; write key=value"),
        ("=3", "'=3' is not an override"),
        ("seed.deep=3", "seed.deep = 3: 'seed' holds a value, not keys"),
        ("seed=[1", r"seed = \[1: the value is not YAML"),
    ],
)
def test_override_that_makes_no_sense_is_refused(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        override({"seed": 0}, [assignment])


REFUSALS = [
    ("sed=1", ["unknown key 'sed'", "did you mean 'seed'?", "training"]),
    ("generator.bakbone.width=8", ["generator", "unknown key 'bakbone'", "did you mean 'backbone'?"]),
    ("training.generator.learning=1", ["training.generator", "unknown key 'learning'", "epochs", "lr"]),
    ("seed=-1", ["seed = -1", "greater than or equal to 0"]),
    ("seed=many", ["seed = 'many'", "integer"]),
    ("sampling.solver=rk5", ["sampling.solver = 'rk5'", "choose from euler, heun"]),
    ("sampling.steps=0", ["sampling.steps = 0", "greater than or equal to 1"]),
    ("generator.path=curly", ["generator.path = 'curly'", "choose from straight"]),
    ("generator.target=flow", ["generator.target = 'flow'", "choose from data, noise, v, velocity"]),
    ("training.generator.times=normal", ["training.generator.times = 'normal'", "choose from uniform, logit_normal"]),
    ("training.generator.lr=.nan", ["training.generator.lr = nan", "finite"]),
    ("training.generator.epochs=.inf", ["training.generator.epochs = inf", "finite"]),
    ("autoencoder.kind=vqvae", ["autoencoder", "vqvae", "conv", "identity"]),
    ("autoencoder.latent=[1, 2]", ["latent = [1, 2]", "[d] or [channels, height, width]"]),
    ("generator.backbone.kind=gpt", ["generator.backbone", "gpt", "mlp", "conv"]),
    ("generator.backbone.width=wide", ["generator.backbone.width = 'wide'", "integer"]),
    ("data.name=cifar", ["cifar", "choose from mnist, fashion-mnist, kmnist, digits, folder:PATH"]),
    ("data.size=16", ["size = 16", "folder:PATH only"]),
    ("training.autoencoder=null", ["training.autoencoder is missing", "conv"]),
    ("training=null", ["training", "dictionary"]),
    ("autoencoder={kind: identity}", ["training.autoencoder is set", "identity has nothing to train"]),
]


@pytest.mark.parametrize(("assignment", "words"), REFUSALS, ids=[assignment for assignment, _ in REFUSALS])
def test_bad_value_is_one_line_with_key_value_and_choices(assignment: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_recipe("quickstart-digits", [assignment])
    line = str(refusal.value)
    assert "\n" not in line
    assert line.startswith("quickstart-digits: ")
    assert [word for word in words if word not in line] == []


def test_missing_key_is_named() -> None:
    raw = read_yaml(recipe_source("quickstart-digits"))
    del raw["generator"]["backbone"]
    with pytest.raises(ConfigError, match=r"^mine: generator\.backbone: Field required$"):
        validate(Recipe, raw, "mine")


def test_number_in_scientific_notation_is_a_number() -> None:
    recipe = load_recipe("quickstart-digits", ["training.generator.lr=1e-3"])
    assert recipe.training.generator.lr == 0.001


def test_configuration_cannot_be_changed_afterwards() -> None:
    recipe = load_recipe("quickstart-digits")
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", "line 3: not YAML"),
        ("a: 1\n\tb: 2\n", "line 2: not YAML"),
        ("a: 1\nb: {c: 1,\n  c: 2}\n", "line 3: not YAML: key 'c' is there twice"),
        ("- 1\n- 2\n", "a recipe is a mapping of keys, not list"),
        ("", "a recipe is a mapping of keys, not NoneType"),
    ],
)
def test_file_that_is_no_recipe_is_refused_by_name_and_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        load_recipe(str(path))
    line = str(refusal.value)
    assert line.startswith(str(path))
    assert words in line
    assert "\n" not in line


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(ConfigError, match=r"mine\.yaml.*not YAML"):
        read_yaml(path)


def test_yaml_cannot_build_objects(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("seed: !!python/object/apply:os.getpid []\n")
    with pytest.raises(ConfigError, match=r"line 1: not YAML"):
        read_yaml(path)
    with pytest.raises(ConfigError, match="not YAML"):
        override({}, ["seed=!!python/object/apply:os.getpid []"])


@pytest.mark.parametrize("name", ["quickstrat", "missing.yaml", "quickstart.txt"])
def test_unknown_recipe_names_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"recipe '{name}' is unknown; choose from .*quickstart-digits.*\.yaml"):
        load_recipe(name)


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipe_builds_its_model(name: str) -> None:
    recipe = load_recipe(name)
    model = LatentModel(Architecture.of(recipe, SHAPES[recipe.data.name], tuple("0123456789")), recipe.seed)
    assert sum(model.parts().values()) == sum(tensor.numel() for tensor in model.state_dict().values())
    assert recipe.otherwise is None or recipe.otherwise in recipe_names()
    assert recipe_about(name) == recipe.about != ""
    assert "\n" not in recipe.about


@pytest.mark.parametrize(
    "assignments", [[], ["seed=7", "training.generator.drop_labels=0.2", "data.name=folder:a b/c"]]
)
@pytest.mark.parametrize("name", recipe_names())
def test_recipe_survives_being_written_and_read(name: str, assignments: list[str], tmp_path: Path) -> None:
    recipe = load_recipe(name, assignments)
    path = tmp_path / "again.yaml"
    path.write_text(to_yaml(recipe))
    assert load_recipe(str(path)) == recipe
    assert yaml.safe_load(to_yaml(recipe)) == recipe.model_dump(mode="json")
