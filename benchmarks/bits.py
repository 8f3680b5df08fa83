"""How good an image that is packed into latents, bit by bit, comes out, beside models that learned: docs/bits.md.

    python benchmarks/bits.py BUNDLE [BUNDLE ...]

The packers learn nothing and have no parameters. They are given the most that a latent of 49 numbers holds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from latentarena.bundle import OWN, open_bundle
from latentarena.data import DataConfig, load_dataset
from latentarena.latents import quantised
from latentarena.precision import BITS

OUT = Path(__file__).parents[1] / "docs" / "bits.md"
NUMBERS = 49
PACKERS = ((28, 4), (28, 2), (14, 16), (14, 4), (14, 2))  # side of the picture that is packed, and its shades


def packed(images: Tensor, side: int, shades: int) -> Tensor:
    """What is left of images (N, 1, 28, 28) as so many pixels of so many shades, side * side * log2(shades) bits."""
    small = avg_pool2d(images, 28 // side)
    if shades == 2:  # the best threshold and the best two shades
        black = small <= 0.4
        kept = torch.where(black, small[black].mean(), small[~black].mean())
    else:
        kept = (small * (shades - 1)).round() / (shades - 1)
    return interpolate(kept, size=(28, 28), mode="nearest" if side == 28 else "bilinear")


def page(images: Tensor, bundles: list[Path]) -> str:
    lines = [
        "# How much a latent holds",
        "",
        "Made by `python benchmarks/bits.py` on the MNIST test split; do not edit.",
        "",
        "Nothing passes from encoder to decoder but latents, rounded to a precision. A latent of 49 numbers then holds "
        "at most",
        ", ".join(f"{NUMBERS * bits:,} bits in `{name}`" for name, bits in BITS.items()) + ".",
        "",
        "## Pictures packed bit by bit: nothing is learned, no parameters",
        "",
        "| picture | bits | fits into 49 numbers of | MSE |",
        "|---|---:|---|---:|",
    ]
    for side, shades in PACKERS:
        bits = side * side * (shades.bit_length() - 1)
        fits = ", ".join(name for name, size in BITS.items() if NUMBERS * size >= bits)
        error = float((packed(images, side, shades) - images).square().mean())
        lines.append(f"| {side} x {side} in {shades} shades | {bits:,} | {fits} | {error:.5f} |")
    lines += ["", "## Models that learned: MSE by precision", "", f"| model | numbers | {' | '.join(BITS)} |"]
    lines += ["|---|---:|" + "---:|" * len(BITS)]
    for path in bundles:
        card, model = (bundle := open_bundle(path, trust=OWN)).card, bundle.model
        latents = model.encode(images)
        errors = [float((model.decode(quantised(latents, one)) - images).square().mean()) for one in BITS]
        lines.append(f"| {card.name} | {latents[0].numel()} | {' | '.join(f'{error:.5f}' for error in errors)} |")
    return "\n".join(lines) + WORDS


WORDS = """

In `float16` a picture in black and white fits whole, and a packer without parameters reconstructs like a small model;
in `float32` it does like a large one. A contest file says how far to round, whatever a bundle's card says:
`latent: {smallest: 3, largest: 49, precision: float8}`. The contest `open` does; `contest-2025` rounds as the card
says, which is `float16` unless it says otherwise.

What is prevented in `float8`: no plain bitmap of an image passes, not even of the 20 x 20 pixels that MNIST's digits
fill (400 bits). What is not: 392 bits are enough for whoever compresses well, which is what an autoencoder is for; a
decoder that holds a codebook pays for it in parameters, which are counted.

`float8` is E4M3 of the OCP standard: four significant bits for sizes from 1/64 to 448. Latents of a size around 1, as
those of a VAE, lose what the table shows. Larger ones are refused with the way out; of far smaller ones, and of those
far from zero for how little they spread, the score card says how much rounding took from them and what to do.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="*")
    chosen = parser.parse_args()
    images = load_dataset(DataConfig(name="mnist"), None).test.batch(slice(None))
    with torch.inference_mode():
        OUT.write_text(page(images, chosen.bundles))
    print(OUT.read_text())


if __name__ == "__main__":
    main()
