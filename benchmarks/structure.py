"""The structure of the source in figures: copies of a concept, sizes of modules and classes, directions of imports.

    python benchmarks/structure.py [--source DIR] [--list]

DIR is `src/latentarena` of any checkout, so that two commits can be set beside each other; `--list` names what is
counted. Nothing is imported: all is read from the syntax tree.
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HOME = Path(__file__).resolve().parents[1] / "src" / "latentarena"
LONG_MODULE, LARGE_CLASS = 350, 15  # lines; public methods
INTERVAL = {"value", "low", "high"}


@dataclass(frozen=True)
class Source:
    """A package's modules: their lines and their syntax trees, by dotted name, and which of them are packages."""

    lines: dict[str, int] = field(default_factory=dict)
    trees: dict[str, ast.Module] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, home: Path) -> Source:
        """All modules below a folder but for migrations, which Alembic runs."""
        source = cls()
        for path in sorted(home.rglob("*.py")):
            name = ".".join(path.relative_to(home).with_suffix("").parts).removesuffix(".__init__")
            if "migrations" not in path.parts:
                text = path.read_text(encoding="utf-8")
                source.lines[name], source.trees[name] = text.count("\n"), ast.parse(text)
                source.packages.update([name] if path.stem == "__init__" else [])
        return source

    def classes(self) -> Iterator[tuple[str, ast.ClassDef]]:
        """(module, class) of every public class at the top of a module."""
        for name, tree in self.trees.items():
            yield from ((name, node) for node in tree.body if isinstance(node, ast.ClassDef))

    def functions(self) -> Iterator[tuple[str, ast.FunctionDef]]:
        """(module, function) of every function at the top of a module."""
        for name, tree in self.trees.items():
            yield from ((name, node) for node in tree.body if isinstance(node, ast.FunctionDef))


def fields(node: ast.ClassDef) -> dict[str, str]:
    """Annotated fields of a class, with their annotations as text."""
    return {
        one.target.id: ast.unparse(one.annotation)
        for one in node.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }


def openers(source: Source) -> list[str]:
    """Public functions that make a bundle of a path."""
    found = []
    for module, node in source.functions():
        returns = ast.unparse(node.returns) if node.returns else ""
        takes = [ast.unparse(one.annotation) for one in node.args.args if one.annotation]
        opens = node.name.startswith(("load", "open", "boxed", "native", "portable")) and "Bundle" in returns
        if opens and "BundleCard" not in returns and any("Path" in one for one in takes):
            found.append(f"{module}.{node.name}")
    return found


def asked(source: Source) -> list[str]:
    """`isinstance` on bundles and models: places that ask which form a model has."""
    forms = {
        node.name
        for _, node in source.classes()
        if node.name.endswith(("Bundle", "Model")) and not node.name.startswith("_")
    }
    found = []
    for module, tree in source.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance" and len(node.args) == 2:
                kinds = {one.id for one in ast.walk(node.args[1]) if isinstance(one, ast.Name)}
                if kinds & forms:
                    found.append(f"{module}:{node.lineno}")
    return found


def figures(source: Source) -> list[str]:
    """Classes that are a value with an interval, or a figure of a card as text."""
    return [f"{module}.{node.name}" for module, node in source.classes() if set(fields(node)) >= INTERVAL]


def results(source: Source) -> list[str]:
    """Classes that hold a whole judged result: a score card, or an entry of a board."""
    holders = ("ScoreCard", "Score]", "Entry", "Cell]", "Figure]", "Evaluated", "Line, ...]")
    return [
        f"{module}.{node.name}"
        for module, node in source.classes()
        if any(word in annotation for annotation in fields(node).values() for word in holders)
        and not ("Figure" in drawn(source.trees[module]) and "Figure]" in str(fields(node).values()))
    ]


def drawn(tree: ast.Module) -> set[str]:
    """Names that a module imports from matplotlib, whose `Figure` is a picture and no result."""
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return {one.name for node in imports if (node.module or "").startswith("matplotlib") for one in node.names}


def twice(source: Source) -> list[str]:
    """Names of public classes that more than one module defines."""
    homes = defaultdict(list)
    for module, node in source.classes():
        if not node.name.startswith("_"):
            homes[node.name].append(module)
    return [f"{name}: {', '.join(modules)}" for name, modules in sorted(homes.items()) if len(modules) > 1]


def large(source: Source) -> list[str]:
    """Classes of many public methods."""
    found = []
    for module, node in source.classes():
        methods = [one for one in node.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")]
        if len(methods) > LARGE_CLASS:
            found.append(f"{module}.{node.name}: {len(methods)}")
    return found


def lists(source: Source) -> list[str]:
    """Modules, none of them a package, that export by a list."""
    return [
        name
        for name, tree in source.trees.items()
        if any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in tree.body)
        and name not in source.packages
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=HOME, metavar="DIR")
    parser.add_argument("--list", action="store_true", help="name what is counted")
    chosen = parser.parse_args()
    source = Source.read(chosen.source)
    counted = {
        "openers of bundles that callers may use": openers(source),
        "isinstance on bundles and models": asked(source),
        "classes that hold a judged result": results(source),
        "classes that are a figure with an interval": figures(source),
        "public class names defined twice": twice(source),
        f"modules over {LONG_MODULE} lines": [f"{m}: {n}" for m, n in source.lines.items() if n > LONG_MODULE],
        f"classes over {LARGE_CLASS} public methods": large(source),
        "modules with __all__ that are no packages": lists(source),
    }
    for what, found in counted.items():
        print(f"{what:45} {len(found):>6}")
        if chosen.list:
            print("".join(f"    {one}\n" for one in found), end="")
    print(f"{'modules':45} {len(source.trees):>6}\n{'source lines':45} {sum(source.lines.values()):>6}")


if __name__ == "__main__":
    main()
