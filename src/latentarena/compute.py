"""Where a model runs, and in what arithmetic: a device and a precision of its networks."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from latentarena.errors import ConfigError
from latentarena.text import meant, shown

ACCELERATORS = ("auto", "cpu", "cuda", "mps")
PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}  # weights stay in float32


@dataclass(frozen=True)
class Compute:
    """A device by its type, and a precision by Fabric's name."""

    device: str = "cpu"
    precision: str = "32-true"

    @property
    def reduced(self) -> torch.dtype | None:
        """The type that matrices are multiplied in; None for float32."""
        return PRECISIONS[self.precision]

    @property
    def name(self) -> str:
        """The device, with the GPU's own name."""
        return f"cuda ({torch.cuda.get_device_name()})" if self.device == "cuda" else self.device


CPU = Compute()  # what official scores are computed on


def chosen_compute(accelerator: str = "cpu", precision: str = "32-true") -> Compute:
    """The command line's words as a device that is there; `auto` is a GPU if there is one.

    Raises:
        ConfigError: there is no such choice or device, or the device cannot compute in that precision.
    """
    refuse_unknown("accelerator", accelerator, ACCELERATORS)
    refuse_unknown("precision", precision, PRECISIONS)
    refuse_absent(accelerator)
    found = next((name for name, there in _present().items() if there), "cpu") if accelerator == "auto" else accelerator
    if precision == "16-mixed" and found == "cpu":
        raise ConfigError("precision = 16-mixed: the CPU has no float16 arithmetic; choose bf16-mixed or 32-true")
    if precision == "bf16-mixed" and found == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError(
            f"precision = bf16-mixed: {torch.cuda.get_device_name()} has no bfloat16 arithmetic; choose 16-mixed or "
            "32-true"
        )
    return Compute(found, precision)


def refuse_unknown(name: str, value: str, choices: tuple[str, ...] | dict[str, torch.dtype | None]) -> None:
    """Raise a ConfigError where a choice is none of those that there are."""
    if value not in choices:
        near = meant(value, choices) if len(str(value)) > 3 else ""  # a tpu is no misspelt cpu
        raise ConfigError(f"{name} = {shown(value)}: {near}choose from {', '.join(choices)}")


def refuse_absent(accelerator: str) -> None:
    """Raise a ConfigError where a device is asked for that this machine lacks."""
    if not _present().get(accelerator, True):
        raise ConfigError(f"accelerator = {accelerator}: PyTorch finds none on this machine; choose auto or cpu")


def _present() -> dict[str, bool]:
    return {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
