"""The public names: what they are, how they are called, and that asking for them costs nothing before they are used."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import latentarena as la

SIGNATURES = {  # a change here is a change of the major version, but for parameters that are added with a default
    "train": "recipe, *, folder, root, resume, budget, judged, samples, accelerator, progress, parts, **overrides",
    "load": "source, *, parts",
    "judge": "what, *, samples, dataset, against, features, root, metrics, judge_file, timed, waterfall, progress",
    "export": "model, folder",
    "save": "modules, folder, *, name, process, solver, steps, grid, guidance, dataset, root, conditional, noise_shape",
    "fit": "network, data, labels, *, process, loss, folder, epochs, batch, lr, muon, warmup, weight_decay, ema, clip, "
    "seed, resume, accelerator, progress",
    "study": "source, *, folder, root, jobs, on, threads, budget, **config",
    "search": "source, *, folder, root, trials, minutes, macs, seed, accelerator, progress",
    "datasets.load": "name, *, root, size, crop, resize",
    "datasets.names": "",
    "Process": "path, target, correction, coupling, times, weighting",
    "Process.loss": "self, network, data, labels, *, generator, noise",
    "Process.denoiser": "self, network",
    "Process.sample": "self, network, noise, labels, *, steps, solver, grid, guidance, eta, seed",
    "Process.trajectory": "self, network, noise, labels, steps, solver, grid, guidance, eta, seed",
    "Model": "bundle, score_card",
    "Model.sample": "self, n, *, labels, steps, guidance, seed, solver, grid, eta",
    "Model.draw": "self, path, n, *, labels, steps, guidance, seed, solver, grid, eta",
    "Model.encode": "self, images",
    "Model.decode": "self, latents",
}


def parameters(function: object) -> str:
    """The names of a function's parameters, as they are written."""
    words, named = [], False
    for one in inspect.signature(function).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not named:
            words.append("*")
            named = True
        words.append(f"**{one.name}" if one.kind is one.VAR_KEYWORD else one.name)
    return ", ".join(words)


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_public_function_takes_what_it_took(name: str) -> None:
    found: object = la
    for part in name.split("."):
        found = getattr(found, part)
    assert parameters(found) == SIGNATURES[name]
    assert inspect.getdoc(found)


def test_the_public_names_are_these() -> None:
    words = "ArenaError Model Path Process Recipe __version__ datasets export fit judge load save search study train"
    assert sorted(la.__all__) == words.split()
    assert dir(la) == sorted(la.__all__)
    with pytest.raises(AttributeError, match=r"latentarena has no 'museum'; it has .*train"):
        _ = la.museum
    with pytest.raises(AttributeError, match=r"latentarena has no 'dataset'; did you mean 'datasets'\? it has"):
        _ = la.dataset


def test_type_checkers_know_every_name_and_no_other(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import latentarena as la\n\n"
        "model: la.Model = la.load('zoo:quickstart')\nvalue: float | None = la.judge(model).scores['frechet'].value\n"
        + "".join(f"la.{name}\n" for name in la.__all__)
        + "la.museum\nla.train(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, program], capture_output=True, text=True
    )
    faults = [line.partition(": error: ")[2] for line in done.stdout.splitlines() if ": error: " in line]
    assert [fault.split(";")[0][:40] for fault in faults] == [
        'Module has no attribute "museum"  [attr-',
        'Argument 1 to "train" has incompatible t',
    ]


@pytest.mark.parametrize("name", ["train", "judge", "study", "search"])
def test_help_of_a_package_that_is_called_is_that_of_the_function(name: str) -> None:
    shown = pydoc.plain(pydoc.render_doc(getattr(la, name)))
    assert f"\n    {name}({'recipe' if name == 'train' else 'what' if name == 'judge' else 'source'}: " in shown
    assert "\n    Args:\n" in shown


def run(code: str) -> str:
    """What a new process prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "typer", "pydantic", "yaml", "rich")
    assert run(f"import sys, latentarena; print(*[name for name in {heavy} if name in sys.modules])") == ""


@pytest.mark.parametrize("first", ["pass", "import latentarena.train.loop", "from latentarena.judge import score"])
def test_a_function_with_a_packages_name_is_both_whatever_was_imported_before(first: str) -> None:
    code = (
        f"{first}\nimport inspect\nimport latentarena as la\nimport latentarena.train.loop as loop\n"
        "print(*inspect.signature(la.train).parameters, loop.fit.__name__, la.train.loop is loop, callable(la.judge))\n"
        "try:\n    la.train('nobody')\nexcept la.ArenaError as error:\n    print(str(error)[:26])"
    )
    first_line, refused = run(code).splitlines()
    assert first_line.startswith("recipe folder root resume")
    assert first_line.endswith("overrides fit True True")
    assert refused == "recipe 'nobody' is unknown"
