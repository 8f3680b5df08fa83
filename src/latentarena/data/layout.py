"""How a folder of images is to be read: which folders are splits, which are classes. Pure: paths in, a layout out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from latentarena.errors import DataError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLIT = re.compile(r"(train(?:ing)?|val(?:id|idation)?|test(?:ing)?)(?:[-_ ]?(?:set|data|images|imgs|split))?")
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")  # of a name such as `trainA`
NUMBERS = re.compile(r"[\d ]+")
NUMBERED = re.compile(r"([^\W\d_][^\d.]*?)[ ._-]?\d+(?:\.[A-Za-z]+)?")  # such as `cat.0.jpg`
PICTURES = re.compile(r"(?:jpeg|input|rgb)?[-_ ]?(?:images?|imgs?|inputs?|photos?|pictures?)")
BELONGINGS = re.compile(
    r".*(?:mask|label|annotation|annot|segmentation|segmentationclass|groundtruth|ground_truth|target|caption)s?|gts?|seg"
)
SHOWN = 5  # names in a sentence

Paths = list[tuple[str, ...]]  # their parts


@dataclass(frozen=True)
class Layout:
    """The reading of each path, in the order given.

    Attributes:
        words: what was found, in a sentence.
        splits: `train`, `validation` or `test`; empty where no folder says so.
        labels: the class; empty for images outside class folders.
    """

    words: str
    splits: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def test(self) -> str:
        """The split that models are judged on: `test`, else `validation`; nothing where one has to be chosen."""
        return next((split for split in (TEST, VALIDATION) if split in self.splits), "")


def layout_of(
    paths: Sequence[PurePosixPath], classes: Mapping[PurePosixPath, str] | None = None, table: str = ""
) -> Layout:
    """Read `[WRAPPER/...][train|val|test/]CLASS/image.png`, or images without classes.

    Args:
        paths: of images only, at least one, relative to the root.
        classes: of each image, where a table of this name gives them instead of folders.

    Raises:
        DataError: the folders can be read in two ways, both of which are named, or a class has no train images; the
            message lacks the source's name.
    """
    if classes is not None:
        layout = layout_of(paths)
        labels = tuple(classes[path] for path in paths)
        _refuse_same_looking(labels)
        if any(layout.splits):
            _refuse_untaught(layout.splits, labels)
        return Layout(f"{layout.words}; {len(set(labels))} classes from {table}", layout.splits, labels)
    wrapper, inner = _unwrapped([path.parts for path in paths])
    tops = _folders(inner)
    roles = {top: role for top in tops if (role := _role(top))}
    _refuse_loose(inner, tops, "the splits" if len(roles) == len(tops) else "the class folders")
    if roles and len(roles) < len(tops):
        named, others = _listed(list(roles)), _listed([top for top in tops if top not in roles])
        raise DataError(
            f"{named} beside {others} can be read in two ways: as a class like the others, or as a split whose classes "
            f"are inside it; rename {named}, or put {others} into a folder train"
        )
    if not roles:
        words, labels = _classes(inner)
        _refuse_same_looking(labels)
        _refuse_hints(tops)
        return Layout(f"{words}{_inside(wrapper)}", tuple("" for _ in inner), labels)
    splits, labels, words = _split_layout(inner, roles)
    return Layout(f"{words}{_inside(wrapper)}", splits, labels)


def _inside(wrapper: PurePosixPath) -> str:
    return f", inside {wrapper}/" if wrapper.parts else ""


def _role(name: str) -> str:
    """The split that a folder's name stands for, or nothing."""
    found = SPLIT.fullmatch(name.casefold())
    return {"tr": TRAIN, "va": VALIDATION, "te": TEST}[found[1][:2]] if found else ""


