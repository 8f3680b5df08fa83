"""A submission of the 2025 form made portable: traced inside a box, gated like a stranger's bundle, written here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from latentarena.bundle.boxed import read_boxed
from latentarena.bundle.export import refuse_strangers
from latentarena.bundle.portable import GRAPHS, PortableCard
from latentarena.bundle.reading import CARD
from latentarena.bundle.trial import compare
from latentarena.errors import BundleError
from latentarena.files import make_folder, write_atomically
from latentarena.gates import Files
from latentarena.gates.file_set import MOST_BYTES
from latentarena.legacy.form import LEAST, LIMITS, PROGRAM, LegacyBundle, submission_in_boxes
from latentarena.randomness import stream
from latentarena.sandbox import Box, SandboxError
from latentarena.sandbox.answers import Expected, Numbers

PORTABLE = (*(f"{graph}.onnx" for graph in GRAPHS), CARD)
TRACED = Expected({}, {name: Numbers("uint8", name, (), 0, 255) for name in PORTABLE})
SECONDS = 1500.0  # for unrolling all steps of a sampler
ROWS = 5


def import_legacy(path: Path, folder: Path, dataset: str = "mnist") -> PortableCard:
    """Write the portable form of a submission; its code runs in boxes only.

    Args:
        path: a zip or folder of its code and weights, or the file of code with the weights beside it.
        folder: is made.
        dataset: that it was trained on.

    Raises:
        BundleError: there is no sandbox for it here, it cannot be traced, or what was traced gives other numbers.
        GateError: a gate refuses its files, or what was traced.
        OutputError: the folder cannot be written to, or holds something else.
    """
    with submission_in_boxes(path, dataset) as bundle:
        refuse_strangers(folder, bundle.card.name)
        files = _traced(bundle)
        with read_boxed(files, folder) as made:
            _refuse_other_shapes(made.card, bundle)
            images = torch.rand(ROWS, *bundle.card.shape, generator=stream("import", "images"))
            latents = bundle.model.encode(images)
            compare(made.card, "encode", made.model.encode(images), latents, "once it is traced")
            compare(made.card, "decode", made.model.decode(latents), bundle.model.decode(latents), "once it is traced")
    make_folder(folder)
    for name in PORTABLE:  # names of our own; the card last, so that it never speaks of files not there
        write_atomically(folder / name, files[name])
    return made.card


def _traced(bundle: LegacyBundle) -> Files:
    """The files of the portable bundle, as the box has made them: a stranger's."""
    threads = torch.get_num_threads()
    limits = replace(
        LIMITS, seconds=SECONDS, output=MOST_BYTES, threads=threads, processes=LIMITS.processes + 2 * threads
    )
    facts = {"threads": threads, "latent": list(bundle.card.latent), "logits": bundle.card.logits}
    facts |= {"dataset": bundle.card.data.name}
    try:
        with Box(PROGRAM, files=bundle.model.files, limits=limits, least=LEAST) as box:
            _, arrays = box.call("trace", TRACED, facts)
    except SandboxError as error:
        text = str(error).removeprefix("submission_2025: ")
        raise SandboxError(error.reason, f"{bundle.card.name} cannot be imported: {text}", error.log) from None
    return {name: arrays[name].tobytes() for name in PORTABLE}


def _refuse_other_shapes(made: PortableCard, bundle: LegacyBundle) -> None:
    """Raise where the traced bundle is of other images or latents than the submission."""
    found, wanted = (made.shape, made.latent), (bundle.card.shape, bundle.card.latent)
    if found != wanted:
        raise BundleError(f"what was traced has images and latents {found}, the submission has {wanted}")
