"""Where training runs: the command line's words as a Lightning Fabric."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

from latentarena.errors import ConfigError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")  # weights stay in float32, so that bundles are alike

ACCELERATORS = ("auto", "cpu", "cuda", "mps")


def make_fabric(
    accelerator: str = "auto",
    devices: str = "1",
    nodes: int = 1,
    precision: str = "32-true",
    strategy: str = "auto",
) -> Fabric:
    """A Fabric, checked and not yet launched: `launch()` starts the other processes of several devices (DDP).

    Args:
        accelerator: `auto`, `cpu`, `cuda`, `mps`.
        devices: how many (on the CPU: processes), or `auto`.
        nodes: machines taking part; start the same command on each.
        precision: `32-true`, `bf16-mixed`, `16-mixed`.
        strategy: `auto`, `ddp`, ...

    Raises:
        ConfigError: Fabric refuses the combination.
    """
    from lightning_fabric import Fabric  # two seconds to load, which nothing but training needs

    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning_fabric")
    if precision not in PRECISIONS:
        raise ConfigError(f"precision = {precision}: choose from {', '.join(PRECISIONS)}")
    if accelerator not in ACCELERATORS:
        raise ConfigError(f"accelerator={accelerator}: choose from {', '.join(ACCELERATORS)}")
    count: int | str = int(devices) if devices.lstrip("-").isdigit() else devices
    try:
        return Fabric(
            accelerator=accelerator,
            devices=count,
            num_nodes=nodes,
            precision=precision,  # type: ignore[arg-type]  # checked by Fabric
            strategy=strategy,
        )
    except (ValueError, TypeError, RuntimeError, ImportError) as error:  # the last for a TPU without its library
        choice = f"accelerator={accelerator} devices={devices} nodes={nodes} precision={precision}"
        raise ConfigError(f"{choice}: {str(error).splitlines()[0]}") from None


def processes(fabric: Fabric, nodes: int) -> int:
    """How many processes will share a batch once the Fabric is launched."""
    return len(getattr(fabric.strategy, "parallel_devices", None) or [0]) * nodes
