"""A board without a server: a folder of evaluated bundles in, a static site out.

What lies in the folder may come from strangers: links are not followed, pictures are drawn anew, pages that came with
an entry are left behind unless the caller made them, and names are shown as text.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from latentarena import __version__
from latentarena.arena.entry import PICTURES, Addresses, Link, facts_of_page
from latentarena.arena.names import clean_name, looks_like
from latentarena.arena.pages import STATIC, templates
from latentarena.card.certificate import Certificate, read_certificate
from latentarena.card.score_card import read_card
from latentarena.contest.board import Board
from latentarena.contest.commitment import Commitment
from latentarena.contest.contest import Contest
from latentarena.contest.entries import entry_of
from latentarena.contest.entry import Entry
from latentarena.contest.making import make_board
from latentarena.contest.spreadsheet import board_csv
from latentarena.documents import parse_json
from latentarena.errors import ConfigError, OutputError
from latentarena.files import is_partial, make_folder, write_atomically, write_json
from latentarena.text import plain_line, slug

CARDS = ("score.json", "card.json")  # a score card: as `arena train` and as `arena check` call it
BUNDLE_CARDS = ("bundle.json", "bundle/card.json", "card.json")
REFUSED = "refusal.json"  # why a bundle could not be evaluated, in the place of its score card
CERTIFICATE = "certificate.json"  # of the training, as `arena retrain` writes it
REPORT = "report.html"  # the page of an entry's run, on the site
REPORTS = (REPORT, "card.html")
BOARD, ENTRIES = "board.json", "entries"  # of a site
LARGEST = {".json": 1 << 20, ".png": 8 << 20, ".html": 16 << 20}  # bytes
WIDEST = 4096  # pixels of a picture's side

Files = Mapping[str, bytes]
"""The pictures of an entry, and the page of its run, by name."""


def read_folder(folder: Path, contest: Contest, verified: bool = False) -> tuple[list[Entry], dict[str, Files]]:
    """Every evaluated bundle below a folder: `TEAM/` or `TEAM/ENTRY/`, each with a score card or the reason why not.

    Args:
        folder: what to look through, two levels deep.
        contest: says which figures count.
        verified: the cards and pages were made here from the bundles, and not handed in.

    Returns:
        the entries, and their files by the entry's id.

    Raises:
        ConfigError: no folder, no entry, a name that cannot be shown, or two teams whose names look alike.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; name one of evaluated bundles")
    found: dict[str, tuple[Entry, Files]] = {}
    teams: list[str] = []
    for home in _homes(folder):
        path = home.relative_to(folder)
        team = clean_name(path.parts[0], f"folder {plain_line(path.parts[0])!r}: the name")
        if team not in teams:
            other = looks_like(team, teams)
            if other is not None:
                raise ConfigError(f"folders {other!r} and {team!r} in {folder} look alike; rename one of them")
            teams.append(team)
        wanted = slug("-".join(path.parts))
        name = next(one for one in (wanted, *(f"{wanted}-{n}" for n in range(2, len(found) + 3))) if one not in found)
        found[name] = _evaluated(home, name, team, contest, verified)
    if not found and any(folder.iterdir()):  # an empty folder is a board that nobody has entered yet
        raise ConfigError(f"{folder} holds no evaluated bundle; each is a folder with a {' or '.join(CARDS)}")
    return [entry for entry, _ in found.values()], {name: files for name, (_, files) in found.items()}


