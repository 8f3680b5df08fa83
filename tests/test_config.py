"""Configuration: overrides, one-line refusals, and recipes that hold what they promise."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import Field

from latentarena.config import Config, override, validate
from latentarena.documents import parse_json, parse_yaml, read_yaml, yaml_text
from latentarena.errors import ConfigError
from latentarena.model.latent_model import LatentModel
from latentarena.train.recipe import Recipe, load_recipe, to_yaml
from latentarena.train.shelf import recipe_about, recipe_names, recipe_source

SHAPES = {"mnist": (1, 28, 28), "fashion-mnist": (1, 28, 28), "kmnist": (1, 28, 28), "digits": (1, 28, 28)} | {
    "folder:images": (3, 32, 32)
}


class Inner(Config):
    """Values of every kind."""

    whole: int = 0
    real: float = 0.0
    maybe: float | None = None
    switch: bool = False
    text: str = ""
    shape: tuple[int, ...] = ()
    by_name: dict[str, float] = Field(default={})
    either: Literal["auto"] | tuple[int, ...] = "auto"


class Outer(Config):
    """Values one level down."""

    a: Inner = Inner()
    other: Inner | None = None


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("whole=3", 3),
        ("whole=010", 10),
        ("whole=-0", 0),
        ("real=-0.5", -0.5),
        ("real=1e-3", 0.001),
        ("real=3", 3.0),
        ("maybe=null", None),
        ("maybe=.25", 0.25),
        ("switch=true", True),
        ("switch=false", False),
        ("shape=[4, 7, 7]", (4, 7, 7)),
        ("shape=[]", ()),
        ("by_name={mse: 1e-3, ssim: 1}", {"mse": 0.001, "ssim": 1.0}),
        ("either=auto", "auto"),
        ("either=[1]", (1,)),
        *[
            (f"text={text}", text)
            for text in (
                "folder:my photos #2",
                "folder:/tmp/x=y",
                "3",
                "010",
                "1:30",
                "true",
                "null",
                "~",
                "",
                " spaced ",
                "'quoted'",
                "[a, b]",
                "{a: b}",
                "*alias",
                "&anchor",
                "!!python/object/apply:os.getpid []",
                "2024-13-45",
                "a: b",
                "- a",
                "%",
                "@x",
            )
        ],
    ],
)
def test_an_override_is_a_value_of_its_keys_type(assignment: str, value: Any) -> None:
    key = assignment.split("=")[0]
    outer = validate(Outer, override({}, [f"a.{assignment}", f"other.{assignment}"], Outer), "here")
    assert getattr(outer.a, key) == value
    assert getattr(outer.other, key) == value
    assert type(getattr(outer.a, key)) is type(value)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("whole=1:30", "a.whole = '1:30': Input should be a valid integer"),
        ("whole=true", "a.whole = 'true': Input should be a valid integer"),
        ("whole=1.5", "a.whole = '1.5': Input should be a valid integer"),
        ("whole=0x10", "a.whole = '0x10': Input should be a valid integer"),
        ("whole=1_000", "whole = '1_000': a number is wanted, in digits alone"),
        ("real=1_0.0", "real = '1_0.0': a number is wanted, in digits alone"),
        ("switch=yes", "switch = 'yes': write true or false"),
        ("switch=1", "switch = '1': write true or false"),
        ("shape=['28']", "a number is wanted, in digits alone and without quotes"),
        ("shape=[!!int '3']", "tags .* are not read"),
        ("whole=null", "a.whole = 'null': Input should be a valid integer"),
        ("real=true", "a.real = 'true': Input should be a valid number"),
        ("real=nan", "a.real = nan: a finite number is wanted"),
        ("real=-.inf", "a.real = -inf: a finite number is wanted"),
        ("real=1:30", "a.real = '1:30': Input should be a valid number"),
        ("shape=28", "a.shape = '28': a list is wanted: write .28]"),
        ("shape=4,7,7", "a.shape = '4,7,7': a list is wanted: write .4,7,7]"),
        ("shape=[true]", r"shape = \[True\]: a number is wanted, not true or false"),
        ("by_name={mse: false}", "by_name = .*: a number is wanted, not true or false"),
        ("by_name=3", "a.by_name = '3': a mapping is wanted"),
        ("shape=[1", "a.shape = .1: not a list or mapping that can be read"),
        ("shape=[&x 1, *x]", "aliases .* are not read"),
        ("shape=" + 3000 * "[", "nested more than 64 levels deep"),
        ("whole=" + 6000 * "9", "a.whole = 9{100}: a number of 6000 digits is over the limit of 100$"),
        ("whole.x=1", "a.whole.x = 1: 'whole' holds a value, not keys"),
        ("text.x.y=1", "a.text.x.y = 1: 'text' holds a value, not keys"),
        ("shape.x=1", "a.shape.x = 1: 'shape' holds a value, not keys"),
        ("whole=1.0", "whole = '1.0': a number is wanted, in digits alone"),
        (3000 * "a.", "has 3002 parts"),
    ],
)
def test_a_value_of_another_type_is_refused_in_a_line(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        validate(Outer, override({}, [f"a.{assignment}=" if "=" not in assignment else f"a.{assignment}"], Outer), "x")
    assert len(str(refusal.value)) < 400
    assert "\n" not in str(refusal.value)


def test_true_is_no_number_in_plain_data_either() -> None:
    with pytest.raises(ConfigError, match=r"here: .*real = True: a number is wanted"):
        validate(Outer, {"a": {"real": True}}, "here")
    assert validate(Outer, {"a": {"switch": True}}, "here").a.switch


@pytest.mark.parametrize(
    "text", ["whole: '0'", "whole: '1.0'", "real: '1e-3'", "shape: [1, '28']", "by_name: {mse: '1'}", "either: ['1']"]
)
def test_a_number_in_quotes_is_refused_in_plain_data_too(text: str) -> None:
    with pytest.raises(ConfigError, match=r"here: a: \w+ = .*: a number is wanted, in digits alone and without quotes"):
        validate(Outer, {"a": parse_yaml(text)}, "here")


def test_overrides_reach_into_the_tree_and_the_last_one_wins() -> None:
    raw = {"a": {"b": 1, "c": 2}, "d": 3}
    assignments = ["a.b=5", "a.x.y=6", "d=7", "a.b=8"]
    assert override(raw, assignments, Outer) == {"a": {"b": "8", "c": 2, "x": {"y": "6"}}, "d": "7"}


def test_override_leaves_its_input_alone() -> None:
    raw = {"a": {"b": {"c": 1}}}
    override(raw, ["a.b.c=2", "a.d=3"], Outer)
    assert raw == {"a": {"b": {"c": 1}}}


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("seed", "'seed' is not an override; write key=value"),
        ("=3", "'=3' is not an override"),
        ("seed.deep=3", "seed.deep = 3: 'seed' holds a value, not keys"),
    ],
)
def test_override_that_makes_no_sense_is_refused(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        override({"seed": 0}, [assignment], Outer)


@pytest.mark.parametrize(
    "text", ["folder:my photos #2", "1e3", "1:30", "yes", "~", "- x", "a: b", "2024-01-01", "", "é…"]
)
def test_text_that_is_written_is_read_again(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(yaml_text({"text": text, "list": [text, text]}), encoding="utf-8")
    assert read_yaml(path) == {"text": text, "list": [text, text]}
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == read_yaml(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [("010", 10), ("1:30", "1:30"), ("yes", "yes"), ("2024-13-45", "2024-13-45"), ("1e-3", 0.001), ("", None)],
)
def test_files_are_read_as_yaml_1_2(text: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"key: {text}\n")
    assert read_yaml(path) == {"key": value}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_recipe_is_read_in_the_encodings_that_shells_write(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(recipe_source("quickstart-digits").read_text().replace("about:", "about: né —"), encoding=encoding)
    assert load_recipe(str(path)).about.startswith("né —")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(9 * [f'*{before}'])}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "line 2: not YAML: aliases"),
        ("a: &a {x: *a}\n", "aliases"),
        ("base: &b {x: 1}\nb: {<<: *b}\n", "aliases"),
        ("a: " + 3000 * "[" + 3000 * "]", "nested more than 64 levels"),
        ("a: " + 100 * "{a: " + "1" + 100 * "}", "nested more than 64 levels"),
        ("".join(f"{' ' * i}a:\n" for i in range(300)), "nested more than 64 levels"),
        ("a: " + "x" * (1 << 18), "larger than 256 KiB"),
        ("a: " + "9" * 5000, "limit"),
        ("\0", "not text"),
    ],
    ids=["bomb", "loop", "merge", "brackets", "braces", "indented", "large", "digits", "zero"],
)
def test_yaml_larger_than_its_text_is_refused_at_once(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(ConfigError, match=words):
        read_yaml(path)
    assert time.process_time() - began < 2


BAD_NAMES = [
    "",
    ".",
    "..",
    "../../x",
    "a/b",
    "a\\b",
    "/tmp/x",
    "C:x",
    "a\nb",
    "a\u202eb",
    " a",
    "a.",
    "nul",
    "con .txt",
    "CONIN$",
    "conout$.x",
    "COM¹",
    "lpt³.txt",
    "語" * 80,
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_name_of_a_recipe_is_one_plain_path_part(name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        load_recipe("quickstart-digits", [f"name={name}"])


def test_name_of_a_recipe_may_be_anything_else() -> None:
    for name in ("mine", "my model #2", "modèle", "v1.0", "null", "COM", "con2", "console .txt"):
        assert load_recipe("quickstart-digits", [f"name={name}"]).name == name


REFUSALS = [
    ("sed=1", ["unknown key 'sed'", "did you mean 'seed'?", "training"]),
    ("generator.bakbone.width=8", ["generator", "unknown key 'bakbone'", "did you mean 'backbone'?"]),
    ("training.generator.learning=1", ["training.generator", "unknown key 'learning'", "epochs", "lr"]),
    ("seed=010.5", ["seed = '010.5'", "integer"]),
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
    ("training=null", ["training = 'null'", "a mapping is wanted"]),
    ("autoencoder.latent=28", ["autoencoder.latent = '28'", "write [28]"]),
    ("training.generator.lr=true", ["training.generator.lr = 'true'", "valid number"]),
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
        ("- 1\n- 2\n", "a mapping of keys is wanted, such as name: mine; it is a list"),
        ("", "a mapping of keys is wanted, such as name: mine; it is empty"),
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


@pytest.mark.parametrize("content", [b"\xe9: 1", b"\xff\xfe\x00", b"a\0b\0", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_text_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"mine\.yaml: not text.*save it as UTF-8"):
        read_yaml(path)


def test_yaml_cannot_build_objects(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("seed: !!python/object/apply:os.getpid []\n")
    with pytest.raises(ConfigError, match=r"line 1: not YAML"):
        read_yaml(path)
    with pytest.raises(ConfigError, match="python/object"):
        override({}, ["a.shape=[!!python/object/apply:os.getpid []]"], Outer)


@pytest.mark.parametrize("name", ["quickstrat", "quickstart.txt", "../../etc/no-recipe", "x" * 300])
def test_unknown_recipe_names_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=r"recipe '.*' is unknown; .*choose from .*quickstart-digits.*\.yaml"):
        load_recipe(name)


def test_missing_recipe_file_is_called_missing(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").touch()
    cases = {
        tmp_path / "mine.yaml": "no file '.*mine.yaml'; the YAML files there are other.yaml$",
        tmp_path / "quickstart.yaml": "the shipped recipe is called quickstart, without a suffix$",
        tmp_path / "nowhere" / "mine.yaml": "no file .*; there is no folder '.*nowhere' either$",
        tmp_path / f"{'x' * 300}.yaml": "no file ",
        tmp_path / "other.yaml" / "mine.yaml": "no file ",
    }
    for path, words in cases.items():
        with pytest.raises(ConfigError, match=words):
            load_recipe(str(path))


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipe_builds_its_model(name: str) -> None:
    recipe = load_recipe(name)
    model = LatentModel(recipe.architecture(SHAPES[recipe.data.name], tuple("0123456789")), recipe.seed)
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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_json_in_other_encodings_names_the_way_out(encoding: str) -> None:
    with pytest.raises(ValueError, match="save it as UTF-8") as refused:
        parse_json('{"name": "ü"}'.encode(encoding))
    assert "codec" not in str(refused.value)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 500 + b'"\\ud800"' + b"]" * 500])
def test_json_that_is_nested_without_end_is_told_in_words_of_ours(content: bytes) -> None:
    with pytest.raises(ValueError, match="nested more than 64 levels deep"):
        parse_json(content)


@pytest.mark.parametrize(
    "text", ['{"name": "\\ud800"}', '{"\\uDFFF": 1}', '{"a": "\\udc00\\ud800"}', '["\\\\\\ud83d"]']
)
def test_half_a_letter_is_told_in_words_of_ours(text: str) -> None:
    for read in (lambda: parse_json(text.encode()), lambda: parse_yaml(text)):
        with pytest.raises(ValueError, match=r"it holds \\ud\w{3}, which is half of a letter") as refused:
            read()
        assert "codec" not in str(refused.value)
    assert parse_json(b'["\\ud83d\\ude00", "\\\\ud800"]') == ["\U0001f600", "\\ud800"]
