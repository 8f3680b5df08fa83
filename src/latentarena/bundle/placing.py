"""An opened bundle on the device, and in the precision, that the user asked for."""

from __future__ import annotations

from typing import Any, TypeVar

from latentarena.bundle.base import Bundle
from latentarena.compute import CPU, chosen_compute
from latentarena.errors import ConfigError
from latentarena.model.placing import place

B = TypeVar("B", bound=Bundle[Any, Any])


def placed(bundle: B, accelerator: str, precision: str) -> B:
    """Move a bundle's model, in place; a portable one stays on the CPU, where onnxruntime runs it.

    Raises:
        ConfigError: an unknown choice, a device that is not there or cannot compute so, or a portable bundle elsewhere.
    """
    compute = chosen_compute(accelerator, precision)
    if bundle.model.native is not None:
        place(bundle.model.native, compute)
    elif accelerator not in ("auto", CPU.device) or precision != CPU.precision:
        raise ConfigError(
            f"accelerator = {accelerator}, precision = {precision}: the {bundle.card.form} bundle {bundle.card.name!r} "
            f"runs on the CPU in {CPU.precision}; leave both out, or name the native bundle"
        )
    return bundle
