"""The architecture: imports go down only, and what is public is exported."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import latentarena

HOME = Path(latentarena.__file__).parent
LAYERS = [  # from the bottom; parts of one layer do not import each other
    {
        "errors",
        "registry",
        "parts",
        "files",
        "config",
        "documents",
        "randomness",
        "facts",
        "precision",
        "outputs",
        "modes",
        "compute",
        "text",
        "system",
        "progress",
        "bounds",
        "key",
        "gaussians",
    },
    {"card"},
    {"contest"},
    {"data", "gates", "zoo"},
    {"sandbox"},
    {"autoencoder"},
    {"latents"},
    {"process", "backbone"},
    {"sample"},
    {"distill"},
    {"model"},
    {"train"},
    {"judge", "bundle"},
    {"legacy"},
    {"pictures"},
    {"use"},
    {"report"},
    {"evaluate"},
    {"run"},
    {"study", "search"},
    {"arena"},
    {"web"},
    {"cli", "lab"},
    {"__main__"},
]
CORE = LAYERS[0]
HEIGHT = {part: height for height, parts in enumerate(LAYERS) for part in parts}
MODULES = {
    ".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(HOME.rglob("*.py"))
    if path != HOME / "__init__.py" and "migrations" not in path.parts  # Alembic runs those
}
PACKAGES = [name for name, path in MODULES.items() if path.name == "__init__.py"]


def imports(source: str) -> Iterator[tuple[str, str]]:
    """(module, name) of every import in the source, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((node.module or "", alias.name) for alias in node.names)


def imported_parts(source: str) -> Iterator[str]:
    """The parts of this package that the source imports, such as `process` or `errors`."""
    for module, name in imports(source):
        root, *rest = module.split(".")
        if root != "latentarena":
            continue
        if rest:
            yield rest[0]
        elif name != "__version__":
            yield name


def breaches(module: str, source: str) -> list[str]:
    """The imports that do not go down."""
    part = module.split(".")[0]
    allowed = {part} | {other for other in HEIGHT if HEIGHT[other] < HEIGHT[part]} | (CORE if part in CORE else set())
    return [other for other in imported_parts(source) if other not in allowed]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    assert breaches(module, MODULES[module].read_text()) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("process.path", "from latentarena.backbone import MLP"),
        ("backbone.mlp", "import latentarena.process.path"),
        ("bundle.native", "from latentarena.judge.score import score"),
        ("judge.score", "from latentarena.bundle import Bundle"),
        ("autoencoder.base", "from latentarena import latents"),
        ("config", "def f():\n    from latentarena.data import Images"),
        ("report.report", "from latentarena.cli.console import console"),
    ],
)
def test_an_import_that_goes_up_or_sideways_would_be_seen(module: str, line: str) -> None:
    assert len(breaches(module, line)) == 1


def test_every_part_has_its_layer() -> None:
    assert {module.split(".")[0] for module in MODULES} == set(HEIGHT)


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("cli")])
def test_only_the_command_line_imports_typer(module: str) -> None:
    roots = {name.split(".")[0] for name, _ in imports(MODULES[module].read_text())}
    assert roots.isdisjoint({"typer", "click"})


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__main__"])
def test_every_exported_name_exists(module: str) -> None:
    loaded = importlib.import_module(f"latentarena.{module}")
    exported = getattr(loaded, "__all__", [])
    assert [name for name in exported if not hasattr(loaded, name)] == []
    assert len(set(exported)) == len(exported)


OUTSIDE = {"torch", "os", "pathlib", "shutil", "socket", "subprocess", "tempfile", "urllib", "importlib"}
READERS = {"latentarena.documents", "latentarena.files"}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("contest.")])
def test_a_contest_is_pure(module: str) -> None:
    """Rules, ranking and boards are functions of values: no torch, and nothing is read or written."""
    source = MODULES[module].read_text()
    found = {name for name, _ in imports(source)}
    assert {name.split(".")[0] for name in found}.isdisjoint(OUTSIDE)
    assert found.isdisjoint(READERS)
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}
    assert called.isdisjoint({"open", "print", "input", "datetime.now"})


def test_a_contest_loads_no_torch() -> None:
    loaded = loaded_by(
        "latentarena.contest.making", "latentarena.contest.prediction", "latentarena.contest.spreadsheet"
    )
    assert "torch" not in loaded


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_of_a_package_are_exported(package: str) -> None:
    source = MODULES[package].read_text()
    made = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    exported = getattr(importlib.import_module(f"latentarena.{package}"), "__all__", [])
    assert {name for name in made if not name.startswith("_")} <= set(exported)


def offered(module: str) -> set[str]:
    """What other parts may import of a module: what a package exports and its modules, else what the module defines."""
    path = HOME / module.replace(".", "/")
    if path.is_dir():
        loaded = importlib.import_module(f"latentarena.{module}")
        return {*getattr(loaded, "__all__", ()), *(one.stem for one in path.iterdir())}
    body = ast.parse(path.with_suffix(".py").read_text()).body
    named = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    targets = [one for node in body if isinstance(node, ast.Assign) for one in node.targets]
    targets += [node.target for node in body if isinstance(node, ast.AnnAssign)]
    named |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
    return {name for name in named if not name.startswith("_")}


@pytest.mark.parametrize("module", MODULES)
def test_what_another_part_imports_is_offered(module: str) -> None:
    hidden = []
    for source, name in imports(MODULES[module].read_text()):
        root, *rest = source.split(".")
        if root == "latentarena" and rest and rest[0] != module.split(".")[0]:
            hidden += [f"{source}.{name}"] if name not in offered(".".join(rest)) else []
    assert hidden == []


@pytest.mark.parametrize("module", [name for name, path in MODULES.items() if path.name != "__init__.py"])
def test_only_packages_export_by_a_list(module: str) -> None:
    assert "__all__" not in MODULES[module].read_text()


def loaded_by(*modules: str) -> list[str]:
    """All modules in a new process that imports these."""
    code = f"import sys, {', '.join(modules)}; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(modules) <= set(loaded)
    return loaded


def test_the_commands_are_listed_without_torch() -> None:
    loaded = loaded_by("latentarena.cli.app")
    assert {"torch", "numpy", "scipy", "matplotlib"}.isdisjoint(loaded)


def test_a_bundle_is_evaluated_without_what_only_training_and_drawing_need() -> None:
    """Half of the seconds that a process takes to start; a worker starts one for every entry."""
    loaded = loaded_by("latentarena.evaluate.evaluate")
    assert "torch" in loaded
    assert {"lightning_fabric", "torch._dynamo", "sklearn", "scipy", "matplotlib", "onnxruntime"}.isdisjoint(loaded)


def test_judges_are_loaded_without_the_compiler_of_torch() -> None:
    """It takes longer than all else that `arena doctor` does."""
    code = "import sys; from latentarena.cli.doctor import examine; list(examine(None)); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "latentarena.judge.classifier" in loaded
    assert {"torch._dynamo", "sympy", "lightning_fabric", "sklearn", "scipy", "matplotlib"}.isdisjoint(loaded)
