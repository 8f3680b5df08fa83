"""Rows 16 to 20 of the threat matrix: hostile Python, a few words each.

Names that a script finds: `os`; `call` (a system call by name); `arguments`: a file outside that anybody may read, a
secret of the environment outside, an abstract socket that somebody outside listens on, the sandbox's source.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpus.case import Case

__all__ = ["ANSWERED", "ENDED", "STOPPED", "Ended", "Stopped"]


@dataclass(frozen=True)
class Stopped(Case):
    """A script that one call of the kernel stops: `by` are the errors it may fail with."""

    script: str
    by: str


@dataclass(frozen=True)
class Ended(Case):
    """A script that costs the box its life (or its program an error): `by` are the reasons that may be given."""

    script: str
    by: str


def stopped(row: int, table: dict[str, tuple[str, str]]) -> list[Stopped]:
    return [Stopped(row, name, script, by) for name, (script, by) in table.items()]


def ended(row: int, table: dict[str, tuple[str, str]]) -> list[Ended]:
    return [Ended(row, name, script, by) for name, (script, by) in table.items()]


# row 16: the network
SOCKETS = {
    "tcp": "AF_INET, SOCK_STREAM",
    "udp": "AF_INET, SOCK_DGRAM",
    "tcp6": "AF_INET6, SOCK_STREAM",
    "icmp": "AF_INET, SOCK_RAW, 1",
    "packet": "AF_PACKET, SOCK_RAW",
    "netlink-route": "AF_NETLINK, SOCK_RAW, 0",
    "netlink-audit": "AF_NETLINK, SOCK_RAW, 9",
    "vsock": "AF_VSOCK, SOCK_STREAM",
    "crypto": "AF_ALG, SOCK_SEQPACKET",
    "bluetooth": "31, SOCK_RAW, 1",
    "tipc": "AF_TIPC, SOCK_SEQPACKET",
    "xdp": "44, SOCK_RAW",
    "can": "AF_CAN, SOCK_RAW, 1",
}
NETWORK = {name: (f"from socket import *; socket({what})", "EPERM") for name, what in SOCKETS.items()} | {
    "dns": ("import socket; socket.getaddrinfo('example.org', 80)", "EPERM|OSError"),
    "http": ("from urllib.request import urlopen; urlopen('http://127.0.0.1:80/', timeout=5)", "EPERM|OSError"),
    "pip": ("from urllib.request import urlopen; urlopen('https://pypi.org/simple/pip/', timeout=5)", "EPERM|OSError"),
    "gdown": ("from http.client import *; HTTPSConnection('drive.google.com', timeout=5).connect()", "EPERM|OSError"),
    "a pair of tcp": ("import socket; socket.socketpair(socket.AF_INET)", "EPERM"),
    "dbus": ("from socket import *; socket(AF_UNIX).connect('/run/dbus/system_bus_socket')", "ENOENT"),
    "docker": ("from socket import *; socket(AF_UNIX).connect('/var/run/docker.sock')", "ENOENT"),
    "abstract socket": ("from socket import *; socket(AF_UNIX).connect('\\0' + arguments[1])", "ECONNREFUSED"),
}

# row 17: files of the host, and room
READ = {
    "shadow": ("/etc/shadow", "ENOENT"),
    "passwd": ("/etc/passwd", "ENOENT"),
    "hosts": ("/etc/hosts", "ENOENT"),
    "machine id": ("/etc/machine-id", "ENOENT"),
    "ssh": ("/root/.ssh/id_ed25519", "ENOENT"),
    "root's history": ("/root/.bash_history", "ENOENT"),
    "memory of 1": ("/proc/1/mem", "EACCES|EIO"),
    "kcore": ("/proc/kcore", "EACCES|ENOENT"),
    "kmsg": ("/proc/kmsg", "EPERM|EACCES"),
    "dmesg": ("/dev/kmsg", "ENOENT"),
    "memory device": ("/dev/mem", "ENOENT"),
    "disk": ("/dev/vda", "ENOENT"),
    "disk of scsi": ("/dev/sda", "ENOENT"),
    "kvm": ("/dev/kvm", "ENOENT"),
    "fuse": ("/dev/fuse", "ENOENT"),
    "cgroups": ("/sys/fs/cgroup/cgroup.procs", "ENOENT"),
    "up and down": ("/proc/self/root/../../../etc/shadow", "ENOENT"),
    "root of 1": ("/proc/1/root/etc/shadow", "EACCES|ENOENT"),
    "descriptor of 1": ("/proc/1/fd/3", "EACCES|ENOENT"),
    "working folder of 1": ("/proc/1/cwd/x", "EACCES|ENOENT"),
}
WRITE = {
    "root": "/x",
    "etc": "/etc/x",
    "home": "/home/x",
    "folder of files": "/in/x",
    "library": "/usr/lib/x",
    "devices": "/dev/x",
    "proc": "/proc/x",
    "sys": "/sys/x",
    "core pattern": "/proc/sys/kernel/core_pattern",
    "sysrq": "/proc/sysrq-trigger",
    "out of shm": "/dev/shm/../x",
    "out of tmp": "/tmp/../x",
    "cpu off": "/sys/devices/system/cpu/cpu1/online",
    "userns limit": "/proc/sys/user/max_user_namespaces",
}
TIDIED = """try:
    {}