def _refuse_hints(tops: list[str]) -> None:
    """Refuse folders that are called like splits of a name, as `mnist_train` and `mnist_test`, or like `val1`."""
    hints: dict[str, set[str]] = {}
    for top in tops:
        words = WORDS.findall(top)
        roles = {role for word in words if (role := _role(word))}
        if len(roles) == 1:
            rest = " ".join(word for word in words if not _role(word))
            hints.setdefault(rest, set()).update(roles)
    if any(len(roles) > 1 or NUMBERS.fullmatch(rest) for rest, roles in hints.items()):
        named = _listed([top for top in tops if any(map(_role, WORDS.findall(top)))])
        raise DataError(
            f"{named} can be read in two ways: as classes, or as splits; call the splits {TRAIN} and {TEST} and name "
            "the folder around them, or rename the classes"
        )


def _unwrapped(paths: Paths) -> tuple[PurePosixPath, Paths]:
    """Without the folders, one inside the other, that hold all class folders, as in `photos.zip` of `photos/cat/`."""
    wrapper = PurePosixPath()
    while not _role(paths[0][0]) and _wrapped(paths):
        wrapper, paths = wrapper / paths[0][0], _inner(paths)
    return wrapper, paths


def _wrapped(paths: Paths) -> bool:
    return all(path[0] == paths[0][0] and len(path) > 2 for path in paths)


def _inner(paths: Paths) -> Paths:
    return [path[1:] for path in paths]


def _folders(paths: Paths) -> list[str]:
    return sorted({path[0] for path in paths if len(path) > 1})


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _refuse_loose(paths: Paths, tops: list[str], what: str) -> None:
    loose = [path[0] for path in paths if len(path) == 1]
    if loose and tops:
        raise DataError(
            f"{len(loose)} of {len(paths)} images ({_listed(loose)}) lie beside {what} {_listed(tops)}, which can be "
            "read in two ways: as no part of the dataset, or as a class of their own; take them away, or put them "
            "into a class folder"
        )


def _begun_alike(paths: Paths) -> list[str]:
    """What files that are numbered by kind, such as `cat.0.jpg` and `dog.0.jpg`, begin with; empty for other names."""
    begun = [NUMBERED.fullmatch(path[-1]) for path in paths]
    kinds = [one[1] for one in begun if one is not None]
    alike = len(kinds) == len(paths) and 1 < len(set(kinds)) <= len(kinds) / 2
    return sorted(set(kinds)) if alike else []


def _classes(paths: Paths) -> tuple[str, tuple[str, ...]]:
    """What the class folders are, in words, and the label of each path."""
    tops = _folders(paths)
    if not tops:
        kinds = _begun_alike(paths)
        hint = f"; names begin with {_listed(kinds)}: for classes, move each kind into a folder of that name"
        return f"images without classes{hint if kinds else ''}", tuple("" for _ in paths)
    _refuse_loose(paths, tops, "the class folders")
    _refuse_inner(paths, tops)
    _refuse_belongings(tops)
    deep = any(len(path) > 2 for path in paths)
    words = f"{len(tops)} class folder{'s' if len(tops) > 1 else ''}"
    return words + (" (folders inside them are passed over)" if deep else ""), tuple(path[0] for path in paths)


def _refuse_belongings(tops: Sequence[str]) -> None:
    """Refuse a folder of images beside one of what belongs to each of them, as `images` and `masks`."""
    pictures = [top for top in tops if PICTURES.fullmatch(top.casefold())]
    belongings = [top for top in tops if BELONGINGS.fullmatch(top.casefold())]
    if pictures and belongings:
        raise DataError(
            f"{_listed(tops)} can be read in two ways: as classes, or as images and what belongs to each of them "
            f"({_listed(belongings)}), which is not read; name the folder {pictures[0]} itself, or rename the classes"
        )


