"""How good the sandbox of this machine is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from latentarena.sandbox import seccomp
from latentarena.sandbox.cgroup import NoGroup, make_group
from latentarena.sandbox.process import bwrap

__all__ = ["Standing", "standing"]


@dataclass(frozen=True)
class Standing:
    """The tier (0 to 3) and why it is not higher."""

    tier: int
    reason: str


@cache
def standing() -> Standing:
    """What this machine can do."""
    if bwrap() is None:
        return Standing(0, "bubblewrap is not installed: apt install bubblewrap")
    if seccomp.architecture() is None:
        return Standing(0, "no seccomp filter for this processor")
    try:
        make_group(1 << 30, 64).remove()
    except NoGroup as error:
        return Standing(1, str(error))
    if os.geteuid() != 0:
        return Standing(1, "not root: boxes share the user id of this process")
    return Standing(2, "neither gVisor nor a virtual machine is built in")
