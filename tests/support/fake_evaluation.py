"""Stands in for the evaluation where a test is about the queue: CARD RECORD BUNDLE --out DIR ... does what BUNDLE says.

A bundle is scored, unless its weights are `do`, a word and numbers: `score`, `sleep SECONDS`, `busy SECONDS` (of a
core), `refuse`, `die`, `broken` (a fault of the machine), `kill` (its worker), `link`, `huge`. See `bundle_that`.
Pictures beside CARD become its own. Every start is a line in RECORD: this process and its worker.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import zipfile
from pathlib import Path

card, record, bundle, _, out = map(Path, sys.argv[1:6])
with record.open("a") as file:
    file.write(f"{os.getpid()} {os.getppid()}\n")
with zipfile.ZipFile(bundle) as packed:
    weights = [packed.read(name) for name in packed.namelist() if name.endswith("weights.safetensors")]
told = weights[0] if weights and weights[0].startswith(b"do ") else b"do score"
_, word, *numbers = told.decode().split()
if word == "sleep":
    time.sleep(float(numbers[0]))
if word == "busy":
    while time.process_time() < float(numbers[0]):
        pass
if word == "die":
    os.kill(os.getpid(), signal.SIGSEGV)
if word == "broken":
    sys.exit(1)
if word == "kill":
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
if word == "refuse":
    said = {"state": "refused", "reason": "zip-bomb", "sentence": "it unpacks to too much", "log": "seen \0 there"}
    (out / "refusal.json").write_text(json.dumps(said))
    sys.exit(1)
if word == "link":
    (out / "card.json").symlink_to("/etc/passwd")
    sys.exit(0)
shutil.copy(card, out / "card.json")
(out / "bundle.json").write_text('{"form": "portable", "name": "fake"}')
(out / "samples.png").write_bytes(b"\x89PNG")
for picture in card.parent.glob("*.png"):
    shutil.copy(picture, out)
(out / "../escaped.png").write_bytes(b"outside")
if word == "huge":
    with (out / "huge.png").open("wb") as file:
        file.truncate(1 << 30)
