"""The door: one function opens every bundle, and its caller says how far the bundle is trusted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import latentarena
from boxes import BOXED
from latentarena.bundle import OWN, Trust, boxed, native_of, open_bundle
from latentarena.errors import GateError, SandboxError

HOME = Path(latentarena.__file__).parent
INSIDE = ("bundle", "legacy")  # packages that hold forms of bundles
READERS = re.compile(r"\bread_(native|portable|boxed)\b|\bopen_submission\b")


def test_nobody_else_opens_a_bundle() -> None:
    sources = {str(path.relative_to(HOME)): path.read_text() for path in HOME.rglob("*.py")}
    outside = {name: source for name, source in sources.items() if name.split("/")[0] not in INSIDE}
    assert [name for name, source in outside.items() if READERS.search(source)] == []
    calls = [call for source in outside.values() for call in re.findall(r"\bopen_bundle\([^=]*=\w+", source)]
    assert len(calls) > 8
    assert all(re.search(r"trust=(OWN|BOXED)$", call) for call in calls)


def test_a_bundle_of_one_s_own_needs_no_box(
    portable_folder: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_box(*_: object, **__: object) -> None:
        raise AssertionError("a box was started")

    monkeypatch.setattr(boxed, "Box", no_box)
    for folder in (portable_folder, tiny_run / "bundle"):
        assert (
            open_bundle(folder, trust=OWN).card.latent
            == native_of(open_bundle(tiny_run / "bundle", trust=OWN)).card.latent
        )
    with pytest.raises(AssertionError, match="a box was started"):
        open_bundle(portable_folder, trust=Trust.BOXED)


@BOXED
def test_boxes_end_with_the_bundle(portable_folder: Path) -> None:
    with open_bundle(portable_folder, trust=Trust.BOXED) as bundle:
        images = torch.zeros(1, *bundle.card.shape)
        assert bundle.model.encode(images).shape == (1, *bundle.card.latent)
    with pytest.raises(SandboxError):
        bundle.model.encode(images)


@pytest.mark.parametrize(("form", "accepted"), [("portable", ("native",)), ("native", ("portable",))])
def test_a_form_that_is_not_accepted_is_refused_by_name(
    form: str, accepted: tuple[str, ...], portable_folder: Path, tiny_run: Path
) -> None:
    folder = {"portable": portable_folder, "native": tiny_run / "bundle"}[form]
    with pytest.raises(GateError, match=f"is of the form {form}; accepted here: {accepted[0]}") as refusal:
        open_bundle(folder, trust=Trust.BOXED, forms=accepted)
    assert refusal.value.reason == "form"
