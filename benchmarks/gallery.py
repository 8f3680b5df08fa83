"""Draw docs/gallery.md and its pictures, by the commands that it shows: `python benchmarks/gallery.py`.

All models are those of the zoo. Needs MNIST for the pictures of test images; a minute or two.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from latentarena.files import make_folder, write_text

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = "gallery"
PICTURES = (
    ("zoo.png", "The zoo", "zoo --picture {}", "Samples of every model that ships, in the order they came."),
    (
        "noise-to-digits.gif",
        "Noise becomes digits",
        "sample zoo:quickstart -n 16 --steps 20 --out {}",
        "Latents of the quickstart on their way from noise to data, decoded at every step.",
    ),
    (
        "classes.png",
        "A class asked for",
        "sample zoo:digitdreamer -n 50 --labels 0,1,2,3,4,5,6,7,8,9 --out {}",
        "All classes in turn, by classifier-free guidance through a DiT.",
    ),
    (
        "guidance.png",
        "Guidance",
        "show guidance zoo:digitdreamer --label 5 --scales 0,1,2,4,7 --out {}",
        "The same noises at five scales: the larger, the more typical and the more alike.",
    ),
    (
        "one-step.png",
        "One step",
        "sample zoo:one-step -n 40 --out {}",
        "Each image by a single evaluation of the network.",
    ),
    (
        "few-steps.png",
        "Too few steps",
        "sample zoo:quickstart -n 40 --steps 1 --out {}",
        "What a flow that was not distilled makes of one step of Heun's method.",
    ),
    (
        "interpolation.png",
        "Between two test images",
        "interpolate zoo:quickstart --from 0,1,2,3 --to 4,5,6,7 --out {}",
        "Both are followed back to their noise, and joined there along an arc.",
    ),
    (
        "inpainting.png",
        "The hidden half",
        "inpaint zoo:quickstart --index 0,1,2,3 --hide right --out {}",
        "The original, what is known of it, and ways to complete it.",
    ),
    (
        "edited.png",
        "The same hand, other digits",
        "edit zoo:digitdreamer --index 0,1,2,3 --to 0,3,5,8 --out {}",
        "Followed towards the noise as the class that it is, and back as another.",
    ),
    (
        "traversal.png",
        "Along the latents",
        "show traverse zoo:quickstart --out {}",
        "Principal directions of the latents; below, two ways from noise to noise.",
    ),
    (
        "denoising.png",
        "What the network expects",
        "show denoise zoo:latent-diffusion --out {}",
        "States on the way from noise, decoded, and the image that the model expects at that time.",
    ),
)
MORE = """## More

- [Latent space, field, trajectories and denoising of the quickstart](uses.md#a-look-inside)
- [Samples of every recipe](results.md), [DDPM beside DDIM](samplers.md)
- [Two moons](python.md#two-moons)
"""


def page() -> str:
    """docs/gallery.md."""
    lines = [
        "# Gallery",
        "",
        "Drawn by `python benchmarks/gallery.py`, nothing picked; below each picture its command.",
        "",
    ]
    for name, title, command, words in PICTURES:
        lines += [f"## {title}", "", f"![{words}]({FOLDER}/{name})", "", words, ""]
        lines += ["```sh", f"arena {command.format(name)}", "```", ""]
    return "\n".join(lines) + "\n" + MORE


def main() -> None:
    folder = make_folder(DOCS / FOLDER)
    for name, _, command, _ in PICTURES:
        words = shlex.split(command.format(folder / name))
        subprocess.run([sys.executable, "-m", "latentarena", *words], check=True)
    write_text(DOCS / "gallery.md", page())


if __name__ == "__main__":
    main()