finally:
    [os.remove(x) for d in ('/tmp', '/dev/shm') for f in os.listdir(d) if os.path.isfile(x := f'{{d}}/{{f}}')]
"""
FILL = {
    "one big file": ("open('/tmp/big', 'wb').write(bytes(64 << 20))", "EFBIG|ENOSPC"),
    "many files": ("[open(f'/tmp/{i}', 'wb').write(bytes(1 << 20)) for i in range(64)]", "ENOSPC"),
    "much shared memory": ("[open(f'/dev/shm/{i}', 'wb').write(bytes(1 << 20)) for i in range(64)]", "ENOSPC"),
    "reserve": ("os.posix_fallocate(os.open('/tmp/f', 66), 0, 1 << 40)", "EFBIG|ENOSPC"),
    "sparse": ("os.truncate(os.open('/tmp/s', 66), 1 << 40)", "EFBIG"),
}
PUT = "os.write(os.open('{}', os.O_WRONLY | os.O_CREAT), b'0')"
READONLY = "EROFS|EACCES|ENOENT|EPERM"
FILES = (
    {f"read {name}": (f"open({path!r}, 'rb').read(1)", by) for name, (path, by) in READ.items()}
    | {f"write {name}": (PUT.format(path), READONLY) for name, path in WRITE.items()}
    | {
        "a file outside": ("open(arguments[0])", "ENOENT"),
        "a file outside by link": ("os.symlink(arguments[0], '/tmp/link'); open('/tmp/link')", "ENOENT"),
        "the folder outside": ("os.listdir(os.path.dirname(arguments[0]))", "ENOENT"),
        "the environment of 1": ("assert open('/proc/1/environ').read(1), 'empty'", "EACCES|empty"),
        "the secret": (
            "files = [f'/proc/{p}/{f}' for p in ('self', os.getppid()) for f in ('environ', 'cmdline')]\n"
            "seen = [open(f, 'rb').read() for f in files if os.access(f, os.R_OK)] + [repr(os.environ).encode()]\n"
            "assert any(b'LATENTARENA_TEST_SECRET' in one for one in seen), 'not seen'",
            "not seen",
        ),
        "processes outside": (
            "assert len([p for p in os.listdir('/proc') if p.isdigit()]) > 2, 'not seen'",
            "not seen",
        ),
        "descriptors": ("assert len(os.listdir('/proc/self/fd')) > 6, 'none'", "none"),
        "home folders": ("assert set(os.listdir('/')) & {'var', 'srv', 'mnt', 'media', 'boot'}, 'none'", "none"),
        "change a file": ("open('/in/given', 'a')", "EROFS|EACCES"),
        "remove a file": ("os.remove('/in/given')", "EROFS|EACCES"),
        "move a file": ("os.rename('/in/given', '/in/other')", "EROFS|EACCES"),
        "permit a file": ("os.chmod('/in/given', 0o777)", "EROFS|EPERM"),
        "change the source": ("open(arguments[2], 'a')", "EROFS|EACCES"),
        "change Python": ("open(os.__file__, 'a')", "EROFS|EACCES"),
        "plant a library": ("import numpy; open(numpy.__path__[0] + '/x.py', 'w')", "EROFS|EACCES"),
        "make a device": ("os.mknod('/tmp/sda', 0o60666, os.makedev(8, 0))", "EPERM"),
    }
    | {name: (TIDIED.format(script), by) for name, (script, by) in FILL.items()}
)

# row 18: hold the machine
NOBODYS = {
    "memfd": ("os.memfd_create('x')", "EPERM"),
    "secret memory": ("call('memfd_secret', 0)", "EPERM|ENOSYS"),
    "sysv memory": ("call('shmget', 0, 1 << 30, 0o1600)", "EPERM"),
    "sysv messages": ("call('msgget', 0, 0o1600)", "EPERM"),
    "sysv semaphores": ("call('semget', 0, 1000, 0o1600)", "EPERM"),
    "locked memory": (
        "import mmap, ctypes\nm = mmap.mmap(-1, 1 << 26)\na = ctypes.c_char.from_buffer(m)\n"
        "if ctypes.CDLL(None, use_errno=True).mlock(ctypes.byref(a), 1 << 26): raise OSError(ctypes.get_errno(), '')",
        "EPERM|ENOMEM",
    ),
    "more files": ("held = [open('/dev/null') for _ in range(5000)]", "EMFILE"),
    "bigger limits": (
        "import resource\ntry: resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))\n"
        "except ValueError: raise PermissionError(1, '')",
        "EPERM",
    ),
    "higher priority": ("os.nice(-5)", "EPERM|EACCES"),
    "real time": ("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))", "EPERM"),
    "never the victim": ("os.write(os.open('/proc/self/oom_score_adj', os.O_WRONLY), b'-1000')", "EACCES|EPERM"),
}
FORK = "import time\nfor _ in range({n}):\n    if not os.fork():\n        {child}\n{then}"
BOMBS = {
    "fork bomb": ("while True:\n    try: os.fork()\n    except OSError: pass", "timeout|nonsense|died"),
    "forks that answer": ("for _ in range(4): os.fork()", "nonsense|answered"),
    "fork until it fails": ("while True: os.fork()", "nonsense|EAGAIN"),
    "thread bomb": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
        "failed",
    ),
    "threads that spin": (
        "import threading\ndef f():\n    while True: pass\nfor _ in range(8): threading.Thread(target=f).start()\nf()",
        "timeout|failed",
    ),
    "sleepers": (FORK.format(n=8, child="os.setsid(); time.sleep(999)", then="time.sleep(999)"), "timeout"),
    "daemons": (FORK.format(n=8, child="os.setsid(); os.fork(); time.sleep(999)", then="os._exit(0)"), "died"),
    "4 GB": ("x = b'1' * (4 << 30)", "memory"),
    "4 GB mapped": ("import mmap\nm = mmap.mmap(-1, 4 << 30)\nfor i in range(0, len(m), 4096): m[i] = 1", "memory"),
    "4 GB bit by bit": ("x = []\nwhile True: x.append(bytearray(b'1' * (1 << 20)))", "memory"),
    "8 of 300 MB": (
        FORK.format(n=8, child="x = b'1' * (300 << 20); time.sleep(99)", then="time.sleep(99)"),
        "timeout|memory",
    ),
    "8 of 300 MB, seen": (
        FORK.format(
            n=8,
            child="x = b'1' * (300 << 20); time.sleep(99)",
            then="assert os.waitpid(-1, 0)[1] != 9, 'one was killed'",
        ),
        "memory|one was killed",
    ),
    "cpu loop": ("while True: pass", "timeout"),
    "a big power": ("9 ** 9 ** 9", "timeout|memory"),
    "a slow pattern": ("import re; re.match('(a+)+$', 'a' * 60 + 'b')", "timeout"),
    "sleep": ("import time; time.sleep(9999)", "timeout"),
    "ignored signals": (
        "import signal, time\nfor s in set(signal.Signals) - {9, 19}: signal.signal(s, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))\ntime.sleep(9999)",
        "timeout",
    ),
    "stopped": ("os.kill(os.getpid(), 19)", "timeout"),
    "stdout flood": ("while True: os.write(1, b'x' * 65536)", "output"),
    "stderr flood": ("while True: os.write(2, b'x' * 65536)", "output"),
    "print flood": ("while True: print('score 100 ' * 1000)", "output"),
    "flood of a child": (
        FORK.format(n=1, child="while True: os.write(1, b'x' * 65536)", then="time.sleep(99)"),
        "output",
    ),
}

# row 19: broken programs and forged answers
ANSWERS = (
    "a = max(int(f) for f in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{f}') and int(f) < 100)\n"
)


def framed(header: bytes) -> bytes:
    return b"LAW1" + len(header).to_bytes(4, "little") + header


FORGED = framed(b'{"verb":"done","facts":{"score":1},"arrays":[]}')
HUGE = framed(b'{"verb":"done","facts":{},"arrays":[["x","<f4",[1000000000]]]}')
FORGERIES = {
    "noise": (b"\xff" * 64, "nonsense"),
    "a zip": (b"PK\x03\x04" + bytes(60), "nonsense"),
    "a header of 4 GB": (b"LAW1\xff\xff\xff\xff", "nonsense"),
    "no json": (framed(b"nope"), "nonsense"),
    "a deep header": (framed(b"[" * 100_000), "nonsense"),
    "an array of 4 GB": (HUGE, "nonsense"),
    "half a frame": (FORGED[:20], "died"),
}
BROKEN = {
    "segfault": ("import ctypes; ctypes.string_at(0)", "died"),
    "abort": ("os.abort()", "died"),
    "exit 0": ("os._exit(0)", "died"),
    "exit 1": ("os._exit(1)", "died"),
    "sys.exit": ("import sys; sys.exit(0)", "died"),
    "killed": ("os.kill(os.getpid(), 9)", "died"),
    "interrupted": ("import signal; signal.signal(2, signal.SIG_DFL); os.kill(os.getpid(), 2)", "died"),
    "recursion": ("def f(): f()\nf()", "failed"),
    "deep recursion": ("import sys; sys.setrecursionlimit(1 << 30)\ndef f(): f()\nf()", "died|failed|memory|timeout"),
    "deep recursion in C": (
        "import sys; sys.setrecursionlimit(1 << 30)\nx = []\nfor _ in range(10 ** 6): x = [x]\nrepr(x)",
        "died|failed",
    ),
    "closed pipes": ("os.closerange(0, 100)", "died"),
    "another program": ("os.execv('/proc/self/exe', ['python', '-c', 'print(100)'])", "died"),
    "syntax": ("this is no Python", "failed"),
    "not text": ("raise ValueError('\\ud800')", "failed"),
    "an endless error": ("raise ValueError('x' * 10 ** 8)", "failed"),
} | {name: (f"{ANSWERS}os.write(a, {content!r})\nos._exit(0)", by) for name, (content, by) in FORGERIES.items()}
PRINTED = {  # what is printed is no answer, wherever it is printed
    "a forged frame on stdout": f"os.write(1, {FORGED!r})",
    "a forged frame on stderr": f"os.write(2, {FORGED!r})",
    "a forged frame printed": f"import sys; sys.stdout.buffer.write({FORGED!r}); sys.stdout.flush()",
    "a forged frame by the path": f"if os.access('/dev/stdout', os.W_OK): open('/dev/stdout', 'wb').write({FORGED!r})",
    "a printed score": "print('{\"score\": 100}')",
    "a forged frame of a child": f"if not os.fork(): os.write(1, {FORGED!r}), os._exit(0)\nos.wait()",
}

# row 20: the kernel
CALLS = {
    "ptrace attach": "'ptrace', 16, os.getppid(), 0, 0",
    "ptrace me": "'ptrace', 0, 0, 0, 0",
    "read a process": "'process_vm_readv', os.getppid(), 0, 0, 0, 0, 0",
    "write a process": "'process_vm_writev', os.getppid(), 0, 0, 0, 0, 0",
    "compare processes": "'kcmp', 1, 1, 0, 0, 0",
    "take a descriptor": "'pidfd_getfd', 0, 0, 0",
    "bpf": "'bpf', 0, bytes(64), 64",
    "io_uring": "'io_uring_setup', 1, bytes(120)",
    "mount": "'mount', b'none', b'/tmp', b'tmpfs', 0, 0",
    "bind": "'mount', b'/', b'/tmp', b'', 4096, 0",
    "unmount": "'umount2', b'/proc', 2",
    "remount": "'mount', b'', b'/', b'', 32, 0",
    "pivot_root": "'pivot_root', b'/tmp', b'/tmp'",
    "open_tree": "'open_tree', -100, b'/', 1",
    "fsopen": "'fsopen', b'tmpfs', 0",
    "chroot": "'chroot', b'/tmp'",
    "keyctl": "'keyctl', 0, -3, 0",
    "add_key": "'add_key', b'user', b'x', b'y', 1, -3",
    "request_key": "'request_key', b'user', b'x', 0, 0",
    "perf": "'perf_event_open', bytes(128), 0, -1, -1, 0",
    "userfaultfd": "'userfaultfd', 1",
    "kexec": "'kexec_load', 0, 0, 0, 0",
    "module": "'init_module', bytes(8), 8, b''",
    "module file": "'finit_module', 0, b'', 0",
    "reboot": "'reboot', 0xfee1dead, 672274793, 0, 0",
    "swap": "'swapon', b'/tmp/x', 0",
    "accounting": "'acct', b'/tmp/x'",
    "clock": "'settimeofday', bytes(16), 0",
    "host name": "'sethostname', b'x', 1",
    "kernel log": "'syslog', 3, bytes(64), 64",
    "handle": "'open_by_handle_at', 0, bytes(64), 0",
    "fanotify": "'fanotify_init', 0, 0",
    "quota": "'quotactl', 0, 0, 0, 0",
    "personality": "'personality', 0x0040000",
    "numa": "'set_mempolicy', 0, 0, 0",
    "user namespace": "'unshare', 0x10000000",
    "net namespace": "'unshare', 0x40000000",
    "mount namespace": "'unshare', 0x20000",
    "pid namespace": "'unshare', 0x20000000",
    "time namespace": "'unshare', 0x80",
    "cloned user namespace": "'clone', 0x10000011, 0, 0, 0, 0",
    "cloned everything": "'clone', 0x7e020011, 0, 0, 0, 0",
    "join a namespace": "'setns', 0, 0",
}
KERNEL = {name: (f"call({what})", "EPERM") for name, what in CALLS.items()} | {
    "clone3": ("call('clone3', bytes(88), 88)", "ENOSYS"),
    "terminal input": ("import fcntl; fcntl.ioctl(0, 0x5412, b'x')", "EPERM"),
    "root": ("os.setuid(0)", "EPERM|EINVAL"),
    "group root": ("os.setgid(0)", "EPERM|EINVAL"),
    "all groups": ("os.setgroups([0, 1, 2])", "EPERM"),
    "another user": ("os.setresuid(1000, 1000, 1000)", "EPERM|EINVAL"),
    "su": ("os.execv('/bin/su', ['su'])", "ENOENT"),
    "sudo": ("os.execv('/usr/bin/sudo', ['sudo'])", "ENOENT"),
    "a file of root's": ("open('/tmp/f', 'w'); os.chown('/tmp/f', 0, 0)", "EPERM|EINVAL"),
    "kill 1": ("os.kill(1, 9)\n__import__('time').sleep(0.2)\nassert False, 'alive'", "EPERM|alive"),
    "capabilities": (
        "lines = dict(l.split(':', 1) for l in open('/proc/self/status'))\n"
        "held = [n for n in ('CapPrm', 'CapEff', 'CapInh', 'CapAmb') if int(lines[n], 16)]\n"
        "assert held or int(lines['NoNewPrivs']) != 1 or int(lines['Seccomp']) != 2, 'none'",
        "none",
    ),
}

STOPPED = [*stopped(16, NETWORK), *stopped(17, FILES), *stopped(18, NOBODYS), *stopped(20, KERNEL)]
ENDED = [*ended(18, BOMBS), *ended(19, BROKEN)]
ANSWERED = [Stopped(19, name, script, "") for name, script in PRINTED.items()]
