"""What parts of somebody's own give, held against what training takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from torch import Tensor, is_grad_enabled

from latentarena.errors import ConfigError
from latentarena.parts import Kinds
from latentarena.registry import called_with, words_of

if TYPE_CHECKING:
    from latentarena.config import Config

ROUNDED = 1e-3  # of a sum of squares: a coupling may reckon in half precision
WAY_OUT = "leave detach(), item(), numpy and torch.no_grad() out on the way to it"
_tried: WeakValueDictionary[int, Any] = WeakValueDictionary()  # parts whose first numbers were looked at, by id


def shaped(kind: str, part: object, found: Tensor, shape: Sequence[int]) -> Tensor:
    """What a part gives, of the shape that it has to be of: another would be broadcast (ConfigError)."""
    if not isinstance(found, Tensor) or found.shape != tuple(shape):
        what, wanted = words_of(kind, part), f"a tensor {list(shape)} is wanted"
        raise ConfigError(f"{what} gives {_given(found)} for a batch of {shape[0]}; {wanted}")
    return found


def unit_times(part: object, found: Tensor, n: int) -> Tensor:
    """Times (n,) that a part draws; the first that one of somebody's own draws have to lie in [0, 1] (ConfigError)."""
    shaped("times", part, found, (n,))
    if _first_of(part):
        low, high = (float(one) for one in found.detach().aminmax())
        if not (low >= 0 and high <= 1):
            way_out = "times in [0, 1] are wanted, 0 for data and 1 for noise: divide by the longest"
            raise ConfigError(f"{words_of('times', part)} gives times from {low:.4g} to {high:.4g}; {way_out}")
    return found


def reordered(part: Callable[[Tensor, Tensor], Tensor], data: Tensor, noise: Tensor) -> Tensor:
    """What a coupling makes of noise (B, ...); one of somebody's own may change its order alone (ConfigError).

    That is looked at once, by the sum of squares.
    """
    first = _first_of(part)
    squares = float(noise.double().square().sum()) if first else 0.0  # before, since it may work in place
    found = shaped("coupling", part, part(data, noise), data.shape)
    if first:
        now = float(found.detach().double().square().sum())
        if not abs(now - squares) <= ROUNDED * squares:
            way_out = "give the rows of the noise in another order, such as noise[order]"
            why = f"gives other numbers than the noise (a mean square of {now / noise.numel():.3g}"
            raise ConfigError(f"{words_of('coupling', part)} {why}, not {squares / noise.numel():.3g}); {way_out}")
    return found


def _first_of(part: object) -> bool:
    """Whether a part is somebody's own and is asked for the first time: to look at numbers makes a GPU wait."""
    shipped = str(getattr(part, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]
    if shipped or _tried.get(id(part)) is part:
        return False
    with suppress(TypeError):  # some objects cannot be referred to weakly
        _tried[id(part)] = part
    return True


def built(kinds: Kinds[Any], config: Config, *takes: str) -> Callable[..., Tensor]:
    """The function that the configuration of a loss or an error builds, of so many things.

    One of somebody's own is held to give a tensor of one number that training can lower.

    Raises:
        ConfigError: it builds something else.
    """
    function = config.build()  # type: ignore[attr-defined]
    if type(config) not in [kinds[name] for name in kinds.foreign]:
        return function  # type: ignore[no-any-return]
    what = words_of(kinds.kind, type(config))
    if not callable(function) or not called_with(function, len(takes)):
        given = "such a function with other arguments" if callable(function) else f"a {type(function).__name__}"
        raise ConfigError(f"{what}: build gives {given}; give a function of {' and '.join(takes)}")

    def held(*given: Any) -> Tensor:
        return lowered(what, function(*given))

    return held


def lowered(what: str, found: Any) -> Tensor:
    """A loss that is a tensor of one number, with a gradient where one is taken (ConfigError)."""
    if not isinstance(found, Tensor) or found.numel() != 1:
        wanted = "a tensor of one number is wanted, such as the mean over the batch"
        raise ConfigError(f"{what} gives {_given(found)}; {wanted}")
    if is_grad_enabled() and found.grad_fn is None:  # of a leaf, too, that somebody has made to need a gradient
        raise ConfigError(f"{what} gives a number that no weight of the network moves; {WAY_OUT}")
    return found


def _given(found: object) -> object:
    return list(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
