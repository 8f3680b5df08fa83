# %% [markdown]
# # Few steps
#
# A sample costs as many evaluations of the network as the solver makes. How few will do, which solver makes the most of
# them, and what is different in a model that needs one?

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

import latentarena as la
from latentarena.model.config import SamplingConfig
from latentarena.pictures import grid

model, onestep = la.load("zoo:quickstart"), la.load("zoo:one-step")

# %% [markdown]
# ## The same noises, more and more steps
#
# Euler's method goes along the velocity at the start of each step, $z_{t-h} = z_t - h\, v(z_t, t)$, one evaluation a
# step. Heun's method looks at the velocity at the end too and takes the mean of both: two evaluations a step, and an
# error that shrinks with $h^2$ instead of $h$. Rows: Euler with 1, 2, 4, 8 and 64 steps.

# %%
rows = [model.sample(16, steps=steps, solver="euler", seed=3) for steps in (1, 2, 4, 8, 64)]
grid(torch.cat(rows), columns=16)

# %% [markdown]
# One step gives nearly the mean image: at $t = 1$ the velocity of every noise points to the mean of all latents. That
# is no fault of training; the paths *are* curved.
#
# ## How the error shrinks
#
# Distance of the ends from those of 256 Heun steps, by evaluations of the network.

# %%
native = model.bundle.model.native
noise = native.noise(64, seed=0)


def ends(solver: str, steps: int) -> torch.Tensor:
    """Latents at the end of the way."""
    return list(native.trajectory(noise, None, SamplingConfig(solver=solver, steps=steps)))[-1]


exact = ends("heun", 256)
figure, axes = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
for solver, each in {"euler": 1, "heun": 2, "rk4": 4, "dpm_solver_pp": 1}.items():
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n * each <= 64]
    errors = [float((ends(solver, n) - exact).norm(dim=1).mean()) for n in counts]
    axes.plot([n * each for n in counts], errors, marker="o", label=solver)
axes.set(xlabel="network evaluations", ylabel="distance from the end", xscale="log", yscale="log")
axes.legend()
plt.show()

# %% [markdown]
# ## Curved and straight
#
# Trajectories in the plane of two principal directions, and how straight they are: the share of the squared speed
# that is the squared chord,
#
# $$1 - \frac{\int \lVert \dot z_t - (z_1 - z_0) \rVert^2\, dt}{\int \lVert \dot z_t \rVert^2\, dt},$$
#
# which is 1 for a straight line walked evenly. A straight path needs one step.

# %%
states = torch.stack(list(native.trajectory(noise, None, SamplingConfig(solver="euler", steps=64))))  # (65, N, 28)
moves = states.diff(dim=0) * 64
chord = states[-1] - states[0]
straight = 1 - (moves - chord).square().sum() / moves.square().sum()
plane = torch.linalg.svd(states[-1] - states[-1].mean(0), full_matrices=False).Vh[:2]
ways = (states - states[-1].mean(0)) @ plane.T  # (65, N, 2)
figure, axes = plt.subplots(figsize=(4.5, 3.8), layout="constrained")
for way in ways.unbind(1)[:24]:
    axes.plot(*way.T, linewidth=0.8)
axes.scatter(*ways[-1, :24].T, s=8, color="black", zorder=3)
axes.set(title=f"straightness {straight:.3f}; dots are the ends")
plt.show()

# %% [markdown]
# *Reflow* (Liu et al., 2023) trains a second flow on pairs of noise and sample of the first: their lines do not cross,
# so the second is straighter. `zoo:one-step` was reflowed, then trained on for a single step, by regression on its own
# pairs and against a discriminator. Above the quickstart in one step of Euler, below the one-step model in one:

# %%
grid(torch.cat([one.sample(16, steps=1, solver="euler", seed=3) for one in (model, onestep)]), columns=16)

# %% [markdown]
# ## Quality by steps, judged

# %%
count = max(200, int(1000 * BUDGET))
figure, axes = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
for solver, each, counts in (("euler", 1, (1, 4, 16)), ("heun", 2, (1, 4, 8))):
    found = [la.judge(model.sample(count, steps=n, solver=solver), progress=False)["frechet"] for n in counts]
    axes.plot([n * each for n in counts], [one.value for one in found], marker="o", label=f"quickstart, {solver}")
single = la.judge(onestep.sample(count, steps=1), progress=False)["frechet"]
axes.scatter([1], [single.value], marker="*", s=120, color="black", label="one-step", zorder=3)
axes.axhline(single.real.value, color="gray", linestyle="--", label="real images")
axes.set(xlabel="network evaluations", ylabel="frechet distance", xscale="log", yscale="log")
axes.legend()
plt.show()

# %% [markdown]
# ## Try
#
# - `arena show paths zoo:quickstart` draws the same noises by every solver.
# - Recipes `meanflow-latent` and `consistency-latent` reach one step in other ways; `docs/few-steps.md` compares them.
# - `grid="karras"` or `"quadratic"` in `model.sample` spend the steps elsewhere in time.
