"""What the gates cost an honest bundle, and what hostile files cost the gates: writes docs/gates.md.

    python benchmarks/gates.py [--docs DIR] [--runs 200]

Two bundles of a megabyte are made, one of each form, with random weights. Each run reads the zip file and passes every
gate in a process that is warm: imports are not counted, nor is what happens in a box. The exit status is the number of
promises that were missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from latentarena.bundle import BundleCard, PortableCard, Provenance, export_bundle, save_bundle
from latentarena.config import validate
from latentarena.errors import GateError
from latentarena.facts import machine, versions
from latentarena.files import make_folder, write_text
from latentarena.gates import check_card, check_graph, check_in_box, check_tensors, open_archive, open_files
from latentarena.latents import LatentStatistics
from latentarena.model.latent_model import LatentModel
from latentarena.train.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from corpus import archive_cases, card_cases, folder_cases, graph_cases, tensor_cases  # noqa: E402
from corpus.case import Case  # noqa: E402
from corpus.watch import watched  # noqa: E402

PROMISED = 50.0  # ms for all gates, 1 MB of either form
LARGE = [
    "generator.backbone={kind: mlp, width: 160, depth: 4, conditioning: 16}",
    "sampling={solver: euler, steps: 20}",
]
GRAPHS = ("encode", "decode", "generate")
Times = dict[str, list[tuple[float, float]]]  # by stage, of each run: ms of the processor, ms on the clock
Refusals = list[tuple[Case, float, int]]  # seconds of the processor, bytes


def bundles(folder: Path) -> tuple[Path, Path]:
    """Zip files of an untrained native bundle and of the same, exported."""
    recipe = load_recipe("quickstart", LARGE)
    model = LatentModel(recipe.architecture((1, 28, 28), tuple("0123456789"))).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape))
    made = Provenance(
        recipe=recipe.model_dump(mode="json"),
        dataset="mnist",
        data="",
        seconds={},
        losses={},
        latents=LatentStatistics(dimensions=28, dead=0, smallest=1, largest=1, kl=None),
        machine=machine(),
        versions=versions(),
    )
    export_bundle(save_bundle(folder / "native", "honest", model, made), folder / "portable")
    return tuple(Path(shutil.make_archive(str(folder / form), "zip", folder / form)) for form in ("native", "portable"))


def timed(times: Times, stage: str, work: Callable[[], object]) -> object:
    processor, clock = time.process_time(), time.perf_counter()
    result = work()
    spent = 1000 * (time.process_time() - processor), 1000 * (time.perf_counter() - clock)
    times.setdefault(stage, []).append(spent)
    return result


def native(path: Path, times: Times) -> None:
    files = timed(times, "zip file", lambda: open_archive(path))
    raw = timed(times, "card", lambda: check_card(files["card.json"]))
    timed(times, "card's schema", lambda: validate(BundleCard, raw, "card.json"))
    timed(times, "weights", lambda: check_tensors(files["weights.safetensors"]))


def portable(path: Path, times: Times) -> None:
    files = timed(times, "zip file", lambda: open_archive(path))
    raw = timed(times, "card", lambda: check_card(files["card.json"]))
    card = timed(times, "card's schema", lambda: validate(PortableCard, raw, "card.json"))
    for graph in GRAPHS:
        content = files[f"{graph}.onnx"]
        timed(times, graph, lambda c=content, g=graph: check_graph(c, *card.ports(g), g))


def in_box(path: Path) -> float:
    """Milliseconds of `check_in_box` for the three graphs together: the walk again, ONNX's checker and the counting."""
    files, times = open_archive(path), {}
    card = validate(PortableCard, check_card(files["card.json"]), "card.json")
    for graph in GRAPHS:
        content = files[f"{graph}.onnx"]
        for _ in range(20):
            timed(times, graph, lambda c=content, g=graph: check_in_box(c, *card.ports(g), g))
    return whole(times)[0]


def whole(times: Times) -> tuple[float, float]:
    """Medians of all stages together, of the processor and on the clock."""
    runs = [[sum(spent) for spent in zip(*run, strict=True)] for run in zip(*times.values(), strict=True)]
    processor, clock = (statistics.median(column) for column in zip(*runs, strict=True))
    return processor, clock


