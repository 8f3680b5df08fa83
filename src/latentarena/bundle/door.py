"""The door: every bundle, of whatever form, is opened by `open_bundle`, and the caller says how far it is trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from latentarena.bundle.base import AnyBundle
from latentarena.bundle.boxed import read_boxed
from latentarena.bundle.native import read_native
from latentarena.bundle.portable import read_portable
from latentarena.bundle.reading import CARD, read_card, read_files
from latentarena.errors import GateError
from latentarena.files import misspelt
from latentarena.gates import open_files
from latentarena.gates.card import is_portable
from latentarena.sandbox import standing
from latentarena.zoo import located

DATA_ONLY = ("native", "portable")  # the forms that hold no code
BROUGHT = ("latentarena.legacy",)  # packages with a form of their own in their module `form`; each may be missing


class Trust(Enum):
    """Trust in a bundle: one's own, or a stranger's to be boxed."""

    OWN = "of one's own: read as it is, its graphs run in this process"
    BOXED = "a stranger's: its files pass the gates, its graphs and programs run in boxes"


OWN, BOXED = Trust.OWN, Trust.BOXED


@dataclass(frozen=True)
class Form:
    """A form of bundle that another package brings; it is never trusted.

    Attributes:
        name: as contests name it.
        recognises: whether what lies at a path is of this form.
        open: its bundle, given the path, the dataset that it is scored on, and whether a looser sandbox will do.
    """

    name: str
    recognises: Callable[[Path], bool]
    open: Callable[[Path, str, bool], AnyBundle]


@cache
def brought() -> tuple[Form, ...]:
    """The forms of other packages, as far as these are installed."""
    return tuple(import_module(f"{package}.form").FORM for package in BROUGHT if find_spec(package))


def open_bundle(
    path: Path,
    *,
    trust: Trust,
    forms: Sequence[str] | None = None,
    dataset: str | None = None,
    loose: bool = False,
    tell: Callable[[str, str], None] = lambda step, text: None,
) -> AnyBundle:
    """Open a bundle; a stranger's has to be closed, as by `with`, in the thread that opened it.

    Args:
        path: its folder or zip file, or `zoo:NAME`.
        trust: what is done before and while it is used; see `Trust`.
        forms: those accepted of a stranger; all unless given.
        dataset: that a program is scored on, which cannot say so itself; mnist unless given.
        loose: whether programs may run in a looser sandbox too.
        tell: hears of each step of opening a stranger's, and what came of it.

    Raises:
        GateError: a gate refuses it, inside a box or outside, or it is of a form that is not accepted.
        SandboxError: there is no sandbox for it here, or it breaks its limits in one.
        BundleError: naming the file and what is wrong with it.
        ConfigError: the zoo has no such model.
    """
    path = located(path)
    if trust is OWN:
        files = read_files(path)
        return read_portable(files, path) if is_portable(read_card(files, path)) else read_native(files, path)
    if not path.exists():
        raise GateError(
            "unreadable",
            f"{path} is not there; {misspelt(path)}give a bundle's folder or zip file, or a submission's .py",
        )
    for one in brought():
        if one.recognises(path):
            _refuse_form(path, one.name, forms)
            program = one.open(path, dataset or "mnist", loose)
            tell("python", f"loaded in boxes of tier {standing().tier}")
            return program
    files = open_files(path)
    tell("files", f"{len(files)}, {sum(map(len, files.values())):,} bytes")
    form = "portable" if is_portable(read_card(files, path)) else "native"
    tell("card", f"{form}, {len(files[CARD]):,} bytes")
    _refuse_form(path, form, forms)
    if form == "portable":
        tell("sandbox", f"tier {standing().tier}")
    bundle: AnyBundle = read_boxed(files, path) if form == "portable" else read_native(files, path, False)
    tell("graphs" if form == "portable" else "tensors", f"{sum(bundle.card.parameters.values()):,} stored numbers")
    return bundle


def _refuse_form(path: Path, form: str, forms: Sequence[str] | None) -> None:
    if forms is not None and form not in forms:
        raise GateError("form", f"{path.name} is of the form {form}; accepted here: {', '.join(forms)}")
