"""Asking a model row by row: in random order and batches of random sizes, a random share of the rows twice.

What a model makes of a row may depend on that row alone. A model that looks at a row's place, at its batch or at the
other rows of it is found by asking again: in other company, and alone. It cannot know which rows are asked twice, and
the place of a row says nothing, for the order is random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latentarena.errors import GateError, ModelError
from latentarena.outputs import APART
from latentarena.progress import counted, listening

SMALLEST, LARGEST = 200, 500  # rows of a batch; fewer where there are few rows in all
AGAIN = 50  # one row in this many is asked twice among the others
FEWEST, MOST = 8, 200  # rows that are asked twice among the others
COMPANIES = (1, 1, 1, 1, 2, 3, 5, 9)  # rows of the small batches in which some more are asked again
EXCUSED = 0.02  # of the rows asked again: near an edge, such as a quantiser's, rounding may decide between two answers
ALONE = COMPANIES.count(1)  # rows asked alone, as a graph's cost is measured: more than half of them are not excused


def ask(
    model: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    generator: torch.Generator,
    what: str,
    row: tuple[int, ...] | None = None,
    scale: float | None = None,
    repeatable: bool = True,
) -> Tensor:
    """What a model makes of rows that it is asked in random order, batches and company; the answers in the given order.

    Args:
        model: takes batches of the inputs and gives one row for each row.
        inputs: of N rows each.
        generator: of order, batches and choice of rows.
        what: the answers' name in messages, such as `samples`.
        row: shape of one answer; that of the first batch unless given.
        scale: of the answers, of which `APART` is meant; their standard deviation unless given.
        repeatable: whether an answer can be had twice; if not, order and batches are random and nothing is compared.

    Returns:
        (N, *row).

    Raises:
        ModelError: an answer has another shape.
        GateError: of reason `rows`, where answers depend on more than their own row.
    """
    n = len(inputs[0])
    entries, batches = _questions(n, repeatable, generator)
    answers = []
    for batch in counted(batches, what):
        with listening(lambda progress: None):  # to a batch's own
            made = model(*(rows[entries[batch]] for rows in inputs))
        row = tuple(made.shape[1:]) if row is None else row
        if tuple(made.shape) != (len(batch), *row):
            raise ModelError(f"the model's {what} have the shape {tuple(made.shape)}, not {(len(batch), *row)}")
        answers.append(made)
    found = torch.empty(len(entries), *answers[0].shape[1:], dtype=answers[0].dtype)
    found[torch.cat(batches)] = torch.cat(answers)
    if repeatable:
        _refuse_dependence(found[entries[n:]], found[n:], scale or _spread(found[:n]), what)
    return found[:n]


def _questions(n: int, repeatable: bool, generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
    """The row of each question, the first n in order and then those asked again; and the questions in batches."""
    among = min(n, max(FEWEST, min(MOST, n // AGAIN))) if repeatable else 0
    small = list(COMPANIES) if repeatable else []
    again = torch.randperm(n, generator=generator)[:among]
    apart = torch.randint(n, (sum(small),), generator=generator)
    entries = torch.cat([torch.arange(n), again, apart])
    batches = _batches(n, among, generator) + list(torch.split(torch.arange(n + among, len(entries)), small))
    return entries, [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def _batches(n: int, among: int, generator: torch.Generator) -> list[Tensor]:
    """The first n + among questions in random order, in batches of random sizes."""
    order = torch.randperm(n + among, generator=generator)
    smallest, largest = max(1, min(SMALLEST, n // 4)), max(1, min(LARGEST, n // 2))
    sizes: list[int] = []
    while sum(sizes) < len(order):
        sizes.append(int(torch.randint(smallest, largest + 1, (), generator=generator)))
    sizes[-1] -= sum(sizes) - len(order)
    return list(torch.split(order, sizes))


def _spread(answers: Tensor) -> float:
    """Root mean square of the standard deviations of the numbers of an answer."""
    return float(answers.flatten(1).double().var(0, correction=0).mean().sqrt())


def _refuse_dependence(first: Tensor, second: Tensor, scale: float, what: str) -> None:
    """Raise a GateError where too many of the rows that were asked twice have two answers, or of those asked alone."""
    one, other = first.flatten(1), second.flatten(1)
    if not bool(one.isfinite().all()):
        return  # that is told by whoever looks at the answers
    apart = (one.nan_to_num() - other.nan_to_num()).abs() / max(scale, 1e-12)
    apart = torch.where(one.isfinite() == other.isfinite(), apart, torch.inf).amax(1)
    differ = int((apart > APART).sum())
    lone = int((apart[-sum(COMPANIES) :][:ALONE] > APART).sum())
    if differ > max(1, EXCUSED * len(apart)) or lone > ALONE / 2:
        raise GateError(
            "rows",
            f"the model's {what} depend on more than their own row: {differ} of {len(apart)} rows that were asked "
            f"again in another batch came out differently, by up to {float(apart.max()):.3g} of their scale, where "
            f"rounding explains {APART:g}; a model must treat each row alone: no choice by a row's place, no "
            f"statistics of the batch (export in evaluation mode)",
        )
