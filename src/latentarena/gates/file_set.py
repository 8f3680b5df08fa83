"""What an archive or a folder may hold: the files of a bundle, or of a submission of the 2025 form."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from latentarena.errors import GateError
from latentarena.gates.kinds import RUN, of_a_run, out_of_place, wrong_kind

Files = dict[str, bytes]
NAMES = ("card.json", "weights.safetensors", "encode.onnx", "decode.onnx", "generate.onnx")
HINT = "a bundle holds card.json with weights.safetensors, or with encode.onnx, decode.onnx and generate.onnx"
CODE = (".py", ".ipynb")
WEIGHTS = ".safetensors"
PYTHON_HINT = "a submission of the 2025 form holds one .py or .ipynb file and its weights as .safetensors"
MOST_BYTES = 64 << 20  # of the archive, and of all files together
MOST_ENTRIES = 64


@dataclass(frozen=True)
class FileSet:
    """What an archive or folder may hold.

    Attributes:
        named: pattern of the names.
        folded: whether a name that differs from such a one in case only is meant for it; else cases differ.
        complete: the files in their order, once they are all there; raises a GateError with the archive's name.
        thing: what it is called; hint: what the form is, in words.
    """

    named: re.Pattern[str]
    folded: bool
    complete: Callable[[Files, str], Files]
    thing: str
    hint: str

    @property
    def programs(self) -> bool:
        """Whether a program has a place in it."""
        return self.named.fullmatch("a.py") is not None


def known_name(name: str, what: str, taken: Collection[str], kind: str, allowed: FileSet) -> str:
    """The name of a file of the set, or none; what only looks like one, or comes twice, is refused."""
    alike = unicodedata.normalize("NFKC", name)
    alike = alike.casefold() if allowed.folded else alike
    if not allowed.named.fullmatch(alike):
        return ""
    if alike.casefold() in {one.casefold() for one in taken}:
        raise GateError(
            f"{kind}-duplicate", f"{what}: {ascii(name)[:100]} and {alike} are one name; keep one of the two"
        )
    if alike != name:
        raise GateError(f"{kind}-name", f"{what}: {ascii(name)[:100]} is no part of a bundle; name it {alike}")
    return name


def read_plain(path: Path, most: int, follow: bool, hint: str = HINT) -> bytes:
    """The content of a plain file of at most so many bytes; a link is opened only where it may be followed."""
    cautious = getattr(os, "O_NONBLOCK", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | cautious)) as opened:
            state = os.fstat(opened.fileno())
            if not stat.S_ISREG(state.st_mode) or (state.st_nlink > 1 and not follow):
                fault = "is no plain file, or one with several names"
                raise GateError("special-file", f"{path} {fault}; put a copy of it")
            size = state.st_size
            content = opened.read(size + 1) if size <= most else b""
    except OSError as error:
        if path.is_symlink() and not follow:
            raise GateError("special-file", f"{path} is a link; put the file itself") from None
        raise GateError("unreadable", f"cannot read {path}: {error.strerror}; {hint}") from None
    if size > most or len(content) > size:  # the latter where it grows as it is read
        raise too_large(str(path), max(size, len(content)), most)
    return content


def no_part(reason: str, what: str, name: str, allowed: FileSet, among: Iterable[str] = ()) -> GateError:
    """Why a file or folder cannot be where it is: its place, its kind or its name.

    Args:
        reason: slug, where its kind gives none.
        what: it lies in; name: its path in there.
        allowed: what should be there.
        among: all paths in there: any of them may tell that this is a run, whichever comes first.
    """
    last, shown = name.removesuffix("/").rpartition("/")[2], f"{what}: {ascii(name)[:100]}"
    kind, fault = out_of_place(last) or (reason, "")
    mark = of_a_run(among) if kind in (reason, "run", "misnamed") else None
    if mark is not None:
        return GateError("run", f"{what}: {ascii(mark)[:100]} is {RUN}")
    if allowed.named.fullmatch(last):
        return GateError(reason, f"{shown} lies too deep; pack the folder that holds it itself")
    if allowed.named.fullmatch(f"a{PurePath(last).suffix}"):  # a kind of file that the set has under any plain name
        return GateError(reason, f"{shown} is no name that is taken; name it in letters, digits and _, 100 at most")
    if not fault or (kind == "code" and allowed.programs):
        fault = f"no part of {allowed.thing}; {allowed.hint}; take it away"
    return GateError(kind, f"{shown} is {fault}")


def named_alone(path: Path, allowed: FileSet) -> GateError | None:
    """Why a file that was named where a folder or zip file is wanted is none, by its name; None where it may be one."""
    wrong = wrong_kind(path.name)
    if wrong and allowed.named.fullmatch(path.name) and wrong[0] == "misnamed":
        return GateError(wrong[0], f"{path} is one file of {allowed.thing}; name the folder that holds it")
    return GateError(wrong[0], f"{path} is {wrong[1]}") if wrong else None


def too_large(what: str, size: int, most: int) -> GateError:
    return GateError("too-large", f"{what} has {size:,} bytes, but at most {most:,} are read; make the model smaller")


def _complete(files: Files, what: str) -> Files:
    """The files in the order of NAMES, once they are those of one form."""
    card, weights, *graphs = NAMES
    native = weights in files
    wanted = [card, weights] if native else [card, *graphs]
    missing = [name for name in wanted if name not in files]
    if missing or len(files) != len(wanted):
        lacks = f"lacks {' and '.join(missing)}" if files else "is empty"
        fault = lacks if missing else "holds both forms of a bundle"
        raise GateError("incomplete" if missing else "mixed", f"{what} {fault}; {HINT}")
    return {name: files[name] for name in wanted}


def _complete_submission(files: Files, what: str) -> Files:
    """The files, code first, once just one of them is code."""
    code = sorted(name for name in files if name.endswith(CODE))
    if len(code) != 1:
        fault = f"holds {' and '.join(code)}" if code else "holds no code" if files else "is empty"
        raise GateError("mixed" if code else "incomplete", f"{what} {fault}; {PYTHON_HINT}")
    return {name: files[name] for name in [*code, *sorted(set(files) - set(code))]}


BUNDLE = FileSet(re.compile("|".join(map(re.escape, NAMES))), True, _complete, "a bundle", HINT)
SUBMISSION = FileSet(
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .()+=-]{0,99}\.(py|ipynb|safetensors)"),
    False,
    _complete_submission,
    "a submission",
    PYTHON_HINT,
)
