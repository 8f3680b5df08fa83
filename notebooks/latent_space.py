# %% [markdown]
# # The latent space, explored
#
# Where does the encoder put images? What lies between them? Do directions mean something? How much of a digit's class
# can be read off its 28 numbers? Nothing is trained here: the model is `zoo:quickstart`.

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
from IPython.display import Image, display
from matplotlib.patches import Ellipse
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import latentarena as la
from latentarena.pictures import grid

model = la.load("zoo:quickstart")
data = la.datasets.load("mnist")
few = max(1000, int(5000 * BUDGET))
images, labels = data.test.images[:few], data.test.labels[:few]
latents = model.encode(images)  # (N, 28)
latents.shape

# %% [markdown]
# ## A map of the posterior
#
# The encoder gives no point but a normal distribution $q(z \mid x) = \mathcal N(\mu(x), \sigma^2(x))$. The map shows
# the means of test images in the plane of the two directions in which they vary most, and for some of them the
# ellipse of two standard deviations.

# %%
with torch.no_grad():
    posterior = model.bundle.model.native.autoencoder.encode(images[:1000])
variances = posterior.log_variance.exp().expand_as(posterior.mean)
centre = latents.mean(0)
plane = torch.linalg.svd(latents - centre, full_matrices=False).Vh[:2]  # (2, 28)
places = (latents - centre) @ plane.T

figure, axes = plt.subplots(figsize=(6.5, 5.5), layout="constrained")
points = axes.scatter(*places.T, c=labels, cmap="tab10", s=3)
for (x, y), variance in list(zip(places, variances, strict=False))[:60]:
    spread = plane * variance @ plane.T
    sizes, axes_of = torch.linalg.eigh(spread)
    angle = torch.atan2(axes_of[1, 1], axes_of[0, 1]).rad2deg()
    widths = 4 * sizes.sqrt()
    axes.add_patch(Ellipse((x, y), widths[1], widths[0], angle=float(angle), fill=False))
axes.set(title="posterior means by class, some with their spread", aspect="equal")
figure.colorbar(points, ticks=range(10))
plt.show()

# %% [markdown]
# Not all of the 28 numbers carry as much. A number whose posterior is as wide as the prior says nothing (its KL
# divergence is zero): the autoencoder has given it up. Here all 28 are in use, and about equally.

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 2.6), layout="constrained")
order = posterior.kl_by_dimension().argsort(descending=True)
panels[0].bar(range(len(order)), posterior.kl_by_dimension()[order])
panels[0].set(title="KL to the prior, nats", xlabel="number, sorted")
panels[1].bar(range(len(order)), latents.std(0)[order], label="between images")
panels[1].bar(range(len(order)), variances.mean(0).sqrt()[order], label="of one image")
panels[1].set(title="standard deviation of the latent", xlabel="number, sorted")
panels[1].legend()
plt.show()

# %% [markdown]
# ## What is decoded from the plane

# %%
steps = torch.linspace(-2.5, 2.5, 13)
across, up = (steps * places[:, i].std() for i in (0, 1))
corners = torch.stack([centre + x * plane[0] + y * plane[1] for y in up.flip(0) for x in across])
grid(model.decode(corners), columns=13)

# %% [markdown]
# ## Interpolation
#
# Three ways from one image to another: cross-fading the pixels; a straight line between the latents, which may lead
# through places where no image is; and, following the flow back to the noise of both images, an arc between these,
# whose every point is as likely as noise is.

# %%
from latentarena.model.config import SamplingConfig
from latentarena.use.uses import interpolate, to_noise

start, end = images[labels == 3][:1], images[labels == 6][:1]
shares = torch.linspace(0, 1, 12)[:, None]
pixels = start * (1 - shares[..., None, None]) + end * shares[..., None, None]
line = model.decode(model.encode(start) * (1 - shares) + model.encode(end) * shares)
native, how = model.bundle.model.native, SamplingConfig(solver="heun", steps=16)
noises = [to_noise(native, one, None, how) for one in (start, end)]
arc = interpolate(native, *noises, 12, None, how)[0]
grid(torch.cat([pixels, line, arc]), columns=12)

# %% [markdown]
# Above the pixels, then the line, below the arc. The same from the command line:

# %%
# !arena interpolate zoo:quickstart --from 0,1,2 --to 4,5,6 --frames 12 --out strip.png
Image("strip.png")

# %% [markdown]
# ## Arithmetic
#
# The mean latent of the eights minus that of the threes, added to threes:

# %%
threes = images[labels == 3][:12]
step = latents[labels == 8].mean(0) - latents[labels == 3].mean(0)
rows = [model.decode(model.encode(threes) + share * step) for share in (0, 0.5, 1)]
grid(torch.cat(rows), columns=12)

# %% [markdown]
# A direction can be found for anything that can be measured. Slant is the covariance of a stroke's column and row over
# the variance of its row; weight is the amount of ink. A linear regression of each on the latents says which way to go.

# %%
rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
ink = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
row, column = ((ink * one).sum((1, 2), keepdim=True) for one in (rows, columns))
slant = -(ink * (rows - row) * (columns - column)).sum((1, 2)) / (ink * (rows - row).square()).sum((1, 2))
weight = images.mean((1, 2, 3))


def direction(measure: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The unit vector along which a measure grows fastest, and how much of its variance is linear in the latents."""
    wanted = (measure - measure.mean()) / measure.std()
    found = torch.linalg.lstsq(latents - centre, wanted[:, None]).solution[:, 0]
    explained = 1 - (wanted - (latents - centre) @ found).square().mean()
    return found / found.norm(), float(explained)


digits = torch.stack([images[labels == k][0] for k in range(0, 10, 2)])
for name, measure in {"slant": slant, "weight": weight}.items():
    along, explained = direction(measure)
    print(f"{name}: {explained:.0%} of its variance is linear in the latents")
    moved = [model.decode(model.encode(one[None]) + torch.linspace(-3, 3, 12)[:, None] * along) for one in digits]
    display(grid(torch.cat(moved), columns=12))

# %% [markdown]
# ## Probes
#
# A probe is a simple classifier of latents. If a linear one does well, classes lie in different directions; if nearest
# neighbours do well, images of a class lie together. Beside them the same of pixels, and of as many random projections
# of the pixels, which is what learning has to beat.

# %%
train = data.train.images[:few], data.train.labels[:few]
random = torch.randn(784, 28, generator=torch.Generator().manual_seed(0)) / 28
inputs = {
    "28 latents": (model.encode(train[0]), latents),
    "784 pixels": (train[0].flatten(1), images.flatten(1)),
    "28 random projections": (train[0].flatten(1) @ random, images.flatten(1) @ random),
}
print(f"{'accuracy on test images':24} linear  neighbours")
for name, (known, asked) in inputs.items():
    linear = LogisticRegression(max_iter=200).fit(known, train[1]).score(asked, labels)
    near = KNeighborsClassifier(5).fit(known, train[1]).score(asked, labels)
    print(f"{name:24} {linear:.1%}   {near:.1%}")

# %% [markdown]
# ## Try
#
# - Another model: `la.load("zoo:digitdreamer")`, whose latents are made for pictures, not for maps.
# - `arena show traverse zoo:quickstart` and `arena show latent zoo:quickstart` draw such pictures of any bundle.
# - Train with a larger $\beta$ (`training={"autoencoder": {"beta": 0.1}}`) and see which numbers are given up.
