"""Sandboxes: programs that nobody here wrote, run where they can hurt nobody."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentarena.errors import SandboxError
    from latentarena.sandbox.box import Box
    from latentarena.sandbox.room import Limits
    from latentarena.sandbox.tier import Standing, TriedCall, standing

__all__ = ["Box", "Limits", "SandboxError", "Standing", "TriedCall", "standing"]


def __getattr__(name: str) -> Any:
    """Import the outer half when it is asked for: what runs in a box has no use for it, and pays for every import."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = {"SandboxError": "latentarena.errors", "Box": ".box", "Limits": ".room"}.get(name, ".tier")
    return getattr(import_module(home, __name__), name)
