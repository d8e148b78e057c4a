"""Changes of sign, of which most symmetries of equations consist."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from twins.goku.quantity import Quantity


def turned(quantities: Sequence[Quantity], names: Collection[str]) -> Callable[[Tensor], Tensor]:
    """The map of flat values (…, n) of single quantities that changes the sign of those named, where they are there."""
    return scaled([-1.0 if quantity.name in names else 1.0 for quantity in quantities])


def scaled(factors: Sequence[float]) -> Callable[[Tensor], Tensor]:
    """Multiply flat values (…, n) one by one."""
    return lambda values: values * torch.tensor(factors, dtype=values.dtype, device=values.device)
