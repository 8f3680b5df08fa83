"""The pages: their Python runs, their commands exist, their links lead somewhere, and they make a site."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
import torch
import typer
import yaml
from PIL import Image

from arena_site import running
from command import Arena
from latentarena.bundle.portable import GRAPHS
from latentarena.cli.app import app
from latentarena.judge.classifier import Judge
from latentarena.registry import Registry
from latentarena.sandbox import standing
from own_parts import restored
from typed_commands import run_for_uses, shell_lines, typed

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OUTSIDE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*OUTSIDE, *sorted(DOCS.rglob("*.md"))]
AFTER = {"python.md": ["README.md"]}  # pages whose blocks go on from those of another
READERS = {"yaml": yaml.safe_load, "toml": tomllib.loads, "json": json.loads}


def blocks(page: Path, language: str) -> list[str]:
    """The page's blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.S)


def run(page: Path, known: dict[str, object]) -> None:
    """Run the page's blocks one after the other, but for those that are files of examples/, which have tests."""
    examples = {path.read_text("utf-8") for path in (ROOT / "examples").rglob("*.py")}
    for number, block in enumerate(one for one in blocks(page, "python") if one not in examples):
        exec(compile(block, f"block {number} of {page.name}", "exec"), known)  # our own page


@pytest.mark.timeout(900)  # a minute; more on a busy machine
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python") and page.name != "README.md"], ids=lambda page: page.name
)
def test_the_blocks_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits_judge: Judge
) -> None:
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    with torch.random.fork_rng(), restored():
        run(page, known)
        for other in AFTER.get(page.name, ()):
            run(ROOT / other, known)
    if page.name == "python.md":
        assert (tmp_path / "digits.png").stat().st_size > 0
        assert (tmp_path / "runs" / "own" / "model" / "weights.safetensors").exists()
        assert len(known["states"]) == 17  # type: ignore[arg-type]


@pytest.mark.parametrize("language", READERS)
def test_data_in_the_pages_can_be_read(language: str) -> None:
    assert all(READERS[language](block) is not None for page in PAGES for block in blocks(page, language))


def commands(page: Path) -> list[str]:
    """What a page tells people to type after `arena`, in blocks and in sentences."""
    return typed(page) + re.findall(r"`arena ([a-z][^`|]*)`", page.read_text("utf-8").replace("\\\n", " "))


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_of_a_page_exist_with_their_options(page: Path) -> None:
    arena = typer.main.get_command(app)
    for written in commands(page):
        command: click.Command = arena
        words = written.split()
        while hasattr(command, "commands") and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        command = getattr(command, "commands", {}).get(getattr(command, "default", ""), command)  # arena judge BUNDLE
        assert command.name != "arena", f"arena {written}"
        options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        told = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert told <= options | {"--help"}, f"arena {written}"


def test_the_commands_of_the_page_on_uses_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arena_here: Arena
) -> None:
    """As they stand, but for how long is trained; the rest is in test_typed_commands.py."""
    monkeypatch.chdir(tmp_path)
    Image.new("L", (28, 28)).save("mask.png")
    ran = 0
    for written in filter(run_for_uses, shell_lines(DOCS / "uses.md")):
        words = shlex.split(written)[1:]
        if words[0] == "train":
            words = [*words, "--budget", "0.01", "--no-judge"]
        done = arena_here(*words)
        assert done.returncode == 0, (written, done.stderr)
        assert "--out" not in words or Path(words[words.index("--out") + 1]).exists(), written
        ran += 1
    assert ran > 15


