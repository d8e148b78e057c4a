"""What a local equation knows of its neighbours: the stencils of the automata, so that both see the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.nca.spec import Padding

LARGEST_EIGENVALUE = 4.0
"""Of the magnitude of ``laplacian``: its eigenvalue for waves (kx, ky) is (1 + cos kx)·(1 + cos ky) - 4, from -4 to 0, with
every padding. The biharmonic's largest one is 16."""


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Differences of fields (…, y, x) in cells, with what lies beyond the edge as `padding` says.

    The kernels LAP, DX, DY and MOORE of twins.nca.kernels, computed as products of one-dimensional ones: LAP is S ⊗ S - 4
    and DX is S ⊗ (-1, 0, 1)/4 with S = (1/2, 1, 1/2), which is several times faster than a convolution.
    """

    padding: Padding = "periodic"

    def laplacian(self, field: Float[Tensor, "*any y x"]) -> Float[Tensor, "*any y x"]:
        """∇² in cells⁻²."""
        return torch.sub(self._smooth(self._smooth(field, -2), -1), field, alpha=4.0)

    def biharmonic(self, field: Float[Tensor, "*any y x"]) -> Float[Tensor, "*any y x"]:
        """∇⁴: the laplacian of the laplacian."""
        return self.laplacian(self.laplacian(field))

    def slope_x(self, field: Float[Tensor, "*any y x"]) -> Float[Tensor, "*any y x"]:
        """∂/∂x, along the columns, per cell."""
        return self._difference(self._smooth(field, -2), -1)

    def slope_y(self, field: Float[Tensor, "*any y x"]) -> Float[Tensor, "*any y x"]:
        """∂/∂y, along the rows (downwards), per cell."""
        return self._difference(self._smooth(field, -1), -2)

    def neighbour_sum(self, field: Float[Tensor, "*any y x"]) -> Float[Tensor, "*any y x"]:
        """The sum of the eight neighbours."""
        return self._box(self._box(field, -2), -1) - field

    def _wide(self, field: Tensor, axis: int) -> Tensor:
        """One more row or column on either side."""
        first, last = field.narrow(axis, 0, 1), field.narrow(axis, field.shape[axis] - 1, 1)
        if self.padding == "periodic":
            first, last = last, first
        elif self.padding == "zero":
            first = last = torch.zeros_like(first)
        return torch.cat((first, field, last), dim=axis)

    def _sides(self, field: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        wide, length = self._wide(field, axis), field.shape[axis]
        return wide.narrow(axis, 0, length), wide.narrow(axis, 2, length)

    def _smooth(self, field: Tensor, axis: int) -> Tensor:
        before, after = self._sides(field, axis)
        return torch.add(field, before + after, alpha=0.5)

    def _box(self, field: Tensor, axis: int) -> Tensor:
        before, after = self._sides(field, axis)
        return field + before + after

    def _difference(self, field: Tensor, axis: int) -> Tensor:
        before, after = self._sides(field, axis)
        return 0.25 * (after - before)
