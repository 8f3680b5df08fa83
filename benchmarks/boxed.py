"""What boxes add to a whole evaluation, and that killing the evaluator leaves nothing behind: writes docs/boxed.md.

    python benchmarks/boxed.py PORTABLE_BUNDLE [--samples 1000] [--turns 3] [--kills 5]

Boxed and in this process by turns, untimed cards, on one thread. What is compared is processor time, of this process
and of all that it started, which other work on the machine does not stretch.
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

from latentarena.bundle import BOXED, OWN, open_bundle
from latentarena.card.score_card import ScoreCard
from latentarena.data import Dataset
from latentarena.evaluate.scoring import Panel, data_of, judge_bundle
from latentarena.evaluate.verify import differences
from latentarena.facts import machine
from latentarena.files import write_text
from latentarena.judge.training import judge_for, opinions_for
from latentarena.sandbox import standing

OUT = Path(__file__).parents[1] / "docs" / "boxed.md"
BOXES = 9  # processes of three boxes: bubblewrap outside, its first process inside, the program


TICKS = os.sysconf("SC_CLK_TCK")


def processor() -> float:
    """Seconds of this process and of all that it has running: a box's time is lost to it once the box has ended."""
    seconds = 0.0
    for pid in {os.getpid(), *boxes(os.getpid())}:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        seconds += (int(fields[11]) + int(fields[12])) / TICKS  # in user and in kernel mode
    return seconds


def cost(path: Path, samples: int, turns: int) -> tuple[dict[str, list[float]], int]:
    """Processor seconds from opening a bundle to its card, both ways by turns; and how many turns gave two cards."""
    data = data_of(open_bundle(path, trust=OWN), None)
    judged(path, False, data, samples)  # what is known of real images is kept from here on
    boxed, here, apart = list[float](), list[float](), 0
    for _ in range(turns):
        (card, seconds), (other, others) = (judged(path, way, data, samples) for way in (True, False))
        boxed.append(seconds)
        here.append(others)
        apart += bool(differences(card, other))
    return {"in boxes": boxed, "in this process": here}, apart


def judged(path: Path, boxed: bool, data: Dataset, samples: int) -> tuple[ScoreCard, float]:
    start = processor()
    with open_bundle(path, trust=BOXED if boxed else OWN) as bundle:
        card = judge_bundle(bundle, Panel(data, judge_for(data), opinions_for(data)), samples, timed=False).card
        return card, processor() - start


def leftovers(path: Path, kills: int) -> tuple[int, int]:
    """Kill the evaluator while its boxes run: how many processes they had, and how many live a second later."""
    had = left = 0
    for _ in range(kills):
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "latentarena.evaluate.evaluate", str(path), "--out", f"{out}/out"]
            process = subprocess.Popen(command)
            until = time.monotonic() + 120
            while len(boxes(process.pid)) < BOXES and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            running = boxes(process.pid)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            time.sleep(1)
            had += len(running)
            left += len([pid for pid in running if state(pid) not in ("", "Z")])  # a zombie runs no more
    return had, left


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


def page(path: Path, samples: int, turns: int, kills: int) -> str:
    had, left = leftovers(path, kills)
    taken, apart = cost(path, samples, turns)
    boxed, here = (statistics.median(seconds) for seconds in taken.values())
    rows = [
        f"| {name} | **{statistics.median(seconds):.1f}** | {', '.join(f'{one:.1f}' for one in seconds)} |"
        for name, seconds in taken.items()
    ]
    card = open_bundle(path, trust=OWN).card
    words = f"""# What boxes add to an evaluation

Made by `python benchmarks/boxed.py` on {machine()}, one thread, sandbox tier {standing().tier}; do not edit.

The portable form of `{card.name}` ({sum(card.parameters.values()):,} parameters, {card.sampling.steps} steps) is opened
and judged on {samples:,} samples and the whole test split, in boxes and in the judge's own process by turns. Counted is
the processor's time of all processes together, from opening to the card.

| run | processor, s (median) | each turn |
|---|---:|---|
"""
    return (
        words
        + "\n".join(rows)
        + f"""

Boxes add {boxed - here:.1f} s: three interpreters start, each graph passes gate and checker, and arrays cross pipes.
Cards that differed between the two: {apart} of {turns}.

`kill -9` of the evaluator, {kills} times while its boxes ran: of {had} processes of boxes {left} lived a second later.
"""
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--kills", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    write_text(OUT, page(chosen.bundle, chosen.samples, chosen.turns, chosen.kills))
    print(OUT.read_text())


if __name__ == "__main__":
    main()
