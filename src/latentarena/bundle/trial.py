"""Trials of a portable bundle's parts, as modules and as graphs, before one is written: what a judge would refuse."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentarena.bundle.modules import of_other_bits, other_type
from latentarena.bundle.portable import PortableCard
from latentarena.errors import BundleError
from latentarena.outputs import fault_of
from latentarena.randomness import stream
from latentarena.text import plain_line

ROWS = 5  # that are traced and compared
TOLERANCE = 1e-4  # of pixels, and of latents in units of the largest
ALONE = (
    "for a row alone than for the same row among others; take no statistics of the batch (export in evaluation mode)"
)
OVERFLOWS = "its weights are finite, so it divides by 0 or overflows on the way"


def examples(card: PortableCard, graph: str) -> tuple[Tensor, ...]:
    """Inputs of `ROWS` rows, the same each time: uniform images, normal latents and noise, labels in turn."""
    generator = stream("export", graph)
    made = []
    for port in card.ports(graph)[0]:
        if port.name == "labels":
            rows = torch.arange(ROWS) % len(card.classes)
        else:
            draw = torch.rand if port.name == "images" else torch.randn
            rows = draw(ROWS, *port.row, generator=generator)
        made.append(rows)
    return tuple(made)


def examples_on(card: PortableCard, graph: str, module: nn.Module) -> tuple[Tensor, ...]:
    """The same on the module's device."""
    made = examples(card, graph)
    weight = next((tensor for tensor in (*module.parameters(), *module.buffers())), made[0])
    return tuple(rows.to(weight.device) for rows in made)


def tried(card: PortableCard, graph: str, module: nn.Module) -> Tensor:
    """What the module itself gives for the examples, once it has shown that it is a function of each row.

    Raises:
        BundleError: it fails, or gives something of another shape, NaN, images out of range, something else the next
            time, or something else for a row alone.
    """
    what, examples = f"{graph} of {card.name!r}", examples_on(card, graph, module)
    try:
        given = [module(*examples), module(*examples), module(*(rows[:1] for rows in examples))]
    except Exception as error:  # it is anybody's code
        said = f"{type(error).__name__}: {plain_line(str(error))}"
        raise BundleError(f"{what} fails: {other_type(module)}{said}") from error
    for rows, output in zip((ROWS, ROWS, 1), given, strict=True):
        shape = (rows, *card.ports(graph)[1].row)
        if not isinstance(output, Tensor) or output.shape != shape:
            found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise BundleError(f"{what} gives {found}, expected {shape}")
        refuse_numbers(card, graph, output, what, _cause_of_nan(module))
    first, again, alone = (Tensor.cpu(output.detach()) for output in given)
    compare(card, graph, again, first, "the next time; noise is an input, draw none inside")
    compare(card, graph, alone, first[:1], ALONE + of_other_bits(module))
    return first


def _cause_of_nan(module: nn.Module) -> str:
    """What is likely to be at fault where a module gives values that are not finite."""
    bad = [name for name, tensor in module.state_dict().items() if not torch.isfinite(tensor).all()]
    if bad:
        return f"so are weights of it ({plain_line(bad[0], 60)}); its training diverged, train it anew at a lower lr"
    return OVERFLOWS


def compare(
    card: PortableCard, graph: str, found: Tensor, expected: Tensor, when: str, tolerance: float = TOLERANCE
) -> None:
    """Raise a BundleError where outputs are not alike: images to the tolerance, latents to as much of the largest."""
    limit = tolerance * (max(1.0, float(expected.abs().max())) if graph == "encode" else 1.0)
    difference = float((found - expected).abs().max())
    if not difference <= limit:
        what = f"{graph} of {card.name!r}"
        raise BundleError(f"{what} gives other numbers {when}: {difference:.2g} apart, more than {limit:.2g}")


def refuse_numbers(card: PortableCard, graph: str, given: Tensor, what: str, why: str = OVERFLOWS) -> None:
    """Raise a BundleError where numbers are not finite, or images out of range that a judge looks at.

    Args:
        given: what the part `graph` gave; what: the part's name in messages; why: numbers may not be finite.
    """
    if not bool(given.isfinite().all()):
        raise BundleError(f"{what} gives NaN or infinite values: {why}")
    looked_at = graph == "generate" or (graph == "decode" and not card.pixels)
    if looked_at and (fault := fault_of(given)):
        raise BundleError(f"images of {what} {fault}")