def _homes(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            if _is_entry(path):
                yield path
            else:
                yield from (one for one in sorted(path.iterdir()) if _is_entry(one))


def _is_entry(path: Path) -> bool:
    hidden = path.is_symlink() or path.name.startswith(".")
    return not hidden and path.is_dir() and (_card_file(path) is not None or _content(path, REFUSED) is not None)


def _card_file(home: Path) -> Path | None:
    """The score card; a bundle's own card has no score set and is none."""
    for name in CARDS:
        content = _content(home, name)
        if content is not None and (name == CARDS[0] or b'"score_set"' in content):
            return home / name
    return None


def _content(home: Path, name: str) -> bytes | None:
    """A regular file of bounded size that no link leads to; None if it is anything else."""
    path = home / name
    if any(part.is_symlink() for part in (path, path.parent)) or not path.is_file():
        return None
    return path.read_bytes() if path.stat().st_size <= LARGEST[path.suffix] else None


def _evaluated(home: Path, entry_id: str, team: str, contest: Contest, verified: bool) -> tuple[Entry, Files]:
    """The entry in a folder, and its files."""
    sentence = _json(home, REFUSED).get("sentence")
    if sentence is not None:
        refused = f"it could not be evaluated: {plain_line(str(sentence))}"
        return Entry(entry_id, plain_line(home.name), team, refused=refused), {}
    drawn = {one.name: _picture(_content(home, one.name)) for one in PICTURES}
    pictures = {one: content for one, content in drawn.items() if content is not None}
    file = _card_file(home)
    try:
        card = read_card(file or home)
    except ConfigError as error:
        refused = f"its score card cannot be read: {plain_line(str(error).removeprefix(f'{file}: '))}"
        entry = Entry(entry_id, plain_line(home.name), team, refused=refused, pictures=frozenset(pictures))
        return entry, pictures
    bundle = _bundle_card(home)
    entry = entry_of(
        card,
        contest,
        entry_id,
        team,
        plain_line(card.model, 60),
        bundle=bundle,
        form=str(bundle.get("form", "native")),  # a native card does not say
        verified=verified,
        certificate=_certificate(home) if verified else None,
        pictures=pictures,
    )
    report = next((one for one in (_content(home, name) for name in REPORTS) if one), None) if verified else None
    return entry, pictures if report is None else pictures | {REPORT: report}


def _certificate(home: Path) -> Certificate | None:
    """What came of training the recipe anew; None where there is nothing that can be read."""
    try:
        return None if _content(home, CERTIFICATE) is None else read_certificate(home / CERTIFICATE)
    except ConfigError:
        return None


def _bundle_card(home: Path) -> dict[str, Any]:
    """The bundle's own card as plain data; empty where there is none that can be read."""
    found = (_json(home, name) for name in BUNDLE_CARDS)
    return next((raw for raw in found if raw and "score_set" not in raw), {})


def _json(home: Path, name: str) -> dict[str, Any]:
    """A file as plain data; empty where it is no mapping in JSON."""
    content = _content(home, name)
    try:
        raw = parse_json(content) if content else None
    except ValueError:
        return {}
    return raw if isinstance(raw, dict) else {}


def _picture(content: bytes | None) -> bytes | None:
    """A PNG drawn anew, so that nothing but its pixels is published; None if it is no picture of sensible size."""
    try:
        with Image.open(io.BytesIO(content or b""), formats=["PNG"]) as image:
            if max(image.size) > WIDEST:
                return None
            buffer = io.BytesIO()
            image.convert("L" if image.mode in ("1", "L") else "RGB").save(buffer, "PNG", optimize=True)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None
    return buffer.getvalue()


def build_site(
    entries: Sequence[Entry],
    files: Mapping[str, Files],
    contest: Contest,
    out: Path,
    commitment: Commitment | None = None,
) -> Board:
    """Rank the entries and write the site: board, entries, comparison, CSV and JSON.

    Args:
        entries: of `read_folder`.
        files: of the entries, by id.
        contest: the rules.
        out: the folder to write.
        commitment: to the contest's key; None where it has none.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """
    board = make_board(entries, contest, commitment=commitment)
    begun = out.is_dir() and any(not is_partial(path.name) for path in out.iterdir())
    if begun and not (out / BOARD).is_file():
        raise OutputError(f"{out} holds something else than a board; choose an empty folder")
    make_folder(out)
    write_json(out / BOARD, board.model_dump(mode="json"))  # first: by it a build that was killed is begun anew
    make_folder(out / ENTRIES)
    written = set()
    for name, content in _files(board, {one.id: one for one in entries}, files):
        write_atomically(out / name, content)
        written.add(out / name)
    for path in sorted((out / ENTRIES).iterdir()):  # last, so that no page is missing meanwhile
        if path not in written:  # of entries that are gone
            path.unlink()
    return board


def _files(board: Board, entries: dict[str, Entry], files: Mapping[str, Files]) -> Iterator[tuple[str, bytes]]:
    """The files of a site beside `board.json`, by name, those of the entries before the pages that lead to them."""
    made, shared = templates(), {"board": board, "version": __version__}
    at = Addresses.known("entries/{id}.html", "entries/{id}.{name}", entries.values())
    below, template = replace(at, page="{id}.html", file="{id}.{name}"), made.get_template("entry.html")
    for name in ("arena.css", "board.js"):
        yield name, (STATIC / name).read_bytes()
    for line in board.listed:
        actions = [Link("Compare with others", f"../compare.html#{line.id}")]
        if REPORT in files[line.id]:
            actions.append(Link("Full report", f"{line.id}.{REPORT}"))
        for name, content in files[line.id].items():
            yield f"{ENTRIES}/{line.id}.{name}", content
        home = Link(board.title, f"../index.html#{line.id}")
        shown = facts_of_page(entries[line.id], below, board, line, home, actions)
        yield f"{ENTRIES}/{line.id}.html", template.render(shared | shown, root="../", here="").encode()
    top = {"root": "", "at": at, "found": None, "closes": "", "spark": None, "ranked": len(board.lines)}
    for page in ("index", "compare", "embed"):
        text = made.get_template(f"site_{page}.html").render(shared | top, here=f"{page}.html")
        yield f"{page}.html", text.encode()
    yield "board.csv", board_csv(board).encode()
