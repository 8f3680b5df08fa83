"""What boxes cost a whole evaluation, and that killing the evaluator leaves nothing behind.

    python benchmarks/boxed.py PORTABLE_BUNDLE [--samples 10000] [--turns 3]

Boxed and in this process by turns, untimed cards, on one thread; prints seconds of each and whether the cards agree.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from latentarena.bundle import load_boxed, load_portable
from latentarena.facts import machine
from latentarena.judge.training import judge_for, opinions_for
from latentarena.sandbox import standing
from latentarena.study.scoring import data_of, score_bundle
from latentarena.study.verify import differences


def cost(path: Path, samples: int, turns: int) -> None:
    """Seconds of opening and scoring, boxed and not, by turns."""
    data = data_of(load_portable(path), None)
    judge, opinions = judge_for(data), opinions_for(data)
    score_bundle(load_portable(path), data, judge, opinions, samples, timed=False)  # what is known of real images
    taken: dict[str, list[float]] = {"open boxed": [], "open here": [], "score boxed": [], "score here": []}
    for _ in range(turns):
        start = time.perf_counter()
        with load_boxed(path) as bundle:
            opened = time.perf_counter()
            boxed, _ = score_bundle(bundle, data, judge, opinions, samples, timed=False)
            taken["open boxed"].append(opened - start)
            taken["score boxed"].append(time.perf_counter() - opened)
        start = time.perf_counter()
        own = load_portable(path)
        opened = time.perf_counter()
        card, _ = score_bundle(own, data, judge, opinions, samples, timed=False)
        taken["open here"].append(opened - start)
        taken["score here"].append(time.perf_counter() - opened)
        print("cards differ in", [one.name for one in differences(boxed, card)] or "nothing", flush=True)
    for name, seconds in taken.items():
        print(f"{name:>12}: median {statistics.median(seconds):.2f} s of {[round(one, 2) for one in seconds]}")


def leftovers(path: Path, turns: int) -> None:
    """Kill the evaluator while its boxes run; count what of them still lives a second later."""
    for _ in range(turns):
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "latentarena.study.evaluate", str(path), "--out", f"{out}/out"]
            process = subprocess.Popen(command)
            until = time.monotonic() + 120
            while len(boxes(process.pid)) < 9 and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            running = boxes(process.pid)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            time.sleep(1)
            left = [pid for pid in running if state(pid) not in ("", "Z")]  # a zombie runs no more
            print(f"killed with {len(running)} processes of boxes; {len(left)} left after 1 s", flush=True)


def state(pid: int) -> str:
    """Of a process, as the kernel writes it; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def boxes(root: int) -> set[int]:
    """All that descend from a process."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family - {root}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; tier {standing().tier}")
    leftovers(chosen.bundle, chosen.turns)
    cost(chosen.bundle, chosen.samples, chosen.turns)


if __name__ == "__main__":
    main()
