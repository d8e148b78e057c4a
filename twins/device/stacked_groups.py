"""How a stack is laid out: which nodes run together, where their channels stand, what an instrument adds to each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from twins.device.stacked_slow import frozen
from twins.device.stacked_starts import is_hidden
from twins.device.stacked_weights import kernel_expresses
from twins.device.twin import DeviceTwin


def groups_of(
    twins: Sequence[DeviceTwin], held: Sequence[Tensor]
) -> tuple[list[list[int]], list[tuple[tuple[object, ...], list[int]]]]:
    """Nodes that run in one kernel together, and nodes that ask one twin together."""
    fast: dict[tuple[int, str], list[int]] = {}
    slow: dict[tuple[object, ...], list[int]] = {}
    for node, (twin, values) in enumerate(zip(twins, held, strict=True)):
        if kernel_expresses(twin):
            fast.setdefault((len(twin.spec.hidden), twin.spec.activation), []).append(node)
        else:
            slow.setdefault((id(twin), *values.tolist()), []).append(node)
    return list(fast.values()), list(slow.items())


def copies_of(twins: Sequence[DeviceTwin], slow: Sequence[int]) -> list[DeviceTwin]:
    """The twins that are asked later on, frozen, one copy of each; the kernel has packed all that it needs."""
    asked = {id(twins[node]) for node in slow} | {id(twin) for twin in twins if is_hidden(twin)}
    copies = {id(twin): frozen(twin) if id(twin) in asked else twin for twin in twins}
    return [copies[id(twin)] for twin in twins]


def places_of(counts: Sequence[int]) -> list[list[int]]:
    """The channels of each node in the order of all."""
    ends = torch.tensor([0, *counts]).cumsum(0).tolist()
    return [list(range(first, end)) for first, end in pairwise(ends)]


def of_channels(twins: Sequence[DeviceTwin]) -> dict[str, Tensor]:
    """Ranges (line, 2), and what an instrument adds (sense, 1, 1)."""
    noise, offsets = [], []
    with torch.no_grad():
        for twin in twins:
            noise.append(twin.observation_covariance().diagonal().sqrt() * twin.response_scale)
            offsets.append(twin.trial_offsets.norm(dim=1) * twin.response_scale)
    return {
        "drive_range": torch.cat([twin.drive_range for twin in twins]),
        "measurement_std": torch.cat(noise)[:, None, None],
        "offset_std": torch.cat(offsets)[:, None, None],
    }
