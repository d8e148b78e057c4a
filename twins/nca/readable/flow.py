"""Where an equation in the terms of a library leads in several time steps, and how that depends on its coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from twins.nca.pde.neighbourhood import Neighbourhood
from twins.nca.readable.library import Term
from twins.nca.spec import Padding

Place = tuple[int, int]
"""(channel, term) of one coefficient."""


class Flow:
    """`n_steps` explicit Euler steps of dt: u ← u + dt · Σ coefficient · term(u), in the fields' units and cells.

    terms: as a Library makes them. coefficients are (channel, term); fields are (state, field, y, x), the channels and
    behind them those that hold still. Values that run away are not finite in the end: nothing is refused here.
    """

    def __init__(
        self, terms: Sequence[Term], *, n_channels: int, n_steps: int, dt: float, padding: Padding = "periodic"
    ) -> None:
        self.terms, self.n_channels, self.n_steps, self.dt = tuple(terms), n_channels, n_steps, dt
        self.near = near = Neighbourhood(padding)
        self._seen: tuple[Tensor | None, dict[str, list[int]]] = (None, {})
        self.linear = {"": None, "∇²": near.laplacian, "∇⁴": near.biharmonic, "∂x": near.slope_x, "∂y": near.slope_y}

    def ended(
        self, fields: Float[Tensor, "state field y x"], coefficients: Float[Tensor, "channel term"]
    ) -> Float[Tensor, "state channel y x"]:
        """The channels after all steps."""
        state, still = self._split(fields)
        for _ in range(self.n_steps):
            state = state + self.dt * self._rate(_Products(torch.cat((state, still))), coefficients)
        return state.transpose(0, 1)

    def with_tangents(
        self,
        fields: Float[Tensor, "state field y x"],
        coefficients: Float[Tensor, "channel term"],
        wanted: Sequence[Place],
    ) -> tuple[Float[Tensor, "state channel y x"], Float[Tensor, "wanted state channel y x"]]:
        """``ended``, and its derivative by each of the wanted coefficients: forward sensitivities, step by step."""
        state, still = self._split(fields)
        # single precision is enough for a direction, and twice as fast
        tangents = torch.zeros(self.n_channels, len(wanted), *state.shape[1:], device=state.device)
        for _ in range(self.n_steps):
            products = _Products(torch.cat((state, still)))
            grown = self._pushed(products, coefficients, tangents)
            seen = {term: self._evaluated(products, term).float() for term in {term for _, term in wanted}}
            for number, (channel, term) in enumerate(wanted):
                grown[channel, number] += seen[term]
            tangents = tangents.add(grown, alpha=self.dt)
            state = state + self.dt * self._rate(products, coefficients)
        return state.transpose(0, 1), tangents.permute(1, 2, 0, 3, 4).to(state.dtype)

    def _split(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Fields in front: (field, state, y, x)."""
        first = fields.transpose(0, 1)
        return first[: self.n_channels], first[self.n_channels :]

    def _used(self, operator: str, coefficients: Tensor) -> list[int]:
        if coefficients is not self._seen[0]:  # asked for at every step
            given = coefficients.any(dim=0).tolist()
            used = {
                known: [k for k, term in enumerate(self.terms) if given[k] and term.operator == known]
                for known in (*self.linear, "|∇|²")
            }
            self._seen = (coefficients, used)
        return self._seen[1][operator]

    def _rate(self, products: _Products, coefficients: Tensor) -> Tensor:
        rate = torch.zeros_like(products.fields[: self.n_channels])
        for operator, apply in self.linear.items():
            used = self._used(operator, coefficients)
            if used:
                stacked = torch.stack([products[self.terms[k].powers] for k in used])
                weighed = torch.tensordot(coefficients[:, used], stacked, dims=1)
                rate = rate + (weighed if apply is None else apply(weighed))
        for k in self._used("|∇|²", coefficients):
            rate = rate + coefficients[:, k, None, None, None] * self._evaluated(products, k)
        return rate

    def _pushed(self, products: _Products, coefficients: Tensor, tangents: Tensor) -> Tensor:
        """The derivative of the rate by the state, times the tangents."""
        pushed = torch.zeros_like(tangents)
        for operator, apply in self.linear.items():
            used = self._used(operator, coefficients)
            if not used:
                continue
            part = torch.zeros_like(tangents)
            for field in range(self.n_channels):
                touched = [k for k in used if self.terms[k].powers[field]]
                if touched:
                    slopes = torch.stack([products.slope(self.terms[k].powers, field) for k in touched])
                    weighed = torch.tensordot(coefficients[:, touched], slopes, dims=1)
                    part.addcmul_(weighed.float()[:, None], tangents[field])
            pushed += part if apply is None else apply(part)
        for k in self._used("|∇|²", coefficients):
            field = self.terms[k].powers.index(1)
            for slope in (self.near.slope_x, self.near.slope_y):
                along = 2.0 * slope(products.fields[field]).float() * slope(tangents[field])
                pushed += coefficients[:, k, None, None, None, None].float() * along
        return pushed

    def _evaluated(self, products: _Products, number: int) -> Tensor:
        term = self.terms[number]
        product = products[term.powers]
        if term.operator == "|∇|²":
            return self.near.slope_x(product).square() + self.near.slope_y(product).square()
        apply = self.linear[term.operator]
        return product if apply is None else apply(product)


class _Products:
    """Products of powers of the fields (field, state, y, x), each computed once."""

    def __init__(self, fields: Tensor) -> None:
        self.fields = fields
        self._known: dict[tuple[int, ...], Tensor] = {}

    def __getitem__(self, powers: tuple[int, ...]) -> Tensor:
        if powers not in self._known:
            raised = (self.fields[number] ** power for number, power in enumerate(powers) if power)
            self._known[powers] = prod(raised, start=torch.ones_like(self.fields[0]))
        return self._known[powers]

    def slope(self, powers: tuple[int, ...], field: int) -> Tensor:
        """By one of the fields."""
        lowered = tuple(power - (number == field) for number, power in enumerate(powers))
        return powers[field] * self[lowered]
