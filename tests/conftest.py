"""Shared fixtures: a private cache, tiny data, and one tiny trained run that many tests look at."""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from lightning_fabric import Fabric

from command import TINY, Arena
from forked import Forked
from latentarena.bundle import OWN, NativeBundle, export_bundle, native_of, open_bundle
from latentarena.cli import main
from latentarena.data.digits import embedded_digits
from latentarena.files import cache_folder
from latentarena.judge.classifier import Judge
from latentarena.judge.training import JudgeConfig, judge_for, train_judge
from latentarena.sandbox import standing
from latentarena.train.loop import FitConfig
from postgres_server import PostgresServer, programs

sys.dont_write_bytecode = False  # else each worker rewrites the assertions of all tests anew
JUDGE = JudgeConfig(width=8, fit=FitConfig(epochs=10, batch=64, lr=1e-2))  # four seconds' work


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all the workers of this session together."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def private_cache(common: Path) -> None:
    """No test reads or fills the user's cache; subprocesses inherit this."""
    os.environ["LATENTARENA_CACHE"] = str(common / "cache")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of hundreds of child processes compiles the package
    os.environ["OMP_NUM_THREADS"] = "1"  # the models are tiny: threads that wait for each other cost more than they do
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_log() -> Generator[None]:
    """A command that runs in this process sets up the package's log for its own process: undone after each test."""
    log = logging.getLogger("latentarena")
    level, handlers, propagate = log.level, log.handlers[:], log.propagate
    yield
    log.setLevel(level)
    log.handlers, log.propagate = handlers, propagate


@pytest.fixture(scope="session")
def postgres() -> Generator[PostgresServer]:
    """A PostgreSQL of one's own."""
    home = programs()
    if home is None:
        pytest.skip("NO POSTGRESQL HERE: initdb was not found, or there is no user but root to run it")
    server = PostgresServer(home)
    yield server
    server.stop()


SECONDS = "files/seconds"  # in pytest's cache: by file, what its tests took when the whole suite was last run
MEASURED = Path(__file__).parent / "support" / "seconds.json"  # the same of files that take long, for a new checkout
LONG = 3.0
_seconds: dict[str, float] = {}  # of this session


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test PYTEST=--measure` keeps what each file took, for others to start with."""
    parser.addoption("--measure", action="store_true", help=f"write what each file takes into {MEASURED.name}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up what each file takes; with xdist the first process hears of every worker's tests."""
    file = report.nodeid.partition("::")[0]
    _seconds[file] = _seconds.get(file, 0.0) + report.duration


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests stay to the end: no search for garbage looks at these 800,000 objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Longest files first, so that no worker is left with one when all else is done.

    With `--dist loadfile --no-loadscope-reorder` a worker takes the next file of this order.
    """
    known = json.loads(MEASURED.read_text()) | (config.cache.get(SECONDS, {}) if getattr(config, "cache", None) else {})
    size = {item.path: item.path.stat().st_size for item in items}
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason=NO_GPU))
    items.sort(key=lambda item: (-known.get(item.nodeid.partition("::")[0], 0.0), -size[item.path], item.path))


NO_GPU = "NO CUDA DEVICE HERE: GPU figures and their agreement with the CPU's are untested"
OUTCOMES = ("passed", "failed", "error", "skipped")


@pytest.fixture(scope="session")
def arena() -> Arena:
    """Run the command line in a second process, as a user does; in one from the start where the environment differs."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        words = [str(one) for one in arguments]
        if not environment:
            return Forked(words).finish()
        return subprocess.run(
            [sys.executable, "-m", "latentarena", *words],
            capture_output=True,
            text=True,
            env=os.environ | environment,
            check=False,
        )

    return run


@pytest.fixture
def arena_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Arena:
    """The command line in this process, for what has nothing to do with processes: one takes seconds to start."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["arena", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, int(stop.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="session")
def digits_judge(common: Path) -> Judge:
    """A judge of the embedded digits, smaller than the one that is trained for whoever has none, and as good."""
    data = embedded_digits()
    with FileLock(common / "judge.lock"):
        home = cache_folder() / "judges" / data.digest[:16]
        if not any(home.glob("*.safetensors")):
            train_judge(data, JUDGE, Fabric(accelerator="cpu", devices=1), home)
    judge = judge_for(data)
    assert judge.facts.accuracy > 0.98
    return judge


@pytest.fixture(scope="session")
def tiny_run(common: Path, arena: Arena, digits_judge: Judge) -> Path:
    """The folder of a whole run of a tiny model on the embedded digits; no test changes it."""
    folder = common / "tiny"
    with FileLock(common / "tiny.lock"):
        if not (folder / "report.html").exists():
            done = arena("train", "quickstart-digits", *TINY, "--out", folder, "--resume")
            assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run: Path) -> NativeBundle:
    """The tiny run's bundle."""
    return native_of(open_bundle(tiny_run / "bundle", trust=OWN))


@pytest.fixture(scope="session")
def portable_folder(common: Path, tiny_bundle: NativeBundle) -> Path:
    """The tiny run's bundle, exported, which takes seconds; no test changes it."""
    folder = common / "portable"
    with FileLock(common / "portable.lock"):
        if not folder.exists():
            export_bundle(tiny_bundle, folder)
    return folder


def _remember(config: pytest.Config) -> None:
    """Keep what each file took, if this session was the whole suite."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
    if whole and getattr(config, "cache", None) and "PYTEST_XDIST_WORKER" not in os.environ:
        config.cache.set(SECONDS, _seconds)
    if config.option.measure and "PYTEST_XDIST_WORKER" not in os.environ:
        long = {file: round(seconds) for file, seconds in sorted(_seconds.items()) if seconds > LONG}
        MEASURED.write_text(json.dumps(long, indent=1) + "\n")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """The last line: how much of the hostile corpus was contained. Workers of xdist report to the first process."""
    yield
    _remember(session.config)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    nodes = {
        name: {one.nodeid for one in reporter.stats.get(name, []) if "corpus" in getattr(one, "keywords", ())}
        for name in OUTCOMES
    }
    total = len(set().union(*nodes.values()))
    if total:
        contained = len(nodes["passed"] - nodes["failed"] - nodes["error"])
        missing = f", {len(nodes['skipped'])} not run: -rs says why" if nodes["skipped"] else ""
        reporter.write_line(f"hostile corpus: {contained} of {total} contained{missing}")


@pytest.fixture(scope="session")
def tier2() -> None:
    """Skips, with the reason, where the sandbox is not tight enough for Python."""
    found = standing()
    if found.tier < 2:
        pytest.skip(f"needs a sandbox of tier 2, here is tier {found.tier}: {found.reason}")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped for want of a GPU; pytest itself says only that some were skipped."""
    skipped = sum(NO_GPU in str(report.longrepr) for report in terminalreporter.stats.get("skipped", []))
    if skipped:
        terminalreporter.write_line(f"{NO_GPU}: {skipped} tests skipped", yellow=True)
