"""Sandboxes: programs that nobody here wrote, run where they can hurt nobody."""

from latentarena.errors import SandboxError
from latentarena.sandbox.box import Box
from latentarena.sandbox.room import Limits
from latentarena.sandbox.tier import Standing, standing

__all__ = ["Box", "Limits", "SandboxError", "Standing", "standing"]
