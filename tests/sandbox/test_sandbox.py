"""Boxes: what a program may see and use, what is said of one that breaks a rule, and that nothing is left of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from boxes import BOXED, echoed, tried
from latentarena import errors
from latentarena.sandbox import Box, Limits, SandboxError, standing
from latentarena.sandbox.answers import Expected
from latentarena.sandbox.landlock import version
from latentarena.sandbox.resident import resident
from latentarena.sandbox.room import Room
from latentarena.sandbox.uids import UIDS, lease_uid


@BOXED
def test_facts_arrays_arguments_and_files_arrive() -> None:
    sent = {"images": np.random.default_rng(0).random((3, 28, 28), np.float32), "label": np.array([7])}
    with Box("echo", ["one", "two"], files={"a.onnx": b"12", "b/c": b""}, limits=Limits(), least=1) as box:
        for turn in range(2):
            facts, arrays = echoed(box, {"turn": turn}, sent)
            assert facts == {"turn": turn, "arguments": ["one", "two"], "files": ["a.onnx", "b/c"]}
            for name, array in sent.items():
                np.testing.assert_array_equal(arrays[name], array)


@BOXED
def test_a_program_that_fails_can_be_asked_again() -> None:
    with Box("echo", limits=Limits(), least=1) as box:
        with pytest.raises(SandboxError, match="echo: KeyError: 'sing'") as caught:
            box.call("sing", Expected())
        assert caught.value.reason == "failed"
        assert echoed(box, {"still": "here"})[0]["still"] == "here"


@BOXED
def test_a_closed_box_says_so() -> None:
    with Box("echo", limits=Limits(), least=1) as box:
        pass
    with pytest.raises(SandboxError, match="closed") as caught:
        echoed(box)
    assert caught.value.reason == "died"


@BOXED
def test_an_installation_below_tmp_is_as_safe_as_any() -> None:
    """A box has a /tmp of its own, which must not cover the package and must not let it be changed."""
    told = "from latentarena.sandbox import standing; print(standing().tier, len(standing().probes))"
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        shutil.copytree(Path(errors.__file__).parent, Path(folder, "latentarena"))
        command = [sys.executable, "-c", told]
        there = os.environ | {"PYTHONPATH": folder}
        done = subprocess.run(command, capture_output=True, text=True, env=there, cwd=folder, check=False)
    assert done.stdout.split() == [str(standing().tier), str(len(standing().probes))], done.stderr


def test_a_tier_that_is_not_there_is_refused_with_the_reason() -> None:
    box = Box("echo", limits=Limits(), least=9)
    with pytest.raises(SandboxError, match=r"echo needs a sandbox of tier 9, this machine has tier \d: \w+") as caught:
        box.__enter__()
    assert caught.value.reason == "no-sandbox"


EVALUATOR = """
import os, sys
from latentarena.sandbox import Box, Limits
from latentarena.sandbox.answers import texts
with Box("probe", limits=Limits(seconds=60, processes=16), least=1) as box:
    print(box._room._process.init, flush=True)
    box.call("try", texts(["it"]), {"scripts": {"it": sys.argv[1]}})
"""


@BOXED
@pytest.mark.parametrize(
    "script",
    [
        "while True: pass",
        "os.fork(), os.setsid(), os.fork()\nwhile True: pass",
        "import signal, time\nfor s in set(signal.Signals) - {9, 19}: signal.signal(s, signal.SIG_IGN)\ntime.sleep(99)",
    ],
)
def test_killing_the_evaluator_leaves_nothing_running(script: str) -> None:
    """What is below the first process of a box is seen by its pid namespace, whoever has adopted it."""
    with subprocess.Popen([sys.executable, "-c", EVALUATOR, script], stdout=subprocess.PIPE) as evaluator:
        assert evaluator.stdout is not None
        first = psutil.Process(int(evaluator.stdout.readline()))
        space = os.readlink(f"/proc/{first.pid}/ns/pid")
        while len(inhabitants(space)) < 2:
            time.sleep(0.05)
        time.sleep(1.0)  # the script has begun
        assert len(inhabitants(space)) >= 2
        evaluator.kill()
    time.sleep(1.0)
    assert inhabitants(space) == []


def inhabitants(space: str) -> list[int]:
    """The processes of a pid namespace, without those that have ended and wait for the machine's init to see them."""
    found = []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.NoSuchProcess):
            inside = os.readlink(f"/proc/{process.pid}/ns/pid") == space
            found += [process.pid] if inside and process.status() != psutil.STATUS_ZOMBIE else []
    return found


