"""A Markdown text with its pictures as one HTML page that needs no network, and as a PDF printed by a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from latentarena.documents import decode_text, read_at_most
from latentarena.errors import ConfigError
from latentarena.files import write_atomically, write_text
from latentarena.pictures import Picture, embed_file
from latentarena.report.markdown import pieces
from latentarena.report.scorecard import environment

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
LARGEST = 1 << 20  # bytes of a text
PATIENCE = 120  # seconds that printing may take


def publish(text: Path, kinds: dict[str, str]) -> tuple[Path, Path | None, str]:
    """Write a Markdown file as a page and a PDF beside it.

    Args:
        text: its first line is the heading; pictures lie beside it.
        kinds: of pictures by file name, where it is not `view`; see `Picture`.

    Returns:
        The page; the PDF, or None and a sentence that says why there is none.

    Raises:
        ConfigError: it cannot be read, or shows a picture that is not beside it.
        OutputError: a file cannot be written.
    """
    page = text.with_suffix(".html")
    write_text(page, html_of(text, kinds))
    printed = text.with_suffix(".pdf")
    why = print_page(page, printed)
    if why:
        printed.unlink(missing_ok=True)  # of the text as it was before
    return page, None if why else printed, why


def html_of(text: Path, kinds: dict[str, str]) -> str:
    """The page of a Markdown file; tags in it are shown as text."""
    heading, _, body = read_words(text).partition("\n")
    reader = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable("table")
    parts = []
    for source, own in pieces(body):
        tokens = reader.parse(source)
        _embed(tokens, text.parent, kinds, reader)
        inner = reader.renderer.render(tokens, reader.options, {})
        inner = inner.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
        parts.append(f'<div class="words{"" if source else " empty"}">{inner}</div>' if own else inner)
    title = reader.renderInline(heading.lstrip("# "))
    template = environment().get_template("analysis.html")
    return template.render(title=Markup(title), body=Markup("".join(parts)))  # noqa: S704 - both from `reader`


def read_words(text: Path) -> str:
    """What a Markdown file says.

    Raises:
        ConfigError: it cannot be read, is too large or no text.
    """
    content = read_at_most(text, LARGEST, f"is larger than {LARGEST >> 10} KiB; keep pictures in files of their own")
    try:
        return decode_text(content)
    except ValueError as error:
        raise ConfigError(f"{text}: {error}") from None


def _embed(tokens: list[Token], folder: Path, kinds: dict[str, str], reader: MarkdownIt) -> None:
    """Turn each paragraph that begins with a picture into a figure, whose caption is the rest of the paragraph."""
    show = getattr(environment().get_template("figure.html").module, "show")  # noqa: B009 - a macro
    for number, token in enumerate(tokens):
        if token.type != "inline" or not token.children or token.children[0].type != "image":
            continue
        image, rest = token.children[0], token.children[1:]
        path = _beside(str(image.attrs["src"]), folder)
        caption = Markup(reader.renderer.render(rest, reader.options, {}))  # noqa: S704 - of the reader
        shown = embed_file(path, image.content or path.stem, "")
        picture = Picture(shown.source, shown.alt, caption, kinds.get(path.name, "view"))  # type: ignore[arg-type]
        token.type, token.tag, token.children = "html_block", "", None
        token.content = str(show(picture))
        for around in (tokens[number - 1], tokens[number + 1]):
            around.hidden = True


def _beside(source: str, folder: Path) -> Path:
    path = (folder / source).resolve()
    if not path.is_relative_to(folder.resolve()) or path.suffix.lower() != ".png" or not path.is_file():
        raise ConfigError(f"{folder}: the text shows {source}, which is no PNG file in this folder; put it there")
    return path


def browser() -> str | None:
    """A browser that is installed and can print, if there is any."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return found or next((path for path in APPLICATIONS if Path(path).exists()), None)


def print_page(page: Path, pdf: Path) -> str:
    """Print a page as a PDF; returns why that was not possible, and nothing where it was."""
    program = browser()
    if program is None:
        return f"no PDF: there is no Chromium, Chrome or Edge here; open {page} in any browser and print it"
    with tempfile.TemporaryDirectory() as home:
        made = Path(home) / "page.pdf"
        boxed = [] if getattr(os, "geteuid", lambda: 1)() else ["--no-sandbox"]  # Chromium's own; root has none
        words = ["--headless=new", *boxed, "--disable-gpu", f"--user-data-dir={home}", "--no-pdf-header-footer"]
        command = [program, *words, f"--print-to-pdf={made}", page.resolve().as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"no PDF: {program} fails ({type(error).__name__}); open {page} in any browser and print it"
        if done.returncode or not made.exists():
            return f"no PDF: {program} ends with {done.returncode}; open {page} in any browser and print it"
        write_atomically(pdf, made.read_bytes())
    return ""
