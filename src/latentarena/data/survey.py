"""What a folder or zip of images holds and how it will be read: every file is accounted for before any is decoded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import TypeVar

from natsort import natsorted

from latentarena.data.arrays import is_idx
from latentarena.data.held_out import HELD_OUT, held_out
from latentarena.data.layout import TEST, TRAIN, VALIDATION, Layout, layout_of
from latentarena.data.listing import LOST, File, LeftOut, Listing
from latentarena.data.pasted import INERT
from latentarena.data.picture import DIM, LARGEST_SIDE, SUFFIXES_SHOWN, Fit, PictureFacts, Scale, examine
from latentarena.errors import DataError

MODEST = 64  # pixels: the largest size that is suggested
HELD = 1 << 28  # bytes of pictures that are not decoded twice
NOT_AN_IMAGE = "not an image"
NO_LABELS = f"{NOT_AN_IMAGE}: labels are read only from a folder for each class, or from a .csv of names and labels"
TEXTS = (".txt", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".names", ".xlsx", ".xls", ".ods")
LABELS = re.compile(r".*(?:label|class|annotation|caption|name|metadata)\w*")
PACKED = (".npz", ".csv", ".tsv", ".parquet", ".zip")
SPELLED = 3  # names in a sentence
T = TypeVar("T")


@dataclass(frozen=True)
class Survey:
    """What is known before decoding.

    Attributes:
        images: the files that are images, `facts` of each.
        layout: how their folders are read; None where that is refused.
        scale: how deep values become eight bits.
        left_out: every other file, and folders without images, with the reason.
        notes: what was done to the images, in sentences.
        faults: why no dataset can be made of it, the gravest first; none if it can.
    """

    images: tuple[File, ...]
    facts: tuple[PictureFacts, ...]
    layout: Layout | None
    scale: Scale
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    faults: tuple[str, ...]


def survey_of(source: Path, listing: Listing, fit: Fit) -> Survey:
    """Look into every file's header and find the layout; nothing is raised for what is found.

    Args:
        source: for the messages.
        listing: of all files.
        fit: how images are to be brought to one size.
    """
    images, facts, left, broken = _sorted(listing, fit)
    faults: list[str] = [broken_line(broken)] if broken else []
    for reason, way in LOST.items():
        if lost := [one.path for one in listing.left_out if one.reason == reason]:
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            faults.append(f"{lost[0]} is {reason}{more}, which may stand for images or a whole class; {way}")
    paths = [file.path for file in images]
    if not images and not broken:
        others = [PurePosixPath(one.path) for one in left if one.reason.startswith(NOT_AN_IMAGE)]
        held = f"; it holds {_counted(Counter(path.suffix for path in others))}" if others else ""
        held += "" if source.is_dir() else _way_out(source, others)
        faults.append(f"holds no images ({SUFFIXES_SHOWN} or others that Pillow reads){held}")
    layout = _tried(lambda: layout_of(paths, listing.classes, listing.table), faults) if images else None
    scale = _tried(lambda: _scale(images, facts), faults) or Scale()
    if images:
        faults += _size_faults(images, facts, fit)
    left += listing.without_images([*paths, *broken])
    if layout is not None and layout.test == TEST and VALIDATION in layout.splits:
        unused = f"the {VALIDATION} split's {layout.splits.count(VALIDATION)} images"
        left.append(LeftOut(unused, "not used, for there is a test split"))
    notes = _notes(facts, fit, scale, layout)
    lines = tuple(f"folder:{source}{'' if line.startswith('holds') else ':'} {line}" for line in faults)
    return Survey(tuple(images), tuple(facts), layout, scale, (*listing.left_out, *left), notes, lines)


def _sorted(
    listing: Listing, fit: Fit
) -> tuple[list[File], list[PictureFacts], list[LeftOut], dict[PurePosixPath, str]]:
    """The images and their facts, what is none, and what should be one and cannot be read, with the reason."""
    images, facts, others, broken, held = [], [], [], {}, 0
    for file in listing.files:
        try:
            found = examine(file.read(), file.path, fit)
        except DataError as error:
            broken[file.path] = str(error)
            continue
        if found is None:
            others.append(file.path)
        else:
            held += found.bytes
            images.append(file)
            facts.append(found if held <= HELD else replace(found, picture=None))
    stems = {file.path.stem for file in images}
    return images, facts, [LeftOut(str(path), _unread(path, stems)) for path in others], broken


def _unread(path: PurePosixPath, stems: set[str]) -> str:
    """Why a file that is no image is left out: one that may say labels or captions is told with the way out."""
    told = path.suffix.lower() in TEXTS and (path.stem in stems or LABELS.fullmatch(path.stem.casefold()))
    return NO_LABELS if told else NOT_AN_IMAGE


def _way_out(source: Path, held: Sequence[PurePosixPath]) -> str:
    """The command that unpacks a zip of arrays or tables, which are read as files only."""
    first = next((path for path in held if path.suffix.lower() in PACKED or is_idx(Path(path))), None)
    if first is None:
        return ""
    folder = Path(f"{source.stem}-unpacked")
    command = f"unzip {quote(str(source))} -d {quote(str(folder))}"
    inside = first if first.suffix.lower() == ".zip" else first.parent
    named = folder / inside if INERT.fullmatch(str(inside)) else folder
    return f", which are not read inside a zip; unpack it with `{command}` and name folder:{named}"


def broken_line(broken: dict[PurePosixPath, str]) -> str:
    """The sentence on images that cannot be read, by path with the reason."""
    (path, reason), *others = broken.items()
    more = f"; so are {len(others)} more, such as {others[0][0]}" if others else ""
    return f"{path} is not a readable image: {reason}{more}; take {'them' if others else 'it'} away or repair"


def _counted(counts: Counter[str]) -> str:
    most = counts.most_common(SPELLED)
    return ", ".join(f"{n} {suffix or 'without suffix'}" for suffix, n in most) + (", ..." if len(counts) > 3 else "")


def _tried(make: Callable[[], T], faults: list[str]) -> T | None:
    try:
        return make()
    except DataError as error:
        faults.append(str(error))
        return None


def _scale(images: Sequence[File], facts: Sequence[PictureFacts]) -> Scale:
    """One rule for all deep images: by the largest value of all, so that brightness compares between them."""
    integers, floats, colours = (
        [(f, file.path) for f, file in zip(facts, images, strict=True) if f.deep == kind]
        for kind in ("integer", "float", "colour")
    )
    for (low, high), most, deep in ((_range(integers), 65535, integers), (_range(floats), 255, floats)):
        if deep and not (low >= 0 and high <= most):
            worst = next(path for f, path in deep if not (f.low >= 0 and f.high <= most))
            raise DataError(f"{worst} has values of {low:g} to {high:g}; save images with 8 bits, or values of 0 to 1")
    largest, top = _range(integers)[1], _range(floats)[1]
    for high, deep in ((largest, integers), (top, floats)):
        if deep and high < DIM and not (deep is floats and high <= 1):
            raise DataError(
                f"{deep[0][1]} and the others like it have values up to {high:g}, which would be read as nearly black; "
                "save them with 8 bits, values of 0 to 255"
            )
    if colours and _range(colours)[1] < DIM:
        raise DataError(
            f"{colours[0][1]} and the others like it have 16 bits a channel, of which the upper ones are hardly used, "
            "and would be read as nearly black; save them with 8 bits a channel"
        )
    return Scale(int(largest) if integers else 65535, top <= 1)


def _range(deep: Sequence[tuple[PictureFacts, PurePosixPath]]) -> tuple[float, float]:
    """The extreme values; NaN if there is one."""
    if not deep:
        return 0.0, 0.0
    lows, highs = [f.low for f, _ in deep], [f.high for f, _ in deep]
    undefined = next((v for v in (*lows, *highs) if v != v), None)
    return (undefined, undefined) if undefined is not None else (min(lows), max(highs))


def _size_faults(images: Sequence[File], facts: Sequence[PictureFacts], fit: Fit) -> list[str]:
    """Why the images do not have one size, with the way out."""
    modest = max(8, min(MODEST, *(side for f in facts for side in f.size)))
    oblong = [i for i, f in enumerate(facts) if f.size[0] != f.size[1]]
    cut = " data.crop=center (the middle square) or data.resize=stretch (distorted)" if oblong else ""
    if fit.size and oblong and not (fit.crop or fit.resize):
        one = f"{images[oblong[0]].path} is {_by(facts[oblong[0]].size)}"
        return [f"{len(oblong)} of {len(images)} images are no squares ({one}); say how they become one: add{cut}"]
    shapes = [fit.of(f.size) for f in facts]
    other = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is not None:
        pair = f"{images[0].path} is {_by(facts[0].size)} and {images[other].path} is {_by(facts[other].size)}"
        with_cut = f" and{cut}" if oblong and not (fit.crop or fit.resize) else ""
        return [f"mixes sizes: {pair}; give data.size={modest}{with_cut} to resize them all"]
    if max(shapes[0]) > LARGEST_SIDE:
        with_cut = f" and{cut}" if oblong and not (fit.crop or fit.resize) else ""
        return [f"its images are {_by(shapes[0])}, of at most {LARGEST_SIDE} pixels; give data.size={modest}{with_cut}"]
    return []


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _notes(facts: Sequence[PictureFacts], fit: Fit, scale: Scale, layout: Layout | None) -> tuple[str, ...]:
    oblong = sum(f.size[0] != f.size[1] for f in facts)
    deep = Counter(f.deep for f in facts)
    by_crop = "cut to the square in their middle" if fit.crop else "stretched to squares"
    unit = "0 to 1" if scale.unit else "0 to 255"
    integers = "values up to 255 are read as they are"
    if scale.largest > 255:
        high = scale.largest >= 1 << 15
        integers = (
            "their upper 8 are read" if high else f"the largest value of all, {scale.largest:,}, is read as white"
        )
    said = {
        "turned upright as their orientation tag says": sum(f.turned for f in facts),
        "the first frame of several": sum(f.frames for f in facts),
        f"of more than 8 bits; {integers}": deep["integer"],
        f"floating-point numbers, read as {unit}": deep["float"],
        "of 16 bits a channel, of which the upper 8 are read": deep["colour"],
        by_crop: oblong if fit.crop or (fit.size and fit.resize) else 0,
    }
    notes = [f"{n} of {len(facts)} images: {words}" for words, n in said.items() if n]
    if layout is not None and layout.test == VALIDATION:
        notes.append("the validation split is the test split, for there is no other")
    if layout is not None and not layout.test:
        notes.append(f"no test folder: about one image in {HELD_OUT}, chosen by its content, is the test split")
    if layout is not None:
        names = natsorted({label for label in layout.labels if label})
        alike = Counter(name.casefold() for name in names)
        notes += [
            f"classes {', '.join(n for n in names if n.casefold() == k)} differ in case only"
            for k in alike
            if alike[k] > 1
        ]
    return tuple(notes)


def hold_out(layout: Layout, hashes: Sequence[str]) -> tuple[str, ...]:
    """`train`, `test` or nothing (not used) for each image: see `held_out` where no folder is the test split."""
    if layout.test:
        role = {TRAIN: TRAIN, layout.test: TEST}
        return tuple(role.get(split, "") for split in layout.splits)
    return tuple(TEST if test else TRAIN for test in held_out(layout.labels, hashes))
