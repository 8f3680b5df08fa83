# %% [markdown]
# # Run a contest
#
# A contest is a file of rules; a board is what these rules make of score cards. First a board without any server,
# then a server that teams hand in to.

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
import csv
import shutil
import socket
import time

import httpx

from latentarena.zoo import located

# %% [markdown]
# ## The rules
#
# Two categories, ranked separately; the sum of the ranks wins. Latents may have at most 49 numbers, and who
# reconstructs badly is not ranked at all.

# %%
CONTEST = """
name: tiny
title: A tiny contest
about: Two categories and a threshold.
dataset: mnist
judge: official
score_set: arena-1
latent: {smallest: 3, largest: 49}
categories:
  - {name: reconstruction, title: Reconstruction, weight: 1, metrics: [mse, ssim]}
  - {name: samples, title: Samples, weight: 1, metrics: [frechet, recall]}
ties: statistical
total: sum
counts: best
thresholds:
  - {field: mse, op: "<=", value: 0.02}
forms: [native, portable]
self_reported: true
"""
Path("contest.yaml").write_text(CONTEST)

# %% [markdown]
# ## A board without a server
#
# The models of the zoo compete; each brings its score card. With bundles of a class the cards come from
# `arena board check`, which evaluates each of them as a server would.

# %%
teams = {"quick foxes": "quickstart", "hares": "one-step", "dreamers": "digitdreamer", "ants": "small"}
for team, name in teams.items():
    shutil.copytree(located(Path(f"zoo:{name}")).parent, Path("entries") / team / name, dirs_exist_ok=True)
# !arena board build entries --contest contest.yaml --verified --out site

# %% [markdown]
# `site/index.html` is the board: it needs no server, works from a USB stick, and comes with the table as CSV.


# %%
def standing(path: str) -> None:
    """Print places and category ranks of a board's CSV."""
    names = ("place", "team", "total", "reconstruction_rank", "samples_rank", "mse", "frechet", "recall")
    with open(path, encoding="utf-8") as file:
        rows = [[row[name][:12] for name in names] for row in csv.DictReader(file)]
    for row in [[name.removesuffix("_rank") for name in names], *rows]:
        print(*(f"{cell:>14}" for cell in row))


standing("site/board.csv")

# %% [markdown]
# *Statistical* ties: a rank counts only the entries that are better beyond the error bars, so what cannot be told
# apart shares a rank. The dreamers have the lowest Frechet distance and a lower recall: guidance costs variety
# ([guidance](guidance.ipynb)), and the rules weigh both.
#
# **Try the rules before the contest.** Another weight gives other places; a rule that one entry alone can turn is not
# a good one.

# %%
Path("other.yaml").write_text(CONTEST.replace("title: Samples, weight: 1", "title: Samples, weight: 3"))
# !arena board build entries --contest other.yaml --verified --out other

# %% [markdown]
# ## With a server
#
# `arena serve` makes a database, a folder for files, the contest's key (from which the judge's noise follows, so that
# nobody can know it) and the organiser's token. Here it listens on a free port of this machine; for a course it stands
# behind a proxy with https: `docs/operating.md`.

# %%
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
url = f"http://127.0.0.1:{port}"
server = subprocess.Popen(
    ["arena", "serve", "contest.yaml", "--port", str(port), "--workers", "0"], stdout=subprocess.PIPE
)
for _ in range(600):
    try:
        page = httpx.get(url)
        break
    except httpx.ConnectError:
        time.sleep(0.2)
page.status_code

# %% [markdown]
# The class list makes the teams; each token is shown once.

# %%
Path("class.csv").write_text("team,member\nblue herons,Ada\nred kites,Ben\nred kites,Cleo\n")
added = subprocess.run(["arena", "team", "add", "class.csv"], capture_output=True, text=True, check=True)
tokens = dict(line.split(",") for line in added.stdout.splitlines()[1:])
list(tokens)

# %% [markdown]
# Teams hand in, on the page or with a command:

# %%
environment = os.environ | {"ARENA_URL": url, "ARENA_TOKEN": tokens["red kites"]}
done = subprocess.run(["arena", "submit", "zoo:small"], env=environment, capture_output=True, text=True)
print(done.stdout or done.stderr)

# %% [markdown]
# Workers evaluate; any number of them may share a database, on this machine or others. This takes about a minute of
# processor time an entry, so a small `BUDGET` leaves it waiting.

# %%
if BUDGET >= 1:
    subprocess.run(["arena", "worker", "--once"], check=True, capture_output=True)
Path("live.csv").write_text(httpx.get(f"{url}/board.csv").text)
standing("live.csv")

# %%
server.terminate()
_ = server.wait()

# %% [markdown]
# ## Try
#
# - `arena serve contest.yaml` in a terminal, and the pages: an entry has its score card, advice and a playground.
# - `arena board init my-contest`: a repository in which pull requests carry bundles, and no server at all.
# - `arena backup` and `arena restore` before you need them.
