"""Nodes that the fast kernel cannot express: each twin is asked itself, once for all nodes that it stands at."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from twins.device.responding import advance, embedded
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid


def frozen(twin: DeviceTwin) -> DeviceTwin:
    """A copy that gradients pass through but do not stay in."""
    return copy.deepcopy(twin).requires_grad_(False)


class SlowNodes:
    """Some nodes of a stack with what they are fixed to, grouped so that every distinct one runs once.

    nodes: numbers in the stack; twins: frozen, one a node; conditions: (condition,) of each.
    """

    def __init__(self, nodes: Sequence[int], twins: Sequence[DeviceTwin], conditions: Sequence[Tensor]) -> None:
        groups: dict[tuple[int, tuple[float, ...]], list[int]] = {}
        for place, (twin, held) in enumerate(zip(twins, conditions, strict=True)):
            groups.setdefault((id(twin), tuple(held.tolist())), []).append(place)
        self.nodes = list(nodes)
        self._groups = [
            (twins[places[0]], conditions[places[0]], [self.nodes[place] for place in places])
            for places in groups.values()
        ]

    def run(
        self,
        drive: Tensor,
        before: Tensor,
        starts: dict[int, tuple[Tensor, Tensor]],
        *,
        noise: Tensor | None,
        generator: torch.Generator | None,
    ) -> dict[int, Tensor]:
        """node -> states (batch, time) in physical units.

        drive: (node, batch, time) of the whole stack; before: (node, batch, delay), newest first; starts: normalised
        (batch, delay + 1) and auxiliaries of each node.
        """
        found: dict[int, Tensor] = {}
        for twin, held, nodes in self._groups:
            like, spec = twin.linear_weight, twin.spec
            driven = drive[nodes].unsqueeze(-1)
            history = before[nodes][..., : spec.drive_delays].unsqueeze(-1)
            u = embedded(twin, driven, history, held.expand(*driven.shape[:2], -1))[..., :-1, :]
            x0 = torch.stack([starts[node][0] for node in nodes]).unsqueeze(-1).to(like)
            auxiliaries = torch.stack([starts[node][1] for node in nodes]).to(like)
            kicks = _given_noise(twin, noise, nodes)
            path = advance(twin, x0, auxiliaries, u, noise=kicks, generator=generator).squeeze(-1)
            path = path * twin.response_scale + twin.response_centre
            found.update(zip(nodes, path.unbind(0), strict=True))
        return found


def _given_noise(twin: DeviceTwin, noise: Tensor | None, nodes: list[int]) -> Tensor | None:
    """(step, node, batch) as (step, node, batch, noise) for the twin of these nodes; None to draw it, or without any."""
    if noise is None or not twin.spec.noisy:
        return None
    if twin.spec.n_noise != 1:
        raise TracesInvalid(
            f"noise=… gives one number a step and node; the twin at node {nodes[0]} has {twin.spec.n_noise} noises: "
            "pass generator=… instead"
        )
    return noise[:, nodes].unsqueeze(-1).to(twin.linear_weight)
