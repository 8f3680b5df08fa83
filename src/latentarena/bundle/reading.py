"""Reading the files of a bundle of one's own, whatever its form; each fault is one line that names the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentarena.errors import BundleError, GateError, OutputError
from latentarena.files import misspelt
from latentarena.gates import Files, bundle_in, check_card, open_archive
from latentarena.gates.card import LARGEST_CARD, is_portable
from latentarena.gates.file_set import NAMES

CARD = "card.json"
NATIVE = f"a bundle is a folder of {CARD} and weights.safetensors, or a zip file of them"


def read_files(path: Path) -> Files:
    """The files of a bundle by name: of a zip file once the gate has let it through, of a folder as they are.

    A run's folder stands for the bundle in it.

    Raises:
        BundleError: they cannot be read, there is no card, or it is too large.
    """
    if path.is_file():
        return open_archive(path)
    if not path.exists():
        raise _unreadable(path / CARD, "No such file or directory", f"{misspelt(path)}{NATIVE}")
    files, path = {}, bundle_in(path)
    for name in NAMES:
        try:
            if name == CARD and (path / name).stat().st_size > LARGEST_CARD:
                raise BundleError(f"{path / name} is larger than {LARGEST_CARD} bytes")
            files[name] = (path / name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unreadable(path / name, error.strerror or "", NATIVE) from None
    part(files, CARD, path, f"{NATIVE}, or of {CARD} and ONNX files")
    return files


def part(files: Files, name: str, where: Path, hint: str) -> bytes:
    """The content of one of the files.

    Raises:
        BundleError: there is none, with `hint` as what a bundle is.
    """
    if name not in files:
        raise _unreadable(where / name, "No such file or directory", hint)
    return files[name]


def read_card(files: Files, where: Path) -> Any:
    """The card as plain data.

    Raises:
        GateError: it is not strict JSON: see `check_card`.
    """
    return check_card(files[CARD], str(where / CARD))


def refuse_bundle(folder: Path, but: tuple[str, str] | None = None) -> None:
    """Raise an OutputError where a folder that is to be written to holds a bundle, so that no model is lost.

    Args:
        folder: it need not be there.
        but: form and name of the bundle that may lie there, an earlier state of the same model.
    """
    try:
        raw = check_card((folder / CARD).read_bytes())
        held = ("portable" if is_portable(raw) else "native", str(raw["name"]))
    except FileNotFoundError:
        return
    except (GateError, OSError, KeyError, TypeError):
        held = ("unreadable", CARD)
    if held != but:
        form, name = held
        raise OutputError(f"cannot write {folder}: it holds the {form} bundle {name!r}; choose another folder")


def _unreadable(path: Path, reason: str, hint: str) -> BundleError:
    return BundleError(f"cannot read {path}: {reason}; {hint}")
