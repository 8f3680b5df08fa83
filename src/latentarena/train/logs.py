"""Loss curves on disk: CSV to read, TensorBoard to watch; both continue where a resumed run continues."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from latentarena.errors import OutputError
from latentarena.files import explained, make_folder, write_atomically
from latentarena.train.loop import Tick
from latentarena.train.shelter import Reach, plainly


def logged(ticks: Generator[Tick], folder: Path, stage: str, reach: Reach = plainly) -> Iterator[Tick]:
    """Pass ticks on and write their metrics to `<folder>/<stage>.csv` and to TensorBoard events beside it.

    Rows later than the first tick's step, left by a run that was killed, are removed first. A fault of writing is
    raised where training stands, which can save its state.
    """
    first = next(ticks)
    table = _Growing(f"{stage}.csv", reach(folder, lambda place: _rows_until(place / f"{stage}.csv", first.step)))
    events = _Growing(f"tensorboard/{stage}/events.out.tfevents.{int(time.time())}.{os.getpid()}", b"")
    events.content += _records(first.step, {}, purge=True)

    def write(place: Path) -> None:
        table.write(place)
        events.write(place)

    reach(folder, table.write)
    yield first
    for tick in ticks:
        if tick.metrics:
            table.content += _row(tick, header=not table.content)
            events.content += _records(tick.step, {f"{stage}/{name}": value for name, value in tick.metrics.items()})
            try:
                reach(folder, write)
            except OutputError as fault:
                ticks.throw(fault)
        yield tick


class _Growing:
    """A file that is appended to, and written anew where it is not what was written before: it may have moved."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name, self.content, self.written = name, content, 0

    def write(self, folder: Path) -> None:
        path = make_folder((folder / self.name).parent) / Path(self.name).name
        size = path.stat().st_size if path.is_file() else -1
        if size != self.written:
            write_atomically(path, self.content)
        else:
            with explained(path), path.open("ab") as file:
                file.write(self.content[self.written :])
        self.written = len(self.content)


def _row(tick: Tick, header: bool) -> bytes:
    row = {"step": tick.step, "samples": tick.samples, "seconds": round(tick.seconds, 3), **tick.metrics}
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(row), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerow(row)
    return text.getvalue().encode()


def _records(step: int, scalars: dict[str, float], purge: bool = False) -> bytes:
    """TensorBoard's records of a step; with `purge` the head of a file, which hides what follows the step in others."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    now, events = time.time(), []
    if purge:
        events.append(Event(wall_time=now, file_version="brain.Event:2"))
        events.append(Event(wall_time=now, step=step + 1, session_log=SessionLog(status=SessionLog.START)))
    for name, value in scalars.items():
        summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        events.append(Event(wall_time=now, step=step, summary=summary))
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def curve(folder: Path, stage: str) -> dict[str, list[float]]:
    """The columns of a stage's CSV log; empty where there is none."""
    path = folder / f"{stage}.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else {})}


def _rows_until(path: Path, step: int) -> bytes:
    """Head and rows of a log up to a step; nothing where there are none."""
    header, *rows = (path.read_text(encoding="utf-8") if path.is_file() else "").splitlines() or [""]
    kept = [row for row in rows if row.split(",", 1)[0].isdigit() and int(row.split(",", 1)[0]) <= step]
    return "".join(f"{line}\n" for line in [header, *kept]).encode() if kept else b""