def _refuse_inner(paths: Paths, tops: list[str]) -> None:
    """Refuse folders inside class folders that may be the splits or the classes themselves."""
    inner: dict[str, set[str]] = {top: set() for top in tops}
    for path in paths:
        if len(path) > 2:
            inner[path[0]].add(path[1])
    for top, names in inner.items():
        splits = sorted(name for name in names if _role(name))
        if splits:
            raise DataError(
                f"{top} holds {_listed(splits)}, which can be read in two ways: {_listed(tops)} as classes, or "
                f"{_listed(splits)} as splits; name the folder that holds the splits, each with its class folders"
            )
    bare = {path[0] for path in paths if len(path) == 2}
    if len(tops) == 1 and bare and inner[tops[0]]:
        loose = [path[-1] for path in paths if len(path) == 2]
        folders = _listed(sorted(inner[tops[0]]))
        raise DataError(
            f"{tops[0]} holds folders ({folders}) and {len(loose)} images beside them ({_listed(loose)}), which can be "
            f"read in two ways: {tops[0]} as the only class, or {folders} as the classes; take the images beside them "
            "away, or put them into a class folder"
        )
    for top, names in inner.items():
        if len(tops) > 1 and len(names) > 1 and top not in bare:
            folders = _listed(sorted(names))
            raise DataError(
                f"{top} holds images in {folders} alone, which can be read in two ways: {_listed(tops)} as the "
                f"classes, or {folders}; put the images of a class into its own folder, and none around some classes"
            )


def _split_layout(paths: Paths, roles: dict[str, str]) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Split and label of each path, and what the splits are in words."""
    folders = {role: [top for top in roles if roles[top] == role] for role in (TRAIN, VALIDATION, TEST)}
    for role, names in folders.items():
        if len(names) > 1:
            raise DataError(f"{_listed(names)} are all the {role} split by their names; put them into one folder")
    splits = tuple(roles[path[0]] for path in paths)
    index = {role: [i for i, split in enumerate(splits) if split == role] for role, names in folders.items() if names}
    inner = {role: _inner([paths[i] for i in places]) for role, places in index.items()}
    while all(_wrapped(part) for part in inner.values()):  # as in `test_set/test_set/cat/`
        inner = {role: _inner(part) for role, part in inner.items()}
    labels = [""] * len(paths)
    words = []
    for role, part in inner.items():
        said, found = _classes(part)
        words.append(f"{folders[role][0]}/ of {said}")
        for i, label in zip(index[role], found, strict=True):
            labels[i] = label
    _refuse_same_looking(labels)
    _refuse_untaught(splits, labels)
    return splits, tuple(labels), "; ".join(words)


def _refuse_same_looking(labels: Sequence[str]) -> None:
    """Refuse classes whose names differ in what nobody sees: spaces around or between words, and invisible letters."""
    seen: dict[str, str] = {}
    for label in sorted(set(labels)):
        visible = "".join(letter for letter in label if unicodedata.category(letter) != "Cf")
        other = seen.setdefault(" ".join(visible.split()), label)
        if other != label:
            raise DataError(
                f"{other!a} and {label!a} differ in spaces or invisible characters alone and can be read in two ways: "
                "as one class or as two; give them one name, or names that differ"
            )


def _refuse_untaught(splits: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse classes that a split is judged on and the train split lacks."""
    learnt = {label for split, label in zip(splits, labels, strict=True) if split == TRAIN}
    if not learnt:
        raise DataError("there is no train split beside the others; name its folder train, or take the others out")
    classes = _listed(sorted(learnt)) or "no class"
    for role in (TEST, VALIDATION):
        new = sorted({label for split, label in zip(splits, labels, strict=True) if split == role} - learnt)
        if new and new != [""]:
            raise DataError(
                f"{_listed(new)} has images in the {role} split and none in the train split: a class is learnt from "
                f"train images, which are of {classes}; add some, or take it out of the {role} split"
            )
        if new:
            raise DataError(
                f"the {role} split has images outside class folders, the train split has the classes {classes}; "
                "sort them into class folders, or take that split away: then one train image in ten is held out instead"
            )
