"""A folder of more images than a process may hold in memory: it is decoded, trained on and encoded all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from albums import encoded, noise, store

ROOM = 160 << 20  # bytes beyond what the program holds before it sees the images
SIDE, IMAGES = 128, 3800  # 187 million bytes

PROGRAM = """
import resource, sys
import torch
import latentarena as la
from latentarena.data import listing, survey

listing.HELD = survey.HELD = 8 << 20  # so that the album is as large for the program as larger ones are as it ships
album, out, room, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
tiny = {"autoencoder.latent": [6], "autoencoder.widths": [4, 4], "autoencoder.neck": 2, "training.autoencoder.batch": 8,
        "generator.backbone.width": 8, "generator.backbone.depth": 1, "training.generator.batch": 8}
how = {"judged": False, "budget": 1e-6, "progress": False} | tiny
la.train("quickstart-digits", folder=f"{out}/digits", **how)
with open("/proc/self/status") as status:
    held = 1024 * int(next(line.split()[1] for line in status if line.startswith("VmData")))
resource.setrlimit(resource.RLIMIT_DATA, (held + room, held + room))
try:
    torch.ones(size, dtype=torch.uint8)
    sys.exit("the images would fit into memory")
except RuntimeError:
    pass
la.train("quickstart-digits", folder=f"{out}/album", **how, **{"data.name": f"folder:{album}"})
data = la.datasets.load(f"folder:{album}")
print(*(sum(int(one.sum()) for one in split.pixels) for split in (data.train, data.test)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits what a Linux process may hold")
def test_images_beyond_memory_are_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "cache"))
    blocks = [np.kron(noise(4, 4, 3, seed=seed), np.ones((SIDE // 4, SIDE // 4, 1), np.uint8)) for seed in range(20)]
    files, sums = [encoded(block, "BMP") for block in blocks], [int(block.sum(dtype=int)) for block in blocks]
    names = [f"{'test' if i < 100 else 'train'}/{'ab'[i % 2]}/{i}.bmp" for i in range(IMAGES)]
    album = store(tmp_path / "album", {name: files[i % len(files)] for i, name in enumerate(names)})
    arguments = [str(album), str(tmp_path / "runs"), str(ROOM), str(IMAGES * SIDE * SIDE * 3)]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = [sum(sums[i % len(sums)] for i in rows) for rows in (range(100, IMAGES), range(100))]
    assert [int(word) for word in done.stdout.split()[-2:]] == expected
