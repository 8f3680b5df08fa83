"""Which system calls a box may not make, as a classic BPF program for `bwrap --seccomp`.

What is listed fails with EPERM: sockets other than AF_UNIX (VSOCK and NETLINK reach past a network namespace), memory
that no process owns (memfd, SysV), whatever looks into other processes or the kernel, mounts and namespaces. `clone3`
is unknown (ENOSYS): its flags lie in memory, where a filter cannot look, and the C library then falls back to `clone`.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass

BY_ARGUMENT = ("clone", "socket", "socketpair", "ioctl")  # denied or not by what they are called with
STARTS = ("fork", "vfork", "execve", "execveat")  # what starts a process; `clone` does too, by its flags
CLONE_THREAD = 0x10000
NAMESPACES = 0x7E020080  # CLONE_NEW{NS, CGROUP, UTS, IPC, USER, PID, NET, TIME}
AF_UNIX = 1
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # put words into a terminal's mouth

# The calls of which the filter speaks, by the numbers of arch/x86/entry/syscalls/syscall_64.tbl and
# include/uapi/asm-generic/unistd.h of Linux 6.12. From 424 on they are the same everywhere.
COMMON = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435, "pidfd_getfd": 438,
    "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447, "set_mempolicy_home_node": 450,
    "statmount": 457, "listmount": 458}  # fmt: skip
X86_64 = COMMON | {
    "ioctl": 16, "shmget": 29, "shmat": 30, "shmctl": 31, "socket": 41, "socketpair": 53, "clone": 56, "fork": 57,
    "vfork": 58, "execve": 59, "semget": 64, "msgget": 68, "ptrace": 101, "syslog": 103, "uselib": 134,
    "personality": 135, "ustat": 136, "sysfs": 139, "vhangup": 153, "modify_ldt": 154, "pivot_root": 155,
    "adjtimex": 159, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167,
    "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173,
    "init_module": 175, "delete_module": 176, "quotactl": 179, "nfsservctl": 180, "lookup_dcookie": 212,
    "clock_settime": 227, "mbind": 237, "set_mempolicy": 238, "kexec_load": 246, "add_key": 248, "request_key": 249,
    "keyctl": 250, "migrate_pages": 256, "unshare": 272, "move_pages": 279, "perf_event_open": 298,
    "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308,
    "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "memfd_create": 319,
    "kexec_file_load": 320, "bpf": 321, "execveat": 322, "userfaultfd": 323}  # fmt: skip
AARCH64 = COMMON | {
    "lookup_dcookie": 18, "ioctl": 29, "umount2": 39, "mount": 40, "pivot_root": 41, "nfsservctl": 42, "chroot": 51,
    "vhangup": 58, "quotactl": 60, "acct": 89, "personality": 92, "unshare": 97, "kexec_load": 104,
    "init_module": 105, "delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace": 117, "reboot": 142,
    "sethostname": 161, "setdomainname": 162, "settimeofday": 170, "adjtimex": 171, "msgget": 186, "semget": 190,
    "shmget": 194, "shmctl": 195, "shmat": 196, "socket": 198, "socketpair": 199, "add_key": 217, "request_key": 218,
    "keyctl": 219, "clone": 220, "execve": 221, "swapon": 224, "swapoff": 225, "mbind": 235, "set_mempolicy": 237,
    "migrate_pages": 238, "move_pages": 239, "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264,
    "open_by_handle_at": 265, "clock_adjtime": 266, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271,
    "kcmp": 272, "finit_module": 273, "memfd_create": 279, "bpf": 280, "execveat": 281, "userfaultfd": 282,
    "kexec_file_load": 294}  # fmt: skip


@dataclass(frozen=True)
class Processor:
    """What a filter has to know of a processor: the kernel's name for it, the first foreign call and the numbers."""

    audit: int
    first_foreign: int
    calls: dict[str, int]


PROCESSORS = {
    "x86_64": Processor(0xC000003E, 0x40000000, X86_64),  # from there on the x32 ABI, with flags of its own
    "aarch64": Processor(0xC00000B7, 0xFFFFFFFF, AARCH64),
}


def architecture() -> Processor | None:
    """This machine's, or None where there is no table for it: then there is no filter, and the tier is 0."""
    return PROCESSORS.get(platform.machine()) if struct.calcsize("P") == 8 else None


# Classic BPF on struct seccomp_data: { int nr; u32 arch; u64 instruction_pointer; u64 args[6]; }, little-endian.
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCH, ARGUMENTS = 0, 4, 16
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
INSTRUCTION = struct.Struct("<HBBI")


def program(machine: Processor, alone: bool = False) -> bytes:
    """The filter as an array of `struct sock_filter`; what it does not name is allowed.

    Args:
        machine: for whose processor.
        alone: forbid new processes too, though not threads.
    """
    return b"".join(_instructions(machine, alone))


def _instructions(machine: Processor, alone: bool) -> Iterator[bytes]:
    yield _step(LOAD, ARCH)
    yield _step(EQUAL, machine.audit, true=1)
    yield _step(RETURN, KILL_PROCESS)
    yield _step(LOAD, NUMBER)
    yield from _when(AT_LEAST, machine.first_foreign, errno.ENOSYS)
    yield from _when(EQUAL, machine.calls["clone3"], errno.ENOSYS)
    for name, number in machine.calls.items():
        if name not in BY_ARGUMENT and (alone or name not in STARTS):
            yield from _when(EQUAL, number, errno.EPERM)
    only_threads = [_step(ANY_BIT, CLONE_THREAD, true=1), _denied(errno.EPERM)] if alone else []
    yield from _argument(machine.calls["clone"], 0, [*_when(ANY_BIT, NAMESPACES, errno.EPERM), *only_threads])
    for name in ("socket", "socketpair"):
        yield from _argument(machine.calls[name], 0, [_step(EQUAL, AF_UNIX, true=1), _denied(errno.EPERM)])
    tricks = [*_when(EQUAL, TIOCSTI, errno.EPERM), *_when(EQUAL, TIOCLINUX, errno.EPERM)]
    yield from _argument(machine.calls["ioctl"], 1, tricks)
    yield _step(RETURN, ALLOW)


def _step(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    """One instruction; `true` and `false` are how many to skip after a comparison."""
    return INSTRUCTION.pack(code, true, false, value)


def _denied(error: int) -> bytes:
    return _step(RETURN, ERRNO | error)


def _when(comparison: int, value: int, error: int) -> Iterator[bytes]:
    yield _step(comparison, value, false=1)
    yield _denied(error)


def _argument(call: int, index: int, checks: list[bytes]) -> Iterator[bytes]:
    """Checks on the low half of one argument of one call; the kernel reads these arguments as 32 bits."""
    yield _step(EQUAL, call, false=len(checks) + 2)
    yield _step(LOAD, ARGUMENTS + 8 * index)
    yield from checks
    yield _step(RETURN, ALLOW)
