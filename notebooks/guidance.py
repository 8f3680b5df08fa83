# %% [markdown]
# # Guidance
#
# A model that knows the class can be pushed further towards it than the data are. That makes samples clearer and more
# alike. First a case in which everything is known, then digits.

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
import torch
from torch import Tensor

import latentarena as la
from latentarena.pictures import grid

# %% [markdown]
# ## Where the answer is known
#
# Data are three round clouds in the plane, one for each class. Then the best estimates of data and noise at
# $z_t = (1-t)\, z + t\, \varepsilon$ have formulas: of class $k$ with centre $m_k$ and variance $s^2$ they are
#
# $$\hat z_k = m_k + \frac{(1-t)\, s^2}{(1-t)^2 s^2 + t^2}\,\big(z_t - (1-t)\, m_k\big), \qquad
# \hat\varepsilon_k = \frac{t}{(1-t)^2 s^2 + t^2}\,\big(z_t - (1-t)\, m_k\big),$$
#
# and without a class the mean of these, weighted by how likely each class is at $z_t$. The velocity is
# $\hat\varepsilon - \hat z$. A network is any callable, so the formula will do. Classifier-free guidance of scale $w$
# goes from the one beyond the other, for data and noise alike:
#
# $$\hat z = \hat z_\varnothing + w\, (\hat z_k - \hat z_\varnothing).$$

# %%
centres = 1.3 * torch.tensor([[0.0, 1.0], [-0.87, -0.5], [0.87, -0.5]])
variance = 0.5


def perfect(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
    """The expected velocity at x, of a class or of all of them."""
    a, b = 1 - t[:, None, None], t[:, None, None]
    away = x[:, None] - a * centres  # (N, 3, 2)
    total = a.square() * variance + b.square()
    each = (b - a * variance) / total * away - centres  # (N, 3, 2)
    if labels is not None:
        return each[torch.arange(len(x)), labels]
    shares = (-away.square().sum(2, keepdim=True) / total / 2).softmax(1)
    return (shares * each).sum(1)


process = la.Process(path="straight", target="velocity")
noise = torch.randn(1500, 2, generator=torch.Generator().manual_seed(0))
classes = torch.arange(1500) % 3
scales = (0.0, 1.0, 2.0, 4.0)
figure, panels = plt.subplots(1, 4, figsize=(13, 3.4), sharex=True, sharey=True, layout="constrained")
for panel, scale in zip(panels, scales, strict=True):
    ends = process.sample(perfect, noise, classes, steps=32, guidance=scale)
    panel.scatter(*ends.T, c=classes, cmap="tab10", vmax=9, s=2)
    panel.scatter(*centres.T, c="black", marker="+")
    panel.set(title=f"w = {scale:g}", aspect="equal")
plt.show()

# %% [markdown]
# At $w = 0$ the class is ignored, at $w = 1$ samples are the data. Beyond, they leave the places where classes overlap,
# and soon those where the data are: **guidance samples no distribution that anything was trained on**. It is a trade of
# variety for clarity.
#
# ## Digits
#
# `zoo:digitdreamer` was told the class of most of its training images and not of the others, so that one network knows
# both estimates. It is guided at middle times only, so that even at $w = 0$ the class shows. The same noises at five
# scales, a row each:

# %%
model = la.load("zoo:digitdreamer")
labels = torch.arange(20) % 10
rows = [model.sample(20, labels=labels, guidance=scale, seed=4) for scale in (0.0, 1.0, 2.0, 4.0, 8.0)]
grid(torch.cat(rows), columns=20)

# %% [markdown]
# One class, to see the variety go: above $w = 1$, below $w = 8$.

# %%
fives = [model.sample(40, labels=5, guidance=scale, seed=5) for scale in (1.0, 8.0)]
grid(torch.cat(fives), columns=20)

# %% [markdown]
# ## The price, measured
#
# *Precision* is the share of samples that lie among real images, *recall* the share of real images that lie among
# samples. `frechet` sees both.

# %%
count = max(200, int(1000 * BUDGET))
scales = (1.0, 2.0, 4.0, 8.0)
found = {
    scale: la.judge(model.sample(count, guidance=scale, seed=6), dataset="mnist", progress=False) for scale in scales
}
figure, panels = plt.subplots(1, 3, figsize=(12, 2.8), layout="constrained")
for panel, metric in zip(panels, ("frechet", "precision", "recall"), strict=True):
    figures = [found[scale][metric] for scale in scales]
    lower = [one.value - one.low for one in figures]
    upper = [one.high - one.value for one in figures]
    panel.errorbar(scales, [one.value for one in figures], (lower, upper), capsize=3, marker="o")
    panel.axhline(figures[0].real.value, color="gray", linestyle="--", label="real images")
    panel.set(title=metric, xlabel="guidance scale", xscale="log", xticks=scales, xticklabels=scales)
    panel.minorticks_off()
panels[0].legend()
plt.show()

# %% [markdown]
# Variety falls all the way. Precision rises at first; at $w = 8$ samples leave the real images, and it falls as well.
# The distance, which sees both, is smallest in between.
#
# ## Try
#
# - Guidance at middle times only keeps the variety (Kynkäänniemi et al., 2024): `arena recipes show digitdreamer-small`
#   has `sampling.interval`.
# - A classifier of noisy latents can guide a model that knows no classes: recipe `classifier-guidance-latent`.
# - A weaker model of the same kind can be what is led away from: recipe `autoguidance-latent`, and
#   `latentarena.sample.autoguidance` for networks of your own.
