"""The terms that a readable rule is made of: products of fields, and differential operators applied to them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.pde.neighbourhood import Neighbourhood
from twins.nca.spec import Padding

_RAISED = {1: "", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶"}
_LARGEST_DEGREE = 6


@dataclass(frozen=True, slots=True)
class Term:
    """operator ("", "∇²", "∇⁴", "∂x", "∂y" or "|∇|²") of a product of powers of the fields."""

    powers: tuple[int, ...]
    operator: str = ""

    def name(self, fields: tuple[str, ...]) -> str:
        """In words: "1", "A B²", "∇²A", "∇²(A B)", "|∇A|²"."""
        factors = [f"{field}{_RAISED[power]}" for field, power in zip(fields, self.powers, strict=True) if power]
        product = " ".join(factors) or "1"
        if self.operator == "|∇|²":
            return f"|∇{product}|²"
        alone = len(factors) == 1 and sum(self.powers) == 1
        return f"{self.operator}{product}" if not self.operator or alone else f"{self.operator}({product})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Which terms are tried.

    degree: of the products of fields, the constant among them. laplacian_degree: of the products under the Laplacian (1: of
    the fields themselves; 3 for the chemical potential of Cahn-Hilliard). biharmonic: ∇⁴ of each channel. slopes: ∂x, ∂y
    and |∇|² of each channel (∂x and ∂y break the symmetry). Fields that hold still (conditions, environment) are multiplied
    with the others, and never differentiated. Raises AutomatonInvalid.
    """

    degree: int = 3
    laplacian_degree: int = 1
    biharmonic: bool = False
    slopes: bool = False

    def __post_init__(self) -> None:
        for name, lowest in (("degree", 0), ("laplacian_degree", 0)):
            if getattr(self, name) not in range(lowest, _LARGEST_DEGREE + 1):
                raise AutomatonInvalid(f"{name} must lie in {lowest}..{_LARGEST_DEGREE}, not {getattr(self, name)!r}")

    def terms(self, n_channels: int, n_still: int = 0) -> tuple[Term, ...]:
        """Of so many channels and fields that hold still: operators first, then products from the constant upwards."""
        n = n_channels + n_still
        found = [
            Term(powers, "∇²")
            for degree in range(1, self.laplacian_degree + 1)
            for powers in _powers(n_channels, n, degree)
        ]
        single = _powers(n_channels, n, 1)
        operators = (*(("∇⁴",) * self.biharmonic), *(("∂x", "∂y", "|∇|²") * self.slopes))
        found += [Term(powers, operator) for operator in operators for powers in single]
        found += [Term(powers) for degree in range(self.degree + 1) for powers in _powers(n, n, degree)]
        return tuple(found)


def evaluated(
    terms: tuple[Term, ...], fields: Float[Tensor, "batch field y x"], padding: Padding
) -> Float[Tensor, "batch term y x"]:
    """Each term of the fields, in the fields' units and in cells."""
    near = Neighbourhood(padding)
    products: dict[tuple[int, ...], Tensor] = {}
    answers = []
    for term in terms:
        if term.powers not in products:
            raised = (fields[:, number] ** power for number, power in enumerate(term.powers) if power)
            products[term.powers] = prod(raised, start=torch.ones_like(fields[:, 0]))
        answers.append(_operated(term.operator, products[term.powers], near))
    return torch.stack(answers, dim=1)


def _operated(operator: str, field: Tensor, near: Neighbourhood) -> Tensor:
    if operator == "|∇|²":
        return near.slope_x(field).square() + near.slope_y(field).square()
    operators = {"∇²": near.laplacian, "∇⁴": near.biharmonic, "∂x": near.slope_x, "∂y": near.slope_y}
    return operators[operator](field) if operator else field


def _powers(n_used: int, n_fields: int, degree: int) -> list[tuple[int, ...]]:
    """Of all products of this degree of the first n_used fields."""
    return [
        tuple(chosen.count(field) for field in range(n_fields))
        for chosen in combinations_with_replacement(range(n_used), degree)
    ]
