"""Where training runs: the command line's words as a Lightning Fabric."""

from __future__ import annotations

import logging
import re
import warnings
from typing import TYPE_CHECKING

from latentarena.compute import chosen_compute, refuse_unknown
from latentarena.errors import ConfigError
from latentarena.text import shown
from latentarena.train.divided import dividing

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STRATEGIES = ("auto", "ddp", "fsdp")  # others start processes that do not return from `launch`
DEVICES = re.compile(r"auto|-1|[1-9]\d{0,3}|\d+(,\d+)+,?|\d+,")


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
        devices: how many (on the CPU: processes), `auto` or -1 for all, or which, such as `0,1`.
        nodes: machines taking part; start the same command on each.
        precision: `32-true`, `bf16-mixed`, `16-mixed`.
        strategy: `auto`, `ddp`; `fsdp` also divides the weights among the processes.

    Raises:
        ConfigError: a choice that there is not, a device that this machine lacks, or a combination that Fabric refuses.
    """
    from lightning_fabric import Fabric  # two seconds to load, which nothing but training needs

    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning_fabric")
    warnings.filterwarnings("ignore", message="Grad strides do not match")  # a word of DDP on channels last
    chosen_compute(accelerator, precision)
    refuse_unknown("strategy", strategy, STRATEGIES)
    if not DEVICES.fullmatch(devices):
        raise ConfigError(f"devices = {shown(devices)}: give how many, such as 2, or auto")
    if nodes < 1:
        raise ConfigError(f"nodes = {nodes}: give how many machines take part, 1 or more")
    count: int | str = int(devices) if devices.lstrip("-").isdigit() else devices
    try:
        return Fabric(
            accelerator=accelerator,
            devices=count,
            num_nodes=nodes,
            precision=precision,  # type: ignore[arg-type]  # checked by Fabric
            strategy=dividing() if strategy == "fsdp" else strategy,
        )
    except (ValueError, TypeError, RuntimeError, ImportError) as error:  # the last for a TPU without its library
        choice = f"accelerator={accelerator} devices={devices} nodes={nodes} precision={precision} strategy={strategy}"
        raise ConfigError(f"{choice}: {str(error).splitlines()[0]}") from None


def processes(fabric: Fabric, nodes: int) -> int:
    """How many processes will share a batch once the Fabric is launched."""
    return len(getattr(fabric.strategy, "parallel_devices", None) or [0]) * nodes
