# %% [markdown]
# # Your own architecture, from modules to a submitted bundle
#
# Nothing of the lab is needed but its loop and its judge: an encoder, a decoder and a velocity network are plain
# `nn.Module`s. They are trained with checkpoints, written as a bundle without code, judged, and handed in.

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
from torch import Tensor, nn

import latentarena as la
from latentarena.pictures import grid

# %% [markdown]
# ## A variational autoencoder
#
# The encoder says for each image a mean $\mu$ and a variance $\sigma^2$ of its latent. The loss is the squared error of
# the image that is decoded from a draw, plus $\beta$ times how far the draw's distribution is from the noise:
#
# $$\lVert D(\mu + \sigma \varepsilon) - x \rVert^2 + \beta\, \mathrm{KL}\big(\mathcal N(\mu, \sigma^2) \,\|\,
# \mathcal N(0, I)\big).$$
#
# A small $\beta$ gives sharp images, a large one latents that are easy to generate.

# %%
WIDTH, BETA = 20, 0.7


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inward = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.SiLU(), nn.Linear(400, 2 * WIDTH))
        self.outward = nn.Sequential(nn.Linear(WIDTH, 400), nn.SiLU(), nn.Linear(400, 784), nn.Sigmoid())

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.inward(images).chunk(2, 1)
        return mean, log_variance

    def decode(self, latents: Tensor) -> Tensor:
        return self.outward(latents).unflatten(1, (1, 28, 28))


def elbo(vae: VAE, images: Tensor, labels: Tensor | None, generator: torch.Generator) -> dict[str, Tensor]:
    mean, log_variance = vae.encode(images)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    decoded = vae.decode(mean + (log_variance / 2).exp() * noise)
    squared = (decoded - images).square().sum((1, 2, 3)).mean()
    kl = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
    return {"loss": squared + BETA * kl, "squared": squared, "kl": kl}


# %% [markdown]
# `la.fit` trains any module by any loss. With a folder it keeps checkpoints: **if the kernel dies, run the notebook
# again**, and `resume=True` goes on where it was, on a CPU bit for bit.

# %%
images = la.datasets.load("mnist").train.images
torch.manual_seed(0)
vae = VAE()
curve = la.fit(vae, images, loss=elbo, folder=RUNS / "own" / "vae", epochs=8 * BUDGET, lr=2e-3, ema=0.995, resume=True)

# %%
figure, axes = plt.subplots(figsize=(5, 2.5), layout="constrained")
axes.plot(curve["step"], curve["squared"], label="squared error")
axes.plot(curve["step"], curve["kl"], label="KL, in nats")
axes.set(xlabel="step", yscale="log")
axes.legend()
plt.show()

# %% [markdown]
# ## Latents as the noise has them
#
# The flow begins at noise of zero mean and unit variance, so its latents should have these too. Two small modules hold
# the standardisation; they are also what the bundle is made of.

# %%


class Encode(nn.Module):
    def __init__(self, vae: VAE, means: Tensor) -> None:
        super().__init__()
        self.vae = vae
        self.register_buffer("mean", means.mean(0))
        self.register_buffer("std", means.std(0))

    def forward(self, images: Tensor) -> Tensor:
        return (self.vae.encode(images)[0] - self.mean) / self.std


class Decode(nn.Module):
    def __init__(self, encode: Encode) -> None:
        super().__init__()
        self.vae, self.mean, self.std = encode.vae, encode.mean, encode.std

    def forward(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents * self.std + self.mean)


with torch.no_grad():
    encode = Encode(vae, vae.encode(images)[0])
    decode = Decode(encode)
    latents = encode(images)
    reconstructions = decode(latents[:16])
grid(torch.cat([images[:16], reconstructions]), columns=16)

# %% [markdown]
# ## The flow
#
# Any callable of `x`, `t` and `labels` is a network; by default it learns the velocity of a straight path.

# %%


class Velocity(nn.Module):
    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2.0 ** torch.arange(4))
        self.inward = nn.Linear(WIDTH + 9, width)
        self.blocks = nn.ModuleList(nn.Sequential(nn.SiLU(), nn.Linear(width, width)) for _ in range(3))
        self.outward = nn.Linear(width, WIDTH)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        angles = t[:, None] * self.frequencies
        h = self.inward(torch.cat([x, t[:, None], angles.sin(), angles.cos()], 1))
        for block in self.blocks:
            h = h + block(h)
        return self.outward(h)


network = Velocity()
process = la.Process(path="straight", target="velocity", times="logit_normal")
curve = la.fit(
    network,
    latents,
    process=process,
    folder=RUNS / "own" / "flow",
    epochs=20 * BUDGET,
    batch=1024,
    lr=3e-3,
    ema=0.99,
    resume=True,
)

# %%
noise = torch.randn(64, WIDTH, generator=torch.Generator().manual_seed(0))
samples = decode(process.sample(network, noise, steps=8)).detach()
grid(samples, columns=16)

# %% [markdown]
# ## The bundle
#
# `la.save` writes the weights and `bundle/`: a card and three ONNX graphs, with the sampler unrolled into the last one.
# It refuses modules that do not match, and graphs that do not give what the modules give.

# %%
modules = {"encode": encode, "decode": decode, "network": network}
model = la.save(modules, RUNS / "own" / "model", name="my-vae", process=process, steps=8)
print(model.name, model.latent_shape, sorted(path.name for path in (RUNS / "own" / "model" / "bundle").iterdir()))

# %% [markdown]
# ## Judged, and handed in
#
# The score card has every figure with its interval, and advice in words.

# %%
card = la.judge(model, samples=max(200, int(2000 * BUDGET)), timed=False, progress=False)
for metric in ("mse", "ssim", "frechet", "precision", "recall", "parameters"):
    print(f"{metric:10} {card.scores[metric].value:.4g}")
for one in card.advice:
    print(f"- {one.text}: {one.remedy}")

# %% [markdown]
# A contest gives you an address and a token. Here a server of our own stands in for it, with a team that it has just
# been told of; of a real contest you would set `ARENA_URL` and `ARENA_TOKEN` and run the last lines alone.

# %%
import socket
import time

import httpx

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
url = f"http://127.0.0.1:{port}"
server = subprocess.Popen(["arena", "serve", "open", "--port", str(port), "--workers", "0"], stdout=subprocess.DEVNULL)
for _ in range(600):
    try:
        httpx.get(url)
        break
    except httpx.ConnectError:
        time.sleep(0.2)
Path("class.csv").write_text("team,member\nblue herons,Ada\n")
added = subprocess.run(["arena", "team", "add", "class.csv"], capture_output=True, text=True, check=True)
token = added.stdout.split("blue herons,")[1].strip()

# %%
environment = os.environ | {"ARENA_URL": url, "ARENA_TOKEN": token}
for words in (["submit", RUNS / "own" / "model" / "bundle"], ["status"]):
    done = subprocess.run(["arena", *words], env=environment, capture_output=True, text=True)
    print(done.stdout or done.stderr)
server.terminate()
_ = server.wait()

# %% [markdown]
# It waits for a worker, which evaluates it as `arena check` does on your machine:
# [run_a_contest](run_a_contest.ipynb) shows that side.
#
# ## Try
#
# - What the advice says: a smaller `BETA`, such as 0.05, for sharper images, and more epochs.
# - Convolutions in the autoencoder, and fewer latents: `WIDTH = 8`.
# - `process = la.Process(path="vp_cosine", target="v")`, with `solver="dpm_solver_pp"` in `la.save`.
# - A network that takes labels: hand `labels=` to `la.fit` and `conditional=True` to `la.save`.
