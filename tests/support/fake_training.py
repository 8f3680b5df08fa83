"""Stands in for a repeated training where a test is about the queue: RECORD SECONDS BUNDLE --out DIR --work W ...

It works for so many seconds in all, over as many processes as that takes: what is done is noted in W. Every start is a
line in RECORD. A bundle that says `refuse` is refused, one that says `die` kills it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import zipfile
from pathlib import Path

record, seconds, bundle, _, out, _, work = sys.argv[1:8]
with zipfile.ZipFile(bundle) as packed:
    told = packed.read("weights.safetensors").decode()
with Path(record).open("a") as file:
    file.write(f"train {os.getpid()} {told}\n")
words = told.split()
if "die" in words:
    os.kill(os.getpid(), signal.SIGSEGV)
if "refuse" in words:
    said = {"state": "refused", "reason": "bundle", "sentence": "it has no recipe"}
    Path(out, "refusal.json").write_text(json.dumps(said))
    sys.exit(0)
steps = Path(work, "steps")
done = len(steps.read_text()) if steps.exists() else 0
while done < float(seconds) * 20:
    time.sleep(0.05)
    done += 1
    with steps.open("a") as file:
        file.write(".")
content = Path(record).with_name("certificate.json").read_text()
Path(out, "certificate.json").write_text(content)
