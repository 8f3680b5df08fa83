"""A contact sheet of the zoo: a row of samples for each model."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from latentarena.bundle import OWN, open_bundle
from latentarena.files import make_folder, write_atomically
from latentarena.pictures import captioned, grid, png, refuse_suffix
from latentarena.use.sampling import chosen_labels, drawn
from latentarena.zoo import PREFIX, zoo_models


def zoo_to_file(path: Path, n: int, seed: int) -> str:
    """Draw n samples of every model of the zoo into a PNG, a row each, and say so in a line.

    Raises:
        ConfigError: another suffix.
        OutputError: the file cannot be written.
    """
    refuse_suffix(path, ".png", option="--picture")
    make_folder(path.parent)
    strips = []
    for name in zoo_models():
        bundle = open_bundle(Path(PREFIX + name), trust=OWN)
        model, how = bundle.model, bundle.card.sampling
        images = drawn(model, model.noise(n, seed), chosen_labels(model, n, None), None, seed)
        strips.append(captioned(grid(images, n), f"{PREFIX}{name}   {how.solver} x {how.steps}"))
    sheet = Image.new("RGB", (max(one.width for one in strips), sum(one.height for one in strips)), "white")
    top = 0
    for one in strips:
        sheet.paste(one, (0, top))
        top += one.height
    write_atomically(path, png(sheet))
    return f"{n} samples of each of {len(strips)} models, seed {seed}"
