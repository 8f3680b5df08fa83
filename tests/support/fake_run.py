"""Stands in for `arena train` where a test is about a study.

It is called with RUN RECORD train RECIPE seed=N --resume --out DIR --samples M. It notes its start in RECORD, works for
a fifth of a second, and leaves the bundle and card of the finished run RUN, with a Frechet distance of ten times the
arm's epochs and a little that depends on arm and seed. An arm named `broken` fails.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from pathlib import Path

run, record, _, recipe, seed, _, _, out, _, samples = sys.argv[1:11]
arm, number = Path(recipe).parent.name, int(seed.removeprefix("seed="))
with Path(record).open("a") as file:
    file.write(f"{arm} {number}\n")
if arm == "broken":
    sys.exit("it broke on purpose")
time.sleep(0.2)
epochs = float(re.findall(r"generator:\n\s+epochs: ([0-9.]+)", Path(recipe).read_text())[-1])
card = json.loads(Path(run, "score.json").read_text())
value = 10 * epochs + 0.01 * (number % 3) + 0.001 * len(arm) * number
card["scores"]["frechet"] |= {"value": value, "low": value, "high": value}
card["samples"] = int(samples)
if Path(run, "logs").exists():
    shutil.copytree(Path(run, "logs"), Path(out, "logs"), dirs_exist_ok=True)
shutil.copytree(Path(run, "bundle"), Path(out, "bundle"), dirs_exist_ok=True)
Path(out, "score.json").write_text(json.dumps(card))
