"""The command line as a user meets it, mostly in a process of its own."""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path

import pytest
import typer
import yaml
from rich.console import Console

from command import Arena
from latentarena import __version__
from latentarena.card.catalogue import METRICS
from latentarena.card.columns import COLUMNS
from latentarena.card.score_card import SEEDS, ScoreCard
from latentarena.cli import _show_any_letter, doctor
from latentarena.cli.app import _complete_recipe, app
from latentarena.cli.console import print_results
from latentarena.data import where
from latentarena.run import watching
from latentarena.sample import GRIDS, SOLVERS
from latentarena.train.loop import Tick
from latentarena.train.recipe import load_recipe
from latentarena.train.shelf import recipe_about, recipe_names, recipe_source

USES = ["show", "interpolate", "inpaint", "edit", "likelihood"]
COMMANDS = ["train", "study", "search", "sample", "export", *USES, "judge", "verify", "recipes", "doctor"]
COMMANDS += ["check", "import-legacy", "worker", "backup", "restore", "submit", "status", "serve", "team", "board"]
COMMANDS += ["data", "analyse", "pack", "retrain", "certify", "erase", "zoo", "parts"]


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_command(arena: Arena, option: str) -> None:
    done = arena(option)
    assert done.returncode == 0
    assert [command for command in COMMANDS if f"\n  {command} " not in done.stdout] == []


@pytest.mark.parametrize("words", [*([name] for name in COMMANDS), ["judge", "train"]])
def test_every_command_explains_itself(arena_here: Arena, words: list[str]) -> None:
    done = arena_here(*words, "--help")
    assert done.returncode == 0
    assert f"Usage: arena {' '.join(words)}" in done.stdout


def test_version_is_the_package_version(arena: Arena) -> None:
    assert arena("--version").stdout.strip() == __version__


def test_recipes_are_listed_with_a_line_each(arena_here: Arena) -> None:
    lines = arena_here("recipes").stdout.splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [[name, recipe_about(name)] for name in recipe_names()]


def test_shown_recipe_is_yaml_that_loads_with_its_overrides(arena_here: Arena, tmp_path: Path) -> None:
    done = arena_here("recipes", "show", "quickstart-digits", "seed=7", "sampling.steps=3")
    path = tmp_path / "mine.yaml"
    path.write_text(done.stdout)
    assert load_recipe(str(path)) == load_recipe("quickstart-digits", ["seed=7", "sampling.steps=3"])


def test_short_recipe_is_the_file_as_written(arena_here: Arena) -> None:
    raw = yaml.safe_load(arena_here("recipes", "show", "quickstart", "--short").stdout)
    assert raw["about"] == recipe_about("quickstart")
    assert "seed" not in raw


