"""Named, bounded quantities with units: the states, parameters, drives and outputs of an equation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid

SCALES = ("linear", "log")


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity, or an array of them, with the range in which it can lie.

    low, high: of a parameter, its prior range (nothing outside is ever inferred); of a state, the range of initial
    values; of a drive or an output they are told, not enforced. shape: () for a number, (3,) for three, (3, 3) for
    a matrix. scale: "log" where the range spans decades (0 < low): every factor is then as likely as another.
    """

    name: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    shape: tuple[int, ...] = ()
    scale: str = "linear"

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise EquationInvalid(f"a quantity's name must be an identifier, as in 'length', not {self.name!r}")
        if math.isnan(self.low) or math.isnan(self.high) or not self.low < self.high:
            raise EquationInvalid(f"{self.name}: the range {self.low:g}..{self.high:g} is empty; give low < high")
        if self.scale not in SCALES or (self.scale == "log" and not 0.0 < self.low < math.inf):
            raise EquationInvalid(
                f"{self.name}: scale must be one of {SCALES}, and a log scale needs 0 < low; "
                f"not {self.scale!r} with low = {self.low:g}"
            )
        if any(length < 1 for length in self.shape):
            raise EquationInvalid(f"{self.name}: every axis needs a length of at least 1, not {self.shape}")

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def bounded(self) -> bool:
        """Whether both ends of its range are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def flat(self) -> tuple[Quantity, ...]:
        """Its numbers one by one, as in coupling[0,1], rows first; a single number is itself.

        The names of elements are not identifiers: they are for tables and files.
        """
        if not self.shape:
            return (self,)
        elements = []
        for place in _places(self.shape):
            element = replace(self, shape=())
            object.__setattr__(element, "name", f"{self.name}[{','.join(map(str, place))}]")
            elements.append(element)
        return tuple(elements)


def _places(shape: tuple[int, ...]) -> Iterable[tuple[int, ...]]:
    if not shape:
        return [()]
    return [(i, *rest) for i in range(shape[0]) for rest in _places(shape[1:])]


def flat_quantities(quantities: Sequence[Quantity]) -> tuple[Quantity, ...]:
    """All numbers of all quantities, in order."""
    return tuple(element for quantity in quantities for element in quantity.flat())


def check_names(quantities: Sequence[Quantity], what: str) -> None:
    """Raise EquationInvalid unless all names differ."""
    names = [quantity.name for quantity in quantities]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise EquationInvalid(f"{what}: the name {double[0]!r} is given twice")


class Values:
    """Numbers by name: ``values.length`` is (…) for a single quantity, (…, 3, 3) for a 3 × 3 one.

    Made once a solve, so that taking a flat tensor (…, n) apart is not done at every step again.
    """

    def __init__(self, **named: Tensor) -> None:
        self.__dict__.update(named)

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("__"):  # copy, pickle and hasattr ask for these
            raise AttributeError(name)
        raise EquationInvalid(f"there is no {name!r} here; there are {', '.join(self.__dict__) or 'none'}")

    @classmethod
    def of(cls, flat: Float[Tensor, "... n"], quantities: Sequence[Quantity]) -> Values:
        """Take a flat tensor apart."""
        total = sum(quantity.size for quantity in quantities)
        if flat.shape[-1] != total:
            names = ", ".join(quantity.name for quantity in quantities)
            raise EquationInvalid(f"expected {total} numbers ({names}) along the last axis, not {flat.shape[-1]}")
        if all(not quantity.shape for quantity in quantities):
            return cls(**dict(zip((quantity.name for quantity in quantities), flat.unbind(-1), strict=True)))
        named, start = {}, 0
        for quantity in quantities:
            part = flat[..., start : start + quantity.size]
            named[quantity.name] = part.reshape((*flat.shape[:-1], *quantity.shape))
            start += quantity.size
        return cls(**named)


def joined(parts: object, quantities: Sequence[Quantity], batch: torch.Size, like: Tensor) -> Float[Tensor, "... n"]:
    """A flat tensor from a tuple of values, one a quantity in order; numbers and missing batch axes are spread out.

    Raises EquationInvalid for another number of parts or a shape that does not fit.
    """
    values = parts if isinstance(parts, tuple | list) else (parts,)
    if len(values) != len(quantities):
        names = ", ".join(quantity.name for quantity in quantities)
        raise EquationInvalid(f"expected {len(quantities)} values ({names}), in this order, not {len(values)}")
    if all(not quantity.shape for quantity in quantities):
        return torch.stack([_spread(value, batch, like) for value in values], dim=-1)
    flat = []
    for value, quantity in zip(values, quantities, strict=True):
        shape = torch.Size((*batch, *quantity.shape))
        flat.append(_spread(value, shape, like).reshape((*batch, quantity.size)))
    return torch.cat(flat, dim=-1)


def _spread(value: object, shape: torch.Size, like: Tensor) -> Tensor:
    if not isinstance(value, Tensor):
        return torch.full(shape, float(value), dtype=like.dtype, device=like.device)  # type: ignore[arg-type]
    if value.shape == shape:
        return value
    try:
        return value.expand(shape)
    except RuntimeError as error:
        raise EquationInvalid(f"a value of shape {tuple(value.shape)} does not fit {tuple(shape)}") from error
