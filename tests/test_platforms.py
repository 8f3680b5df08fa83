"""A system without Unix's modules, signals and calls, such as Windows: every module loads and the lab works."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from latentarena.judge.classifier import Judge

ABSENT = """
import builtins, os, pkgutil, signal, sys
import filelock, fsspec, granian, lightning_fabric, matplotlib.pyplot, onnx, onnxruntime, platformdirs, pooch
import scipy.stats, sklearn.datasets, sqlalchemy, tempfile, torch

MODULES = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "crypt"}
SIGNALS = {"SIGHUP", "SIGKILL", "SIGALRM", "SIGCHLD", "SIGPIPE", "SIGUSR1", "SIGUSR2", "pthread_sigmask", "setitimer"}
CALLS = {"geteuid", "getuid", "getegid", "fork", "killpg", "setsid", "getpgid", "sched_getaffinity", "O_NOFOLLOW",
         "O_CLOEXEC", "O_DIRECTORY", "mkfifo", "setresuid", "setresgid", "setgroups", "fchmod", "sysconf", "statvfs",
         "memfd_create", "pidfd_open", "WNOHANG", "waitid"}
real = builtins.__import__

def without(name, globals=None, locals=None, fromlist=(), level=0):
    if name.split(".")[0] in MODULES and (globals or {}).get("__name__", "").startswith("latentarena"):
        raise ModuleNotFoundError(f"No module named {name!r}")
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = without
for one in SIGNALS:
    vars(signal).pop(one, None)
for one in CALLS:
    vars(os).pop(one, None)
sys.platform = "elsewhere"
"""
IMPORT_ALL = """
import latentarena
failed = {}
for found in pkgutil.walk_packages(latentarena.__path__, "latentarena."):
    if "migrations" not in found.name and not found.name.endswith("__main__"):
        try:
            __import__(found.name)
        except Exception as error:
            failed[found.name] = repr(error)
print(failed)
"""
COMMANDS = """
from latentarena.cli import main

def arena(*words):
    sys.argv = ["arena", *words]
    try:
        main()
    except SystemExit as stop:
        print(f"== {words[0]} {stop.code or 0}", flush=True)

tiny = ["autoencoder.latent=[6]", "autoencoder.widths=[4,8]", "generator.backbone.width=16",
        "training.autoencoder.epochs=0.2", "training.generator.epochs=0.2", "generator.backbone.depth=1"]
arena("recipes")
arena("doctor")
arena("train", "quickstart-digits", *tiny, "--out", "run", "--samples", "100")
arena("train", "quickstart-digits", *tiny, "--out", "run", "--no-judge", "--resume")
arena("sample", "run", "-n", "4", "--steps", "1")
arena("interpolate", "run", "--rows", "1", "--frames", "2", "--steps", "1")
arena("inpaint", "run", "--index", "0", "--steps", "1", "--fills", "1")
arena("judge", "run", "--samples", "100", "--untimed", "--json", "card.json")
arena("verify", "card.json", "run")
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run a program where what only Unix has is absent."""

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", ABSENT + code],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    return run


def test_every_module_loads(elsewhere: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    done = elsewhere(IMPORT_ALL)
    assert (done.returncode, done.stdout) == (0, "{}\n"), done.stderr


def test_every_command_of_the_lab_works(
    elsewhere: Callable[[str], subprocess.CompletedProcess[str]], digits_judge: Judge
) -> None:
    done = elsewhere(COMMANDS)
    ends = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("== ")]
    assert ends == [
        [command, "0"]
        for command in ("recipes", "doctor", "train", "train", "sample", "interpolate", "inpaint", "judge", "verify")
    ], done.stdout + done.stderr
    assert "Traceback" not in done.stderr
