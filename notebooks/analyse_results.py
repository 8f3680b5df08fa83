# %% [markdown]
# # Analyse your results
#
# What a contest asks for beside the model: figures with their intervals, samples that were not picked, a look into the
# latent space, the trade-offs, and your own words on them. Here for `zoo:quickstart`; put your run in its place.

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
from IPython.display import Image, Markdown

import latentarena as la
from latentarena.pictures import grid
from latentarena.zoo import zoo_card

NAME = "quickstart"
model, card = la.load(f"zoo:{NAME}"), zoo_card(NAME)  # of a run: la.load("runs/mine"), and la.judge of it
data = la.datasets.load("mnist")

# %% [markdown]
# ## Figures
#
# Each with its 95 % interval, beside what as many real test images score. Where the interval holds the real figure, the
# judge cannot tell the difference.

# %%
METRICS = ("mse", "ssim", "prior_frechet", "frechet", "precision", "recall", "coverage", "class_kl", "confidence")
rows = ["| metric | model | 95 % interval | real images |", "|---|---:|---:|---:|"]
for metric in METRICS:
    one = card.scores[metric]
    real = "" if one.real is None else f"{one.real.value:.4g}"
    rows.append(f"| {metric} | {one.value:.4g} | {one.low:.4g} to {one.high:.4g} | {real} |")
Markdown("\n".join(rows))

# %% [markdown]
# What the judge advises, in words:

# %%
Markdown("\n".join(f"- **{one.fault}**: {one.text}. *{one.remedy}*" for one in card.advice) or "nothing")

# %% [markdown]
# ## Samples
#
# In the order in which they were drawn. Picked samples show what the model *can* do, these what it does.

# %%
grid(model.sample(64, seed=0), columns=16)

# %% [markdown]
# Is any of them a copy? Above each sample, below the train image that is nearest in pixels.

# %%
samples, few = model.sample(16, seed=1), max(2000, int(20_000 * BUDGET))
train = data.train.images[:few]
nearest = torch.cdist(samples.flatten(1), train.flatten(1)).argmin(1)
grid(torch.cat([samples, train[nearest]]), columns=16)

# %% [markdown]
# ## Reconstructions, the worst of them
#
# The mean error hides where a model fails. Of these test images the sixteen worst, above as they are, below
# reconstructed; and the error by class.

# %%
count = max(500, int(5000 * BUDGET))
images, labels = data.test.images[:count], data.test.labels[:count]
decoded = model.decode(model.encode(images))
errors = (decoded - images).square().mean((1, 2, 3))
worst = errors.argsort(descending=True)[:16]
grid(torch.cat([images[worst], decoded[worst]]), columns=16)

# %%
figure, axes = plt.subplots(figsize=(5.5, 2.4), layout="constrained")
axes.boxplot([errors[labels == k].numpy() for k in range(10)], showfliers=False)
axes.set(xlabel="class", ylabel="squared error", xticks=range(1, 11), xticklabels=range(10))
plt.show()

# %% [markdown]
# Ones are easy and eights are hard: how much ink there is, and how many ways to draw it.
#
# ## The latent space
#
# Where test images lie, by class, and what is decoded from the same plane. [latent_space](latent_space.ipynb) goes
# further.

# %%
# !arena show latent zoo:quickstart --out latent.png
Image("latent.png", width=900)

# %% [markdown]
# ## Trade-offs
#
# A model by itself is no result. The models of the zoo, each with its interval: what do more numbers and more work for
# a sample buy?

# %%
others = {name: zoo_card(name) for name in ("small", "quickstart", "one-step", "digitdreamer", "latent-diffusion")}
figure, panels = plt.subplots(1, 3, figsize=(13, 3.2), layout="constrained")
for panel, across in zip(panels, ("parameters", "macs", "mse"), strict=True):
    for name, one in others.items():
        x, y = one.scores[across].value, one.scores["frechet"]
        panel.errorbar(x, y.value, [[y.value - y.low], [y.high - y.value]], marker="o", capsize=3, label=name)
    panel.axhline(card.scores["frechet"].real.value, color="gray", linestyle="--")
    panel.set(xlabel=across, ylabel="frechet", xscale="linear" if across == "mse" else "log", yscale="log")
    panel.tick_params(axis="x", which="minor", labelbottom=False)
panels[0].legend(fontsize=7)
plt.show()

# %% [markdown]
# The dashed line is what real images score. Good reconstructions (`mse`) and good samples (`frechet`) are two things:
# the model with the smallest error has the largest distance, and it does the most work for a sample.
#
# How many steps does the sampler need? From the score card:

# %%
figure, axes = plt.subplots(figsize=(4.5, 2.6), layout="constrained")
axes.plot(list(card.by_steps), list(card.by_steps.values()), marker="o")
axes.set(xlabel="steps", ylabel="frechet, fewer samples", xscale="log", yscale="log")
plt.show()

# %% [markdown]
# ## The deliverable
#
# One command writes all of this for a run, and what a contest asks for beside it: whether its rules would rank it,
# the map, traversals, trade-offs against other runs, every figure and hash. It is a text that you write in, a page, and
# a PDF where there is a browser.

# %%
# !arena analyse zoo:quickstart --contest contest-2025 --against zoo:small --out analysis | grep -v PDF
# !ls analysis

# %%
text = Path("analysis/analysis.md").read_text()
Markdown(text[text.index("## Results") : text.index("## Reconstructions")])

# %% [markdown]
# ## In your own words
#
# These are the questions that `analysis/analysis.md` leaves places for; what stands there is kept when the command runs
# again, and `arena pack` puts it into the folder that is handed in.
#
# 1. Which figure is worst beside that of real images, and in which picture above do you see it?
# 2. What did you try, what did you expect of it, and what came of it? Failures count.
# 3. Is the difference to your last attempt larger than the intervals? Than the spread over seeds (`arena train --seeds
#    3`)?
# 4. What would you do with ten times the compute, and what with a tenth?
