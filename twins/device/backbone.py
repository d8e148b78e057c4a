"""The polynomial part of a twin's drift: terms of degree 2 and 3 beside the linear model."""

from __future__ import annotations

from functools import cache
from itertools import combinations_with_replacement
from math import comb

import torch
from jaxtyping import Float
from torch import Tensor


def n_higher_terms(n_inputs: int, order: int) -> int:
    """How many products of 2 to `order` inputs there are, repeated ones included."""
    return sum(comb(n_inputs + degree - 1, degree) for degree in range(2, order + 1))


def higher_terms(rows: Float[Tensor, "row inputs"], order: int) -> Float[Tensor, "row terms"]:
    """All products of 2 to `order` inputs, in the order of itertools.combinations_with_replacement."""
    n = rows.shape[1]
    parts, lower = [], rows
    for degree in range(2, order + 1):
        first, rest = _factors(n, degree)
        # index_select: its gradient costs a third of that of rows[:, first]
        lower = rows.index_select(1, first.to(rows.device)) * lower.index_select(1, rest.to(rows.device))
        parts.append(lower)
    return torch.cat(parts, dim=1) if parts else rows[:, :0]


@cache
def _factors(n_inputs: int, degree: int) -> tuple[Tensor, Tensor]:
    """For every product of this degree: its first input, and the number of the rest among those of a degree less."""
    place = {key: i for i, key in enumerate(combinations_with_replacement(range(n_inputs), degree - 1))}
    products = list(combinations_with_replacement(range(n_inputs), degree))
    return torch.tensor([product[0] for product in products]), torch.tensor(
        [place[product[1:]] for product in products]
    )
