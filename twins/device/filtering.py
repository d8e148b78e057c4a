"""Where a twin starts: from measured samples as they are, or from what a filter makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from twins.device.history import Histories

if TYPE_CHECKING:
    from twins.device.twin import DeviceTwin


def draw_start(
    twin: DeviceTwin,
    history: Histories,
    conditions: Tensor,
    batch: tuple[int, ...],
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """Normalised start (…, delay, response), newest first, and auxiliaries (…, auxiliary)."""
    like = twin.linear_weight
    x0 = ((history.response[..., : twin.spec.response_delays + 1, :] - twin.response_centre) / twin.response_scale).to(
        like
    )
    x0 = x0.expand(*batch, -1, -1)
    return x0, x0.new_zeros(*batch, twin.spec.auxiliaries)
