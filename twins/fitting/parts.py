"""Which numbers of a twin's nets belong to the drift and which to the diffusion, so that phases can train one alone."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from twins.device.nets import Nets, PairedNets


def part_masks(nets: Nets, part: Literal["drift", "diffusion"]) -> list[Tensor]:
    """For each of nets.parameters(), 1 where it belongs to this net, else 0; the shapes broadcast.

    A gradient times its mask trains this net alone: where it is always zero, Adam moves nothing.
    """
    if isinstance(nets, PairedNets):
        chosen = torch.tensor([part == "drift", part == "diffusion"]).reshape(2, 1, 1)
        return [chosen.to(parameter) for parameter in nets.parameters()]
    n_drift = nets.n_drift_layers
    belongs = [(number < n_drift) == (part == "drift") for number in range(len(nets.weights))]
    return [parameter.new_tensor(float(mine)) for parameter, mine in zip(nets.parameters(), 2 * belongs, strict=True)]
