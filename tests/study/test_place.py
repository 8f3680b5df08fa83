"""Where a study's runs are made: a Ray cluster that loses a machine, a scheduler's jobs, wrong addresses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from latentarena.errors import ConfigError
from latentarena.run.judging import finished
from latentarena.study.on_slurm import on_slurm
from latentarena.study.place import StartedRun, place_of

BEGUN = "generator  step"
PORT, NODE = 23847, {"object_store_memory": 80 << 20}


def arguments(out: Path, *more: str) -> list[str]:
    """Of a run that trains for a few seconds."""
    few = ("training.autoencoder.epochs=0.2", "training.generator.epochs=60", "sampling.steps=2", *more)
    return ["train", "quickstart-digits", *few, "--resume", "--no-judge", "--out", str(out)]


def until(happened: Callable[[], object], seconds: float = 140) -> None:
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.05)
    assert happened()


def said(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def status(job: StartedRun) -> int | None:
    until(lambda: job.status() is not None)
    return job.status()


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A Ray cluster on this machine, without a node that makes runs."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    head = NODE | {"num_cpus": 0, "include_dashboard": False, "ray_client_server_port": PORT}
    try:
        started = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    except Exception as error:  # Ray names many reasons: no shared memory, no free port
        pytest.skip(f"no Ray cluster starts on this machine: {error}")
    yield started
    started.shutdown()


def add_node(cluster: Any) -> Any:
    """Another node of a core; Ray gives one half a minute to start, which a busy machine may need more than once."""
    try:
        return cluster.add_node(num_cpus=1, **NODE)
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        return cluster.add_node(num_cpus=1, **NODE)


def test_a_run_goes_on_where_another_machine_of_a_ray_cluster_left_it(cluster: Any, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    first = add_node(cluster)
    with place_of(f"ray://127.0.0.1:{PORT}", tmp_path, 1, None) as place:
        job = place.start(arguments(tmp_path / "run"), log)
        until(lambda: BEGUN in said(log))
        cluster.remove_node(first, allow_graceful=False)
        add_node(cluster)
        assert status(job) == 0
    assert said(log).count("autoencoder  step 1/") == 1  # a stage that was done is not done again
    assert (tmp_path / "run" / "bundle" / "card.json").exists()


def test_a_job_of_a_scheduler_is_stopped_and_gone_on_with(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    with on_slurm("slurm://short?time=9", tmp_path, 1, cluster="local") as place:
        job = place.start(arguments(tmp_path / "run"), log)
        until(lambda: BEGUN in said(log))
        job.stop()
        job.wait()
        assert status(job) != 0
        assert not (tmp_path / "run" / "bundle").exists()
        again = place.start(arguments(tmp_path / "run"), log)
        assert status(again) == 0
    assert said(log).count("autoencoder  step 1/") == 1
    assert said(log).count("has not produced any output") == 1  # a job that is done is not asked again
    assert finished(tmp_path / "run") is None  # nobody has judged it
    assert (tmp_path / "run" / "bundle" / "card.json").exists()


@pytest.mark.parametrize(
    ("on", "words"),
    [
        ("k8s", "'k8s' is unknown; choose ray, ray://HOST:PORT, slurm"),
        ("ray://127.0.0.1:9", "no Ray cluster answers"),
        ("ray://127.0.0.1:head", "no Ray cluster answers"),
        ("slurm://short?tiem=9", "tiem"),
    ],
)
def test_a_place_that_is_not_there_is_refused_in_one_line(on: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused, place_of(on, tmp_path, 1, None):
        pass
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_machine_that_can_send_no_jobs_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no `srun` here"), on_slurm("slurm", tmp_path, 1):
        pass
