# %% [markdown]
# # A first model
#
# A latent generative model has two parts. An **autoencoder** turns an image $x$ of 784 pixels into a few numbers, the
# latent $z = E(x)$, and back, $D(z) \approx x$. A **flow** turns noise into latents: a network $v$ says in which
# direction to go, and a new image is $D$ of where the way ends.
#
# This notebook draws from a trained model, trains one, looks at it from all sides and has it judged.

# %%
# On Colab (CPU or GPU runtime) this installs the program from SOURCE: its name, or what else pip takes, such as a wheel
# that you have uploaded or git+https://ADDRESS. With DRIVE, runs are kept on your Drive and go on there after the
# runtime was lost. Anywhere else it does nothing but name a folder.
import os
import subprocess
import sys
from pathlib import Path

DRIVE = False  # @param {type: "boolean"}
SOURCE = "latentarena"  # @param {type: "string"}
BUDGET = float(os.environ.get("LATENTARENA_NOTEBOOK_BUDGET", "1"))  # less trains and samples less
RUNS = Path("runs")
if "google.colab" in sys.modules:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", SOURCE], check=True)
    if DRIVE:
        from google.colab import drive

        drive.mount("/content/drive")
        RUNS = Path("/content/drive/MyDrive/latentarena")

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image

import latentarena as la
from latentarena.pictures import grid

# %% [markdown]
# ## Draw
#
# Trained models ship with the program. This one has 119,900 numbers; its samples come in the order in which they were
# drawn.

# %%
shipped = la.load("zoo:quickstart")
grid(shipped.sample(64, seed=0), columns=16)

# %% [markdown]
# ## Train
#
# The recipe `quickstart` trains the autoencoder first, then encodes the train split once and trains the flow on the
# latents. Noise $\varepsilon \sim \mathcal N(0, I)$ and a latent $z$ are joined by a straight line,
#
# $$z_t = (1 - t)\, z + t\, \varepsilon, \qquad 0 \le t \le 1,$$
#
# and the network learns the velocity along it by least squares:
#
# $$\min_v\; \mathbb E\, \lVert v(z_t, t) - (\varepsilon - z) \rVert^2.$$
#
# Many lines cross at $z_t$; the best answer is their mean, and following the mean from $t = 1$ to $t = 0$ leads from
# noise to latents of the right distribution.
#
# Here it is trained for an eighth of its epochs. **If the kernel dies meanwhile, run the cells again:** `resume=True`
# goes on from the last checkpoint in the folder.

# %%
model = la.train("quickstart", folder=RUNS / "first", budget=0.12 * BUDGET, resume=True, judged=False)

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 2.5), layout="constrained")
for panel, stage in zip(panels, ("autoencoder", "generator"), strict=True):
    curve = np.genfromtxt(RUNS / "first" / "logs" / f"{stage}.csv", delimiter=",", names=True)
    panel.plot(curve["step"], curve["loss"])
    panel.set(title=stage, xlabel="step", ylabel="loss")
panels[0].set_yscale("log")
plt.show()

# %% [markdown]
# The loss of the flow falls little and never comes near zero: it contains the spread of the lines around their mean,
# which no network can predict. **It says little about the samples**, which is why there is a judge.
#
# ## Reconstructions
#
# Test images above, below what is left of them after 28 numbers.

# %%
data = la.datasets.load("mnist")
images = data.test.images[:16]
latents = model.encode(images)
print(f"{images[0].numel()} pixels -> {latents[0].numel()} numbers")
grid(torch.cat([images, model.decode(latents)]), columns=16)

# %% [markdown]
# ## Samples
#
# Above, samples of the flow. Below, what the decoder makes of plain noise: this would do if latents were normally
# distributed, and they are far from it.

# %%
noise = torch.randn(16, 28, generator=torch.Generator().manual_seed(0))
grid(torch.cat([model.sample(16, seed=1), model.decode(noise)]), columns=16)

# %% [markdown]
# The way from noise to digit, in 20 steps:

# %%
model.draw("way.gif", n=6, steps=20, seed=1)
Image("way.gif", width=280)

# %% [markdown]
# ## Judge
#
# The judge is a classifier that was trained on the train split alone. `frechet` is the distance between samples and
# train images in its features, `recall` the share of real images that have a sample nearby. Each figure has a 95 %
# interval and stands beside that of as many *real* test images: no model need be better.

# %%
rows = {"mine": model, "shipped": shipped}
count = max(200, int(2000 * BUDGET))
scores = {name: la.judge(one.sample(count, seed=2), progress=False) for name, one in rows.items()}
for metric in ("frechet", "precision", "recall", "confidence"):
    real = scores["mine"][metric].real
    print(f"{metric}, of real images {real.value:.3f}")
    for name, found in scores.items():
        print(f"    {name:8} {found[metric].value:.3f}   [{found[metric].low:.3f}, {found[metric].high:.3f}]")

# %% [markdown]
# `la.judge(model)` makes the whole score card, with reconstruction, efficiency and advice in words; `judged=True` in
# `la.train` does so at once, and writes `report.html` into the folder of the run. Colab takes it from
# `RUNS / "first"`; download the folder `bundle` in it to hand the model in.
#
# ## Try
#
# - More epochs: `budget=1` (five minutes on a laptop, less on a GPU).
# - Fewer numbers: `la.train("quickstart", autoencoder={"latent": [8]}, folder=RUNS / "eight")`.
# - Told the class: `generator={"conditional": True}`, then `model.sample(16, labels="3,7", guidance=2)`.
