"""The seccomp filters: run by an interpreter of their own, and their numbers held against the kernel's headers."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from latentarena.sandbox.seccomp import BY_ARGUMENT, PROCESSORS, STARTS, Processor, program

ALLOWED, KILLED = "allowed", "killed"
NEWUSER, THREAD = 0x10000000, 0x3D0F00  # CLONE_NEWUSER; the flags of pthread_create
HEADERS = {
    "x86_64": [Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm/unistd_64.h")],
    "aarch64": [Path("/usr/include/asm-generic/unistd.h")],
}
MACHINES = pytest.mark.parametrize("machine", PROCESSORS.values(), ids=PROCESSORS)


def decide(rules: bytes, audit: int, number: int, *arguments: int) -> str:
    """What a filter says of a call: an interpreter of the few instructions of classic BPF that filters consist of."""
    data = struct.pack("<IIQ6Q", number, audit, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("<HBBI", rules))
    assert len(steps) <= 4096
    at, held = 0, 0
    while True:
        code, true, false, value = steps[at]
        at += 1
        if code == 0x06:
            action = {0x7FFF0000: ALLOWED, 0x80000000: KILLED}
            return action.get(value) or errno.errorcode[value & 0xFFFF]
        if code == 0x20:
            held = struct.unpack_from("<I", data, value)[0]
        else:
            met = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
            at += true if met else false


@MACHINES
@pytest.mark.parametrize("alone", [False, True])
def test_every_listed_call_is_denied_and_the_rest_is_not(machine: Processor, alone: bool) -> None:
    rules = program(machine, alone)
    special = {*BY_ARGUMENT, "clone3"} | (set() if alone else set(STARTS))
    denied = {number for name, number in machine.calls.items() if name not in special}
    for number in range(500):
        expected = "EPERM" if number in denied else "ENOSYS" if number == machine.calls["clone3"] else ALLOWED
        asked = (1, 0) if number in (machine.calls["socket"], machine.calls["socketpair"]) else (THREAD, 0)
        assert decide(rules, machine.audit, number, *asked) == expected, number


@MACHINES
def test_sockets_are_of_this_machine_only(machine: Processor) -> None:
    rules = program(machine)
    for name in ("socket", "socketpair"):
        answers = [decide(rules, machine.audit, machine.calls[name], family) for family in range(60)]
        assert [family for family, answer in enumerate(answers) if answer == ALLOWED] == [1]
        assert set(answers) == {ALLOWED, "EPERM"}


@MACHINES
def test_a_process_can_be_cloned_but_no_namespace(machine: Processor) -> None:
    clone = machine.calls["clone"]
    for bit in (1 << n for n in range(32)):
        new = bit in (0x20000, 0x80) or 0x02000000 <= bit <= 0x40000000
        assert decide(program(machine), machine.audit, clone, bit | 17) == ("EPERM" if new else ALLOWED), hex(bit)
    assert decide(program(machine), machine.audit, clone, THREAD) == ALLOWED
    assert decide(program(machine), machine.audit, clone, THREAD | NEWUSER) == "EPERM"
    assert decide(program(machine, alone=True), machine.audit, clone, THREAD) == ALLOWED
    assert decide(program(machine, alone=True), machine.audit, clone, 17) == "EPERM"


@MACHINES
def test_a_terminal_cannot_be_typed_into(machine: Processor) -> None:
    ioctl = machine.calls["ioctl"]
    found = {
        hex(request): decide(program(machine), machine.audit, ioctl, 0, request) for request in (0x5412, 0x541C, 0x5401)
    }
    assert found == {"0x5412": "EPERM", "0x541c": "EPERM", "0x5401": ALLOWED}
    assert decide(program(machine), machine.audit, ioctl, 0, 0x5412 | 1 << 40) == "EPERM"


@MACHINES
def test_another_architecture_ends_the_process(machine: Processor) -> None:
    i386 = 0x40000003
    assert decide(program(machine), i386, 0) == KILLED
    x32 = decide(program(PROCESSORS["x86_64"]), PROCESSORS["x86_64"].audit, 0x40000000 | 41, 2)
    assert x32 == "ENOSYS"


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_numbers_are_the_kernels(name: str) -> None:
    header = next((path for path in HEADERS[name] if path.is_file()), None)
    if header is None:
        pytest.skip(f"none of {', '.join(map(str, HEADERS[name]))} is here: install linux-libc-dev")
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", header.read_text()))
    known = {call: number for call, number in PROCESSORS[name].calls.items() if call in found}
    assert {call: int(found[call]) for call in known} == known
    assert len(known) > 50
