"""What is recorded with every result: the machine, the versions and the code itself."""

from __future__ import annotations

import os
import platform
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from latentarena import __version__
from latentarena.files import source_of

RECORDED = ("torch", "lightning-fabric", "numpy", "scipy", "safetensors", "onnxruntime")


def machine() -> str:
    """Processor, cores and system in one line; no host or user name."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def versions() -> dict[str, str]:
    """Versions of this package, Python and the libraries that shape the numbers."""
    found = {"latentarena": __version__, "python": ".".join(map(str, sys.version_info[:3]))}
    return found | {name: metadata.version(name) for name in RECORDED}


@lru_cache(maxsize=4)
def source_digest(part: str = "") -> str:
    """SHA-256 of this package's Python files, or of those of one part, names included."""
    return source_of(Path(__file__).parent / part)