@pytest.mark.parametrize("name", ["my run", "a[b]c[/bold]", "run", ".", ".."])
def test_closing_lines_name_a_run_s_folder_as_it_is_and_can_be_pasted(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    print_results(Path(name), Path(name), load_recipe("quickstart-digits"), None)
    title, *commands = capsys.readouterr().out.partition("bundle  ")[2].splitlines()
    assert title == str(Path(name, "bundle"))
    _, judge, train = (shlex.split(line) for line in commands[1:])
    assert judge == ["arena", "judge", str(Path(name, "bundle"))]
    again = train[train.index("--out") + 1]
    assert Path(again).parent.resolve() == Path(name).resolve().parent
    assert Path(again).name == f"{Path(name).resolve().name}-seed1"


def test_closing_lines_offer_the_next_seed(capsys: pytest.CaptureFixture[str]) -> None:
    print_results(Path("runs/a"), Path("runs/a"), load_recipe("quickstart-digits", ["seed=4"]), None)
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert words == ["arena", "train", "runs/a/recipe.yaml", "seed=5", "--out", "runs/a-seed5"]


def test_closing_lines_of_a_run_that_ended_in_its_refuge_send_the_next_one_beside_its_home(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, refuge = tmp_path / "runs" / "mine", tmp_path / "refuge"
    print_results(refuge, home, load_recipe("quickstart-digits"), None)
    _, judge, train = (shlex.split(line) for line in capsys.readouterr().out.splitlines()[-3:])
    assert judge == ["arena", "judge", str(refuge / "bundle")]  # which is where it is
    assert train[train.index("--out") + 1] == f"{home}-seed1"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            ["recipes", "show", "quickstrat", "--short"],
            2,
            "'quickstrat' is unknown; did you mean 'quickstart'? choose from",
        ),
        (["train", "quickstart-digits", "sampling.solver=rk5"], 2, "choose from euler, heun"),
        (["judge", "nowhere"], 1, "cannot read nowhere/card.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refusal_is_one_line_and_an_exit_code(arena_here: Arena, words: list[str], code: int, says: str) -> None:
    done = arena_here(*words)
    assert done.returncode == code
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("arena: ")
    assert says in line


def test_any_letter_can_be_said_on_an_ascii_terminal(arena: Arena, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "about: né … × 語\n" + recipe_source("quickstart-digits").read_text().split("\n", 1)[1], encoding="utf-8"
    )
    ascii_terminal = {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = arena("recipes", "show", path, "--short", **ascii_terminal)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("about: n")
    done = arena("recipes", "show", path, "seed=…", **ascii_terminal)
    assert done.returncode == 2
    assert "seed = '...'" in done.stderr


def test_bar_on_an_ascii_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    _show_any_letter()
    monkeypatch.setattr(watching, "console", Console(force_terminal=True, width=30))
    ticks = [Tick(i, 3, i, 0.1, {"loss": 0.5, "samples_per_second": 1e6}) for i in range(4)]
    assert list(watching.show_training(iter(ticks), "autoencoder")) == ticks
    sys.stdout.flush()
    assert b"..." in shown.getvalue()  # what does not fit is cut off


@pytest.mark.parametrize(
    ("words", "environment", "says"),
    [
        (
            ["doctor"],
            {"LATENTARENA_CACHE": "~nobody-there/cache"},
            "LATENTARENA_CACHE = ~nobody-there/cache: nobody knows",
        ),
        (["doctor"], {"LATENTARENA_DATA": "~nobody-there"}, "LATENTARENA_DATA = ~nobody-there: nobody knows"),
        (
            ["train", "quickstart-digits", "data.name=folder:~nobody-there/x"],
            {},
            "folder:~nobody-there/x: nobody knows",
        ),
        (["train", "quickstart-digits", "data.name=folder:" + 300 * "x"], {}, "xxx"),
        (["train", "quickstart-digits", "--out", 300 * "x"], {}, "the name is too long"),
        (["train", "quickstart-digits", "--data", 300 * "x"], {}, "xxx"),
        (["train", "quickstart-digits", "--out", ""], {}, "nothing is given for --out; is a variable"),
        (["train", "quickstart-digits", "--out="], {}, "nothing is given for --out; is a variable"),
        (["judge", ""], {}, "nothing is given for what follows judge"),
        (["judge", 300 * "x"], {}, "File name too long"),
        (["sample", 300 * "x"], {}, "File name too long"),
        (["verify", 300 * "x", "y"], {}, "File name too long"),
        (["check", 300 * "x"], {}, "xxx"),
        (["board", "rank", 300 * "x"], {}, "File name too long"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_impossible_path_is_one_line(
    arena_here: Arena, monkeypatch: pytest.MonkeyPatch, words: list[str], environment: dict[str, str], says: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = arena_here(*words)
    assert done.returncode in (1, 2)
    [line] = done.stderr.splitlines()
    assert line.startswith("arena: ")
    assert says in line
    assert "fault" not in line


def test_fault_without_words_of_its_own_is_one_line_too(arena_here: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: Path | None, deep: bool) -> None:
        raise KeyError("inside")

    monkeypatch.setattr(doctor, "examine", fail)
    done = arena_here("doctor")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "arena: unexpected fault, KeyError: 'inside'; the same command with --debug shows where\n"


def test_help_lists_all_choices(arena_here: Arena) -> None:
    said = "".join(arena_here("sample", "--help").stdout.split())
    assert f"Oneof{','.join(SOLVERS)};" in said
    assert f"overtime:{','.join(GRIDS)}." in said
    assert ",".join(recipe_names()) in "".join(arena_here("train", "--help").stdout.split())


def test_help_lists_every_command_once_in_its_group_with_a_whole_sentence(arena_here: Arena) -> None:
    done = arena_here("--help")
    assert done.returncode == 0
    groups = ("Train and use:", "Judge:", "Contest:", "Tools:")
    assert [line for line in done.stdout.splitlines() if line in groups] == list(groups)
    listed = re.findall(r"^  ([a-z][a-z-]*)  +[A-Z]", done.stdout, flags=re.MULTILINE)
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert sorted(listed) == sorted(commands)
    assert "..." not in done.stdout.split("Train and use:")[1]


@pytest.mark.parametrize("group", ["judge", "study", "recipes", "board", "team"])
def test_a_group_lists_its_commands_with_whole_sentences(arena_here: Arena, group: str) -> None:
    commands = typer.main.get_command(app).commands[group].commands  # type: ignore[attr-defined]
    listed = arena_here(group, "--help").stdout.partition("Commands:")[2].partition("Usage:")[0]
    assert sorted(re.findall(r"^  ([a-z][a-z-]*)  +[A-Z]", listed, flags=re.MULTILINE)) == sorted(commands)
    assert "..." not in listed


@pytest.mark.parametrize(("group", "command"), [("judge", "bundle"), ("study", "run")])
def test_a_group_explains_the_command_that_needs_no_name(arena_here: Arena, group: str, command: str) -> None:
    whole, alone = (arena_here(*words, "--help").stdout for words in ((group,), (group, command)))
    assert alone.startswith("Usage: arena ")
    assert whole.endswith(alone)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lr=0.1"], "unknown key 'lr'; did you mean training.autoencoder.lr or training.generator.lr?"),
        (["steps=3"], "unknown key 'steps'; did you mean sampling.steps?"),
        (["generator.lr=1"], "'generator.lr'; did you mean training.autoencoder.lr or training.generator.lr?"),
        (["data.name=mnits"], "dataset 'mnits' is unknown; did you mean 'mnist'?"),
        (["generator.path=strait"], "generator.path = 'strait': did you mean 'straight'?"),
        (["--seed", "1"], "a key of the recipe is set without dashes: seed=1"),
        (["--seed=1"], "a key of the recipe is set without dashes: seed=1"),
        (["--epochs", "3"], "without dashes: training.autoencoder.epochs=3 or training.generator.epochs=3"),
        (["--training.generator.lr=3"], "a key of the recipe is set without dashes: training.generator.lr=3"),
        (["--drop-labels", "0"], "a key of the recipe is set without dashes: training.generator.drop_labels=0"),
        (["--colour", "3"], "No such option: --colour (Possible options: --out) (see arena train --help)"),
        (["--seed", "--resume"], "a key of the recipe is set without dashes: seed=VALUE"),
    ],
)
def test_a_key_that_is_nearly_right_is_answered_with_the_right_one(
    arena_here: Arena, words: list[str], said: str
) -> None:
    done = arena_here("train", "quickstart-digits", *words)
    assert done.returncode != 0
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_option_without_its_dashes_is_answered_with_the_right_one(arena: Arena) -> None:
    done = arena("sample", "zoo:quickstart", "steps=3")
    assert done.returncode == 2
    assert "options are given with dashes: --steps 3" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_debug_shows_the_traceback(arena: Arena) -> None:
    done = arena("recipes", "show", "quickstrat", "--short", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ConfigError" in done.stderr


def test_doctor_names_judge_device_and_data(arena: Arena, tmp_path: Path) -> None:
    done = arena("doctor", LATENTARENA_DATA=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    named = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"versions", "machine", "device", "cache", "data", "judge"} <= named
    assert "digits: embedded" in done.stdout
    assert done.stdout.count("file and logits as recorded") == 3


@pytest.mark.mnist
def test_doctor_holds_a_judge_against_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The official one alone: all three take a quarter of a minute."""
    if where("mnist") is None:
        pytest.skip("MNIST is not here")
    monkeypatch.setattr(doctor, "OPINIONS", "none of them")
    [line] = [line for line in doctor.examine(None, deep=True) if line.name == "judge"]
    assert line.good
    assert re.search(r"accuracy 99\.\d\d% and calibration on mnist as recorded$", line.text)


def test_judging_again_gives_the_card_of_the_run(arena_here: Arena, tiny_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    done = arena_here("judge", tiny_run / "bundle", "--untimed", "--json", path)
    assert done.returncode == 0, done.stderr
    card = ScoreCard.model_validate_json(path.read_text())
    first = ScoreCard.model_validate_json((tiny_run / "score.json").read_text())
    same = {"source": ""}  # so that an edit between the two runs does not matter
    assert card.model_copy(update=same).fingerprint == first.model_copy(update=same).fingerprint
    assert (first.timing is None, card.timing) == (False, None)
    assert [METRICS[name].title for name in card.scores if METRICS[name].title not in done.stdout] == []
    assert (card.samples, card.seeds) == (10_000, SEEDS)


def test_card_is_written_as_json_page_and_picture(arena_here: Arena, tiny_run: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "out" / f"card.{suffix}" for suffix in ("json", "html", "png")]
    options = [
        word for option, path in zip(("--json", "--html", "--png"), paths, strict=True) for word in (option, path)
    ]
    done = arena_here("judge", tiny_run / "bundle", "--samples", 200, "--set", "contest-2025", *options)
    assert done.returncode == 0, done.stderr
    card = ScoreCard.model_validate_json(paths[0].read_text())
    assert (card.samples, card.timing is None) == (200, False)
    assert paths[1].read_text().startswith("<!doctype html>")
    assert paths[2].read_bytes().startswith(b"\x89PNG")
    assert [column for column in COLUMNS if column not in done.stdout] == []
    line = done.stdout.splitlines()[-1].split(",")
    assert len(line) == 3 + len(COLUMNS)
    assert float(line[3]) == sum(card.parameters.values())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--png", "card.jpg"], "--png card.jpg: .jpg is not .png"),
        (["--set", "contest-2024"], "contest-2024"),
        (["--samples", 99], "--samples"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_judge_refuses_what_it_cannot_do_before_it_starts(
    arena_here: Arena, tiny_run: Path, options: list[object], says: str
) -> None:
    done = arena_here("judge", tiny_run / "bundle", *options)
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert says in line


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("", recipe_names()), ("quickstart-", ["quickstart-digits"]), ("zzz", [])],
)
def test_recipe_names_are_completed(typed: str, offered: list[str]) -> None:
    assert _complete_recipe(typed) == offered


def test_shell_asks_for_completion_of_recipes(arena: Arena) -> None:
    asked = {"_ARENA_COMPLETE": "complete_bash", "COMP_WORDS": "arena train quickstart-d", "COMP_CWORD": "2"}
    done = arena(**asked)
    assert done.stdout.split() == ["quickstart-digits"]


def test_every_command_of_the_app_is_tested_here() -> None:
    assert set(typer.main.get_group(app).commands) == set(COMMANDS)
