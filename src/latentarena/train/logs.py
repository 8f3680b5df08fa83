"""Loss curves on disk: CSV to read, TensorBoard to watch; both continue where a resumed run continues."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from latentarena.files import explained, make_folder, write_text
from latentarena.train.loop import Tick

__all__ = ["curve", "logged"]


def logged(ticks: Iterator[Tick], folder: Path, stage: str) -> Iterator[Tick]:
    """Pass ticks on and write their metrics to `<folder>/<stage>.csv` and to TensorBoard events beside it.

    Rows later than the first tick's step, left by a run that was killed, are removed first.
    """
    from torch.utils.tensorboard import SummaryWriter

    make_folder(folder)
    path = folder / f"{stage}.csv"
    first = next(ticks)
    _truncate(path, first.step)
    yield first
    with explained(folder):
        events = SummaryWriter(str(folder / "tensorboard" / stage), purge_step=first.step + 1)
    try:
        with explained(path), path.open("a", newline="") as file:
            writer: csv.DictWriter[str] | None = None
            for tick in ticks:
                if tick.metrics:
                    row = {
                        "step": tick.step,
                        "samples": tick.samples,
                        "seconds": round(tick.seconds, 3),
                        **tick.metrics,
                    }
                    if writer is None:
                        writer = csv.DictWriter(file, list(row))
                        if file.tell() == 0:
                            writer.writeheader()
                    writer.writerow(row)
                    file.flush()
                    for name, value in tick.metrics.items():
                        events.add_scalar(f"{stage}/{name}", value, tick.step)
                yield tick
    finally:
        events.close()


def curve(folder: Path, stage: str) -> dict[str, list[float]]:
    """The columns of a stage's CSV log; empty where there is none."""
    path = folder / f"{stage}.csv"
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else {})}


def _truncate(path: Path, step: int) -> None:
    if path.is_file():
        header, *rows = path.read_text().splitlines() or [""]
        kept = [row for row in rows if row.split(",", 1)[0].isdigit() and int(row.split(",", 1)[0]) <= step]
        write_text(path, "".join(f"{line}\n" for line in [header, *kept]) if kept else "")