@pytest.fixture
def own_model(tmp_path: Path, portable_folder: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a bundle of a model of digits where the pages have it, and its graphs."""
    made = portable_folder if standing().tier else tiny_run / "bundle"  # graphs run in a sandbox alone
    shutil.copytree(made, tmp_path / "runs" / "own" / "model" / "bundle")
    for graph in GRAPHS:
        shutil.copy(portable_folder / f"{graph}.onnx", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", ["tutorial.md", "bundles.md"])
def test_what_the_pages_do_with_a_model_of_digits_works(
    page: str, own_model: Path, arena_here: Arena, digits_judge: Judge
) -> None:
    told = [words for words in map(str.split, commands(DOCS / page)) if "digits" in words and words[0] != "serve"]
    assert "check" in [words[0] for words in told]
    for words in told:
        if words[0] == "check" and not standing().tier and page == "bundles.md":
            pytest.skip("graphs are checked in a sandbox, and here is none")
        done = arena_here(*words)
        assert done.returncode == 0, (words, done.stderr)
        assert words[0] == "pack" or "on digits, judged by" in done.stdout


def test_the_last_command_of_the_tutorial_hands_in_what_was_checked(
    own_model: Path, arena_here: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, submitted = (
        next(one for one in commands(DOCS / "tutorial.md") if one.startswith(verb)) for verb in ("serve", "submit")
    )
    with running(own_model, contest=served.split()[1]) as site:
        monkeypatch.setenv("ARENA_TOKEN", site.add_teams("One")["One"])
        done = arena_here(*submitted.replace("http://127.0.0.1:8000", site.url).split())
    assert done.returncode == 0, done.stderr
    assert "  queued  " in done.stdout


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    titles = re.findall(r"^#+ (.*)", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        place, _, anchor = link.partition("#")
        if "://" in place or place.startswith("mailto:"):
            continue
        target = (page.parent / place).resolve() if place else page
        if target.parent == DOCS / "reference" and (target.name in ("commands.md", "metrics.md") or "." in anchor):
            continue  # is made with the site, which is tested below
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


class Found(HTMLParser):
    """What a page links to, loads and can be linked to by."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        self.anchors |= {value for value in (has.get("id"), has.get("name")) if value}
        (self.links if tag == "a" else self.loaded).extend(
            value for value in (has.get("href"), has.get("src")) if value and has.get("rel") != "canonical"
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make site` builds it."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_no_link_of_the_site_is_broken(site: Path) -> None:
    pages = {page: Found(page) for page in site.rglob("*.html") if page.name != "404.html"}
    broken = []
    for page, found in pages.items():
        for link in found.links + found.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchor = unquote(parts.fragment)
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{page.name}: {link}")
    assert len(pages) > 30
    assert broken == []


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loaded = {link for page in site.rglob("*.html") for link in Found(page).loaded}
    assert [link for link in loaded if urlsplit(link).netloc] == []
    assert not [
        sheet for sheet in site.rglob("*.css") if re.search(r"(url\(|@import )[\"']?(https?:)?//", sheet.read_text())
    ]


def test_notebooks_stand_on_the_site_with_their_outputs(site: Path) -> None:
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert len(notebooks) >= 7
    for path in notebooks:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
        drawn = sum("image/png" in one or "image/gif" in one for one in outputs)
        page = site / "notebooks" / f"{path.stem}.html"
        pictures = [link for link in Found(page).loaded if link.startswith(f"{path.stem}-")]
        assert len(pictures) == drawn, path.name
        assert (site / "notebooks" / path.name).read_bytes() == path.read_bytes()


def test_formulas_are_mathml(site: Path) -> None:
    page = (site / "explanation.html").read_text("utf-8")
    assert page.count("<math") == len(re.findall(r"\$\$.+?\$\$|\$.+?\$", (DOCS / "explanation.md").read_text(), re.S))
    assert "arithmatex" not in page
    assert "\\" not in "".join(re.findall(r"<math.*?</math>", page, re.S))  # a word that the converter does not know
    assert page.count('display="block"') == page.count('<div style="overflow-x: auto"><math')  # on a phone, scrolled


def test_names_on_the_page_are_those_there_are() -> None:
    from latentarena.process import COUPLINGS, PATHS, TARGETS, TIMES, WEIGHTINGS
    from latentarena.sample import SOLVERS

    rows = dict(re.findall(r"^\| `(\w+)` \| (`.*?) \|", (DOCS / "python.md").read_text(), re.M))
    hidden = {"end", "consistency"}  # of use to a stage of recipes alone
    known = {"path": PATHS, "target": TARGETS, "coupling": COUPLINGS, "times": TIMES, "weighting": WEIGHTINGS}
    for part, names in (known | {"solver": SOLVERS}).items():
        assert set(re.findall(r"`(\w+)`", rows[part])) == set(names) - hidden, part


def test_registries_on_the_page_of_parts_are_those_there_are() -> None:
    for kind, registry in re.findall(r"^\| ([\w ]+) \| `([\w.]+)\.register`", (DOCS / "parts.md").read_text(), re.M):
        module, _, name = registry.rpartition(".")
        assert isinstance(getattr(import_module(module), name), Registry), kind
