"""How good the sandbox of this machine is: found out by trying to escape from it."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from shutil import which

from latentarena.errors import SandboxError
from latentarena.sandbox import seccomp
from latentarena.sandbox.answers import texts
from latentarena.sandbox.cgroup import NoGroup, make_group
from latentarena.sandbox.process import bwrap
from latentarena.sandbox.room import Limits, Room
from latentarena.sandbox.wire import Frame

LIMITS = Limits(memory=160 << 20, processes=24, seconds=20, scratch=4 << 20)

# What must not get through, each in a few words of Python: it fails with an errno, or with an assertion of its own.
# `call` makes a system call; the argument is a file outside that anybody may read.
WALLS = {
    "TCP": "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "NETLINK": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    "VSOCK": "import socket; socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "a file outside": "open(arguments[0])",
    "password hashes": "open('/etc/shadow')",
    "the environment outside": "assert open('/proc/1/environ').read(), 'empty'",
    "processes outside": "assert len([one for one in os.listdir('/proc') if one.isdigit()]) > 2, 'not seen'",
    "writing to /": "open('/x', 'w')",
    "writing to /dev": "open('/dev/x', 'w')",
    "changing Python": "open(os.__file__, 'a')",
    "filling /tmp": "for i in range(8): open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))",
    "filling /dev/shm": "for i in range(8): open(f'/dev/shm/{i}', 'wb').write(bytes(1 << 20))",
    "memfd": "os.memfd_create('x')",
    "SysV memory": "call('shmget', 0, 1 << 20, 0o1600)",
    "ptrace": "call('ptrace', 16, os.getppid(), 0, 0)",
    "bpf": "call('bpf', 0, bytes(64), 64)",
    "io_uring": "call('io_uring_setup', 1, bytes(120))",
    "mount": "call('mount', b'none', b'/tmp', b'tmpfs', 0, 0)",
    "keyctl": "call('keyctl', 0, -3, 0)",
    "a user namespace": "call('unshare', 0x10000000)",
    "becoming root": "os.setuid(0)",
}
PROCESSES = """
children = []
try:
    for _ in range(100):
        children.append(os.fork())
        if not children[-1]:
            os.read(os.pipe()[0], 1)
finally:
    for child in children:
        os.kill(child, 9), os.waitpid(child, 0)
"""
MEMORY = """
import time
for _ in range(4):
    ready, tell = os.pipe()
    if not os.fork():
        held = b'1' * (60 << 20)
        os.write(tell, b'1'), time.sleep(60)
    os.close(tell)
    os.read(ready, 1)
    assert os.waitpid(-1, os.WNOHANG)[0] == 0, 'killed'
for _ in range(20):
    time.sleep(0.05)
    assert os.waitpid(-1, os.WNOHANG)[0] == 0, 'killed'
"""


@dataclass(frozen=True)
class TriedCall:
    """An escape that was attempted, and what stopped it."""

    name: str
    contained: bool
    found: str


@dataclass(frozen=True)
class Standing:
    """The tier (0 to 3), why it is not higher, and the attempts that were made to find it out."""

    tier: int
    reason: str
    probes: tuple[TriedCall, ...] = ()


@cache
def standing() -> Standing:
    """Try to escape from a box, once in a process; takes about as long as three starts of Python.

    Tier 2 has walls that hold, a user id of its own for each box and a control group that counts its memory; tier 1 has
    walls that hold; tier 0 has not. Tier 3 (gVisor, or a virtual machine) is not built.
    """
    if sys.platform != "linux":
        return Standing(0, f"sandboxes need Linux, this is {sys.platform}")
    if bwrap() is None:
        return Standing(0, "bubblewrap is not installed: apt install bubblewrap")
    if seccomp.architecture() is None:
        return Standing(
            0, f"there is no seccomp filter for {platform.machine()}, only for {', '.join(seccomp.PROCESSORS)}"
        )
    try:
        probes = tuple(_attempts())
    except (SandboxError, OSError) as error:
        return Standing(0, str(error))
    through = [probe for probe in probes if not probe.contained]
    if through:
        return Standing(0, "not contained: " + ", ".join(f"{one.name} ({one.found})" for one in through), probes)
    if lacking := _lacking():
        return Standing(1, lacking, probes)
    beyond = "; gVisor is here, but unused" if which("runsc") else ""
    return Standing(2, f"tier 3 (gVisor or a virtual machine) is not built{beyond}", probes)


def _lacking() -> str:
    """What keeps walls that hold from tier 2."""
    if os.geteuid() != 0:
        return "boxes share this user's id: only root can give each its own"
    try:
        make_group(LIMITS.memory, LIMITS.processes).remove()
    except NoGroup as error:
        return f"no memory cgroup: {error}"
    return ""


def _attempts() -> Iterator[TriedCall]:
    """Every attempt in turn, in one box; the last one may be its end."""
    with tempfile.NamedTemporaryFile() as outside:
        os.fchmod(outside.fileno(), 0o644)
        room = Room("probe", [outside.name], {}, {}, LIMITS)
        try:
            yield from _tried(room, WALLS | {"more processes": PROCESSES})
            try:
                yield from _tried(room, {"more memory": MEMORY})
            except SandboxError as error:
                yield TriedCall("more memory", error.reason == "memory", error.reason)
        finally:
            room.close()


def _tried(room: Room, scripts: dict[str, str]) -> Iterator[TriedCall]:
    found = room.call(Frame("try", {"scripts": scripts}), texts(scripts)).facts
    for name in scripts:
        yield TriedCall(name, bool(found[name]), found[name] or "it got through")
