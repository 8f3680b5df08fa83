"""What the site adds to the pages of docs/: files of the root, notebooks, tables made of the code, and MathML."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
EXAMPLES = [one for kind in ("py", "yaml", "toml") for one in sorted((ROOT / "examples").rglob(f"*.{kind}"))]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OUTSIDE = re.compile(rf"\]\(((?:\.\./)*)\.\./(?:({'|'.join(PAGES)})|(examples/[\w./-]+))")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take in what lies beside docs/, and write the pages that the code itself is the source of."""
    for name in PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for path in EXAMPLES:
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, f"{name}.txt", content=path.read_text("utf-8")))
    for path in NOTEBOOKS:
        for name, content in notebook(path):
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    for name, write in {"commands": commands, "metrics": metrics}.items():
        files.append(File.generated(config, f"reference/{name}.md", content=write()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links between docs/ and the repository's root, which are one folder on the site."""
    if page.file.src_uri in PAGES:
        return markdown.replace("](docs/", "](")
    return OUTSIDE.sub(lambda found: f"]({found[1]}{found[2] or found[3] + '.txt'}", markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML, which browsers draw without a script; what is wider than a phone is scrolled."""

    def formula(found: re.Match[str]) -> str:
        if found[2] == "(":
            return convert(html.unescape(found[3]), display="inline")
        return f'<div style="overflow-x: auto">{convert(html.unescape(found[3]), display="block")}</div>'

    return FORMULA.sub(formula, content)


def notebook(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """A notebook as it is stored, a page of its cells and outputs, and the pictures of that page; each by its name."""
    lines, pictures = [], 0
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines += [re.sub(r"\]\((\w+)\.ipynb", r"](\1.md", text), ""]
            continue
        lines += [fenced("python", text), ""]
        for output in cell["outputs"]:
            kinds = output.get("data", {})
            kind = next((one for one in ("image/gif", "image/png") if one in kinds), None)
            if kind is None:
                lines += [written(output), ""]
                continue
            pictures += 1
            name = f"{path.stem}-{pictures}.{kind.partition('/')[2]}"
            yield name, base64.b64decode("".join(kinds[kind]))
            lines += [f"![What the cell above draws]({name})", ""]
    title, _, rest = "\n".join(lines).partition("\n")
    yield path.name, path.read_text("utf-8")
    yield f"{path.stem}.md", f"{title}\n\n[The notebook as a file]({path.name}), executed by `make notebooks`.\n{rest}"


def written(output: dict[str, Any]) -> str:
    """An output of words."""
    kinds = output.get("data", {})
    if "text/markdown" in kinds:
        return "".join(kinds["text/markdown"])
    return fenced("text", "".join(output.get("text", kinds.get("text/plain", ""))))


def fenced(language: str, text: str) -> str:
    """A block of code, in a fence that is longer than any in it."""
    fence = "`" * max([3, *(len(found) + 1 for found in re.findall("`{3,}", text))])
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def commands() -> str:
    """Every command of `arena` with its arguments and options, as `--help` says them."""
    import typer
    from typer.cli import get_docs_for_click

    from latentarena.cli.app import app

    command = typer.main.get_command(app)
    with typer.Context(command, info_name="arena") as context:
        text = get_docs_for_click(obj=command, ctx=context, name="arena", title="Commands")
    return text


def metrics() -> str:
    """The metrics of the score set by category."""
    from latentarena.card.catalogue import CATEGORIES, METRICS

    lines = ["# Metrics", "", "The score set `arena-1`. What each figure sees is measured in [the judge](../judge.md)."]
    for name, title in CATEGORIES.items():
        lines += ["", f"## {title}", "", "| name | metric | what | better is |", "|---|---|---|---|"]
        for key, metric in METRICS.items():
            if metric.category == name:
                lines.append(f"| `{key}` | {metric.title} | {metric.what} | {metric.better} |")
    return "\n".join(lines) + "\n"