@BOXED
def test_a_box_whose_bubblewrap_was_killed_leaves_no_zombie() -> None:
    with Box("echo", limits=Limits(), least=1) as box:
        echoed(box)
        first, outer = box._room._process.init, box._room._process.outer
        outer.kill()
        outer.wait()
        while psutil.Process(first).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        with pytest.raises(SandboxError) as caught:
            echoed(box)
        assert caught.value.reason == "died"
    assert not psutil.pid_exists(first)


@BOXED
@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", "a//b", ".", "x\0y"])
def test_a_file_cannot_be_named_out_of_its_folder(name: str) -> None:
    box = Box("echo", files={name: b""}, limits=Limits(), least=1)
    with pytest.raises(SandboxError, match="no name for a file"):
        box.__enter__()


@BOXED
def test_a_folder_can_be_shown_and_not_changed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("seen")
    tmp_path.chmod(0o777)
    script = "assert open('/data/file').read() != 'seen', 'read'"
    with Box("probe", readable={"/data": tmp_path}, limits=Limits(), least=1) as box:
        scripts = {"read": script, "write": "open('/data/file', 'w')", "add": "open('/data/new', 'w')"}
        found = tried(box, scripts)
    assert found["read"] == "read"
    assert {found["write"], found["add"]} <= {"EROFS", "EACCES"}


@BOXED
def test_a_box_that_does_not_start_says_why_and_keeps_nothing(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    for _ in range(2):
        box = Box("echo", readable={"/data": tmp_path / "missing"}, limits=Limits(), least=1)
        with pytest.raises(SandboxError, match=r"did not start: bwrap: Can't .*missing: No such file") as caught, box:
            echoed(box)
        assert caught.value.reason == "start"
    assert psutil.Process().num_fds() == before


@BOXED
def test_boxes_leave_no_descriptor_behind() -> None:
    before = psutil.Process().num_fds()
    for _ in range(3):
        with Box("echo", files={"x": b"1"}, limits=Limits(), least=1) as box:
            echoed(box)
    assert psutil.Process().num_fds() == before


@BOXED
def test_threads_may_each_have_a_box() -> None:
    def talk(number: int) -> int:
        with Box("echo", limits=Limits(), least=1) as box:
            return int(echoed(box, {"number": number})[0]["number"])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(talk, range(8))) == list(range(8))


@BOXED
def test_a_library_may_use_the_threads_it_was_given() -> None:
    script = "import onnxruntime, threading\nt = threading.Thread(target=print); t.start(); t.join()\n"
    script += "assert os.environ['OMP_NUM_THREADS'] != '3', 'three'"
    with Box("probe", limits=Limits(threads=3), least=1) as box:
        assert tried(box, {"it": script}) == {"it": "three"}
        assert "Error" not in box.log


def test_the_watch_counts_a_whole_family_and_what_it_shares_once() -> None:
    parent = "import os, time\nx = b'1' * (50 << 20)\nfor _ in range(3): os.fork()\nprint(flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(8):
            process.stdout.readline()
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        assert 50 << 20 < resident(process.pid) < 110 << 20
        assert sum(one.memory_info().rss for one in family) > 400 << 20
        for one in family:
            one.kill()


