# %% [markdown]
# # Run a contest
#
# A contest is a file of rules; a board is what these rules make of score cards. First a board without any server, then a
# server that teams hand in to.

# %%
# On Colab (CPU or GPU runtime) this installs the program; with DRIVE, runs are kept on your Drive and go on there after
# the runtime was lost. Anywhere else it does nothing but name a folder.
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

import latentarena as la
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
with open("site/board.csv", encoding="utf-8") as file:
    for row in csv.DictReader(file):
        print(*(f"{row[key]:>14}" for key in list(row)[:8]))
