"""Programs in processes of their own with all modules loaded: forked from one that has, each saves two seconds."""

from __future__ import annotations

import gc
import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

LOADED = [
    "latentarena.cli.app",
    "latentarena.cli.console",
    "latentarena.run.pipeline",
    "latentarena.run.watching",
    "latentarena.report.report",
    *("lightning_fabric.fabric", "torch.utils.tensorboard", "sklearn.linear_model", "scipy.stats"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg"),
]
"""With what these load only when a model is trained, judged or drawn."""
MODULE = "latentarena"


class Forked:
    """A program that was started, as `subprocess.Popen` has them."""

    def __init__(self, arguments: Sequence[str], program: str = MODULE, log: Path | None = None) -> None:
        """Start a module, a script by its path, or lines of code, in this folder and environment.

        What it says goes to the end of `log`, if that is given.
        """
        fork = multiprocessing.get_context("forkserver")
        fork.set_forkserver_preload(LOADED)
        self._home = TemporaryDirectory()
        if "\n" in program:
            script = Path(self._home.name, "program.py")
            script.write_text(program)
            program = str(script)
        self.args = [program, *arguments]
        self._said = [log or Path(self._home.name, name) for name in ("out", "err")]
        for path in self._said:
            path.touch()
        self._process = fork.Process(target=_child, args=(self.args, os.getcwd(), dict(os.environ), self._said))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def said(self) -> str:
        """What it has said so far, but for complaints."""
        return self._said[0].read_text("utf-8")

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def finish(self, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        """What it came to and said."""
        try:
            code = self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        out, err = (path.read_text("utf-8") for path in self._said)
        return subprocess.CompletedProcess(self.args, code, out, err)


def _child(words: Sequence[str], folder: str, environment: dict[str, str], said: Sequence[Path]) -> None:
    gc.freeze()  # else the first search for garbage copies the memory of all that was loaded, which takes a second
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(said, 1):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.stdout.reconfigure(write_through=True)  # others wait for what it says
    sys.argv = list(words)
    if words[0] == MODULE:
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")