LANDLOCK = pytest.mark.skipif(sys.platform != "linux" or not version(), reason="this kernel has no Landlock")
TIER_0 = {
    "read outside": ("open(arguments[0]).read()", {"EACCES"}),
    "list outside": ("os.listdir(os.path.dirname(arguments[0]))", {"EACCES"}),
    "password hashes": ("open('/etc/shadow')", {"EACCES"}),
    "processes": ("open(f'/proc/{os.getppid()}/environ')", {"EACCES"}),
    "write outside": ("open(arguments[0], 'w')", {"EACCES"}),
    "write to /tmp": ("open('/tmp/latentarena-test', 'w')", {"EACCES"}),
    "write to Python": ("open(os.__file__, 'a')", {"EACCES"}),
    "write inputs": ("open(os.environ['LATENTARENA_INPUTS'] + '/x', 'w')", {"EACCES"}),
    "TCP": ("import socket; socket.socket(socket.AF_INET)", {"EPERM"}),
    "fork": ("os.fork()", {"EPERM"}),
    "vfork": ("call('vfork')", {"EPERM", "ENOSYS"}),
    "exec": ("os.execv('/proc/self/exe', ['x'])", {"EPERM", "EACCES"}),
    "spawn": ("import subprocess; subprocess.run(['true'])", {"EPERM"}),
    "memfd": ("os.memfd_create('x')", {"EPERM"}),
    "ptrace": ("call('ptrace', 16, os.getppid(), 0, 0)", {"EPERM"}),
    "kill the parent": ("os.kill(os.getppid(), 9)", {"EPERM"}),
    "root": ("os.setuid(1)", {"EPERM"}),
}


@LANDLOCK
def test_tier_0_reads_its_inputs_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    room = Room("probe", [str(tmp_path / "secret")], {}, {"given": b"1"}, Limits(), bare=True)
    scripts = {name: script for name, (script, _) in TIER_0.items()}
    given = "assert open(os.environ['LATENTARENA_INPUTS'] + '/given').read() != '1', 'read'"
    threads = "import threading; t = threading.Thread(target=print); t.start(); t.join(); assert False, 'joined'"
    try:
        found = tried(room, scripts | {"given": given, "threads": threads})
        with pytest.raises(SandboxError) as caught:
            tried(room, {"memory": "bytearray(4 << 30)"})
    finally:
        room.close()
    assert (found.pop("given"), found.pop("threads")) == ("read", "joined")
    assert {name: answer for name, answer in found.items() if answer not in TIER_0[name][1]} == {}
    assert caught.value.reason == "memory"


@LANDLOCK
def test_tier_0_is_ended_in_time() -> None:
    before = psutil.Process().children()
    room = Room("probe", [], {}, {}, Limits(seconds=1.5), bare=True)
    with pytest.raises(SandboxError, match=r"no answer within 1\.5 s when it was asked to try"):
        tried(room, {"loop": "while True: pass"})
    assert psutil.Process().children() == before


@pytest.mark.skipif(standing().tier < 2, reason=f"one user id per box needs tier 2: {standing().reason}")
def test_two_boxes_have_two_users_and_neither_is_root() -> None:
    script = {"it": "assert False, f'{os.getuid()} {os.geteuid()} {os.getgid()} {os.getgroups()}'"}
    with Box("probe", limits=Limits(), least=2) as one, Box("probe", limits=Limits(), least=2) as other:
        found = [tried(box, script)["it"] for box in (one, other)]
    users = [int(line.split()[0]) for line in found]
    assert users[0] != users[1]
    assert found == [f"{user} {user} {user} []" for user in users]
    assert set(users) <= set(UIDS)


@BOXED
def test_a_limit_of_memory_holds_while_arrays_of_that_size_pass() -> None:
    limits = Limits(memory=256 << 20, output=64 << 20)
    with Box("echo", limits=limits, least=1) as box:
        sent = np.random.default_rng(0).integers(0, 255, 48 << 20, np.uint8)
        np.testing.assert_array_equal(echoed(box, {}, {"x": sent})[1]["x"], sent)
        with pytest.raises(SandboxError) as caught:
            echoed(box, {}, {"x": sent[: 8 << 20], "y": np.zeros(400 << 20, np.uint8)})
        assert caught.value.reason == "memory"
        with pytest.raises(SandboxError) as caught:
            echoed(box)
        assert caught.value.reason == "died"


def test_a_system_without_locks_is_told_to_be_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latentarena.sandbox.uids.LOCKS", tmp_path / "locks")
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    with (
        pytest.raises(SandboxError, match=r"locks of Linux .fcntl., not here; run this on Linux") as refused,
        lease_uid(),
    ):
        pass
    assert refused.value.reason == "no-sandbox"