def hostile() -> Refusals:
    """Each case of the gates' corpus with the seconds of the processor and the bytes that its refusal took."""
    ports = graph_cases.INPUTS, graph_cases.OUTPUT, "decode.onnx"
    tables = [
        (graph_cases.REFUSED, lambda content: check_graph(content, *ports)),
        (graph_cases.CHECKED, lambda content: check_in_box(content, *ports)),
        ([*archive_cases.REFUSED, *archive_cases.BOMBS], open_archive),
        (tensor_cases.REFUSED, check_tensors),
        (card_cases.REFUSED, check_card),
    ]
    found = [(case, *refusal(case.make(), gate, case.reason)) for table, gate in tables for case in table]
    for case in folder_cases.REFUSED:
        with tempfile.TemporaryDirectory() as scratch:
            folder = folder_cases.filled(Path(scratch) / "bundle")
            case.spoil(folder)
            found.append((case, *refusal(folder, open_files, case.reason)))
    return found


def refusal(given: object, gate: Callable[..., object], reason: str) -> tuple[float, int]:
    with watched() as seen:
        try:
            gate(given)
        except GateError as error:
            if error.reason != reason:
                raise
        else:
            raise SystemExit(f"a hostile file passed: {reason}")
    return seen.seconds, seen.peak


def row(form: str, path: Path, times: Times) -> str:
    size = sum(map(len, open_archive(path).values())) / 1e6
    processor, clock = whole(times)
    parts = [f"{stage} {statistics.median(spent for spent, _ in one):.1f}" for stage, one in times.items()]
    return f"| {form} | {size:.2f} MB | **{processor:.1f}** | {clock:.1f} | {', '.join(parts)} |"


def page(
    runs: int,
    rows: list[str],
    nodes: dict[str, int],
    boxed: float,
    stranger: float,
    cases: list[tuple[Case, float, int]],
) -> str:
    slowest, largest = max(cases, key=lambda one: one[1]), max(cases, key=lambda one: one[2])
    counts = ", ".join(f"{count:,} in {name}" for name, count in nodes.items())
    return f"""# The gates, measured

Made by `python benchmarks/gates.py --runs {runs}` on {machine()}.
The load was {os.getloadavg()[0]:.0f} processes on these cores.

Every file of a stranger passes a gate before anything else looks at it. Below are all gates for an honest bundle of a
megabyte, from the zip file on, in one process that is warm: imports are not counted. Promised are {PROMISED:.0f} ms.
The gates run on one core and wait for nothing, so that the processor's time is what the clock shows on a quiet machine.

| form | files | processor, ms | clock, ms | parts, ms of the processor |
|---|---|---|---|---|
{chr(10).join(rows)}

All are medians. The portable bundle's graphs have {counts} nodes.
A stranger's graphs are checked inside boxes, by the same walk, ONNX's own checker and the inference of shapes: these
take {boxed:.1f} ms of the processor for the three graphs together, and with zip file and card {stranger:.1f} ms.

Of {len(cases)} hostile files (rows 1 to 11 and 13 to 15 of the threat matrix) all are refused, each for the reason that
it was made for. The slowest refusal takes {slowest[1]:.2f} s of the processor (`{slowest[0]}`), the largest
{largest[2] / 1e6:.0f} MB of Python's memory beside the file itself (`{largest[0]}`), both while memory is traced, which
costs time.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, missed = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        paths = bundles(Path(scratch))
        for form, path, gates in zip(("native", "portable"), paths, (native, portable), strict=True):
            times: Times = {}
            gates(path, {})
            for _ in range(options.runs):
                gates(path, times)
            rows.append(row(form, path, times))
            missed += whole(times)[0] > PROMISED
        files = open_archive(paths[1])
        card = validate(PortableCard, check_card(files["card.json"]), "card.json")
        nodes = {g: check_graph(files[f"{g}.onnx"], *card.ports(g), g).nodes for g in GRAPHS}
        boxed = in_box(paths[1])
    stranger = boxed + whole({stage: one for stage, one in times.items() if stage not in GRAPHS})[0]
    missed += stranger > PROMISED
    text = page(options.runs, rows, nodes, boxed, stranger, hostile())
    make_folder(options.docs)
    write_text(options.docs / "gates.md", text)
    print(text)
    return missed


if __name__ == "__main__":
    sys.exit(main())
