"""Images as mass on the grid: what losses between distributions compare."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.losses.loss import Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class MassLoss(Loss, ABC):
    """A loss that takes each channel as mass lying on the cells.

    Mass is positive, values of an automaton need not be. The absolute value, which the publication takes, makes -0.2 and
    0.2 equal, and pushes a cell that is below zero further down. Here mass is a smooth ramp of the value v,
    (v + √(v² + 4 s²)) / 2 with s = softness: v where v >> s, s at 0, and s²/|v| below, so that it grows everywhere, no
    gradient dies, and different values have different masses.
    """

    softness: float = 0.01

    def __post_init__(self) -> None:
        super(MassLoss, self).__post_init__()  # the bare super() does not know a class with slots
        if not 0.0 < self.softness < float("inf"):
            raise AutomatonInvalid(f"softness must be finite and above 0, not {self.softness!r}")

    def mass(self, values: Float[Tensor, "*place"]) -> Float[Tensor, "*place"]:
        """The ramp."""
        twice = 2.0 * self.softness
        root = torch.hypot(values, values.new_tensor(twice))
        # below zero the sum cancels; multiplied by its conjugate it does not
        return torch.where(
            values > 0.0, (values + root) / 2.0, twice * self.softness / (root - values).clamp_min(twice)
        )

    def distribution(self, values: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y x"]:
        """The mass of each channel, in shares of its sum over the grid."""
        mass = self.mass(values)
        return mass / mass.sum(dim=(2, 3), keepdim=True)
