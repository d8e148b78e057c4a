"""Nodes that the fast kernel cannot express: each twin is asked itself, once for all nodes that it stands at."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from twins.device.responding import advance_all, embedded
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid

SlowState = tuple[Tensor, ...]
"""Three, of the nodes of one twin: response (node, batch, delay + 1, response) and auxiliaries (node, batch, auxiliary),
normalised, and drive (node, batch, drive delay, drive) in physical units; all newest first."""


def frozen(twin: DeviceTwin) -> DeviceTwin:
    """A copy that gradients pass through but do not stay in."""
    return copy.deepcopy(twin).requires_grad_(False)


class SlowNodes:
    """The nodes of a stack at which one twin stands, under the same conditions; `nodes`: their numbers in the stack.

    twin: frozen. conditions: (condition,), as held.
    """

    def __init__(self, twin: DeviceTwin, nodes: Sequence[int], conditions: Tensor) -> None:
        self.twin, self.nodes, self._held = twin, list(nodes), conditions

    def move(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Change what is held beside the twin to another device or type."""
        self._held = fn(self._held)

    def start(self, drive: Tensor, drawn: Mapping[int, tuple[Tensor, Tensor]]) -> SlowState:
        """drive: (node, batch, delay, drive) of these nodes; drawn: normalised starts of all nodes of the stack."""
        like = self.twin.linear_weight
        x0 = torch.stack([drawn[node][0] for node in self.nodes]).to(like)
        auxiliaries = torch.stack([drawn[node][1] for node in self.nodes]).to(like)
        return x0, auxiliaries, drive[:, :, : self.twin.spec.drive_delays]

    def run(
        self,
        drive: Tensor,
        state: SlowState,
        *,
        noise: Tensor | None,
        generator: torch.Generator | None,
        conditions: Mapping[str, Tensor],
    ) -> tuple[Tensor, SlowState]:
        """drive (node, batch, step, drive), physical units -> states (node, batch, step + 1, response) likewise, and
        where they end. noise: (step, node, batch), for a twin of one noise."""
        twin, n = self.twin, self.twin.spec.n_response
        x0, auxiliaries, before = state
        held = self._conditions(conditions).expand(*drive.shape[:2], -1)
        u = embedded(twin, drive, before, held)
        path = advance_all(twin, x0, auxiliaries, u, noise=self._kicks(noise), generator=generator)
        seen = torch.cat((x0[:, :, 1:].flip(2), path[..., :n]), dim=2)
        n_seen, delays = seen.shape[2], twin.spec.response_delays
        driven = torch.cat((before.flip(2), drive.to(before)), dim=2).flip(2)
        ended = (seen[:, :, n_seen - delays - 1 :].flip(2), path[:, :, -1, n:], driven[:, :, : twin.spec.drive_delays])
        return path[..., :n] * twin.response_scale + twin.response_centre, ended

    def run_along(
        self, drive: Tensor, state: SlowState, response: Tensor, *, conditions: Mapping[str, Tensor]
    ) -> tuple[Tensor, SlowState]:
        """The same along a measured response (node, batch, step + 1, response): its values, the twin's gradients.

        Step by step, without noise: what the twin does not foresee is left out of the gradient.
        """
        twin, (x0, auxiliaries, before) = self.twin, state
        measured = ((response - twin.response_centre) / twin.response_scale).to(twin.linear_weight)
        quiet = torch.zeros(1, *drive.shape[:2], twin.spec.n_noise).to(measured) if twin.spec.noisy else None
        held = self._conditions(conditions).expand(*drive.shape[:2], -1)
        x0 = torch.cat((_replaced(x0[:, :, :1], measured[:, :, :1]), x0[:, :, 1:]), dim=2)
        found = [x0[:, :, 0]]
        for step in range(drive.shape[2]):
            acting = drive[:, :, step : step + 1]
            path = advance_all(twin, x0, auxiliaries, embedded(twin, acting, before, held), noise=quiet)[:, :, 1]
            newest = _replaced(path[..., : twin.spec.n_response], measured[:, :, step + 1])
            auxiliaries = path[..., twin.spec.n_response :]
            x0 = torch.cat((newest.unsqueeze(2), x0[:, :, :-1]), dim=2)
            before = torch.cat((acting.to(before), before), dim=2)[:, :, : twin.spec.drive_delays]
            found.append(newest)
        states = torch.stack(found, dim=2) * twin.response_scale + twin.response_centre
        return states, (x0, auxiliaries, before)

    def _conditions(self, conditions: Mapping[str, Tensor]) -> Tensor:
        names = self.twin.spec.condition_names
        given = [conditions[name].to(self._held) if name in conditions else None for name in names]
        if all(one is None for one in given):
            return self._held
        return torch.stack([self._held[place] if one is None else one for place, one in enumerate(given)])

    def _kicks(self, noise: Tensor | None) -> Tensor | None:
        """(step, node, batch) as (step, node, batch, noise); None to draw it, or without any."""
        if noise is None or not self.twin.spec.noisy:
            return None
        if self.twin.spec.n_noise != 1:
            raise TracesInvalid(
                f"noise=… gives one number a step and node; the twin at node {self.nodes[0]} has "
                f"{self.twin.spec.n_noise} noises: pass generator=… instead"
            )
        return noise.unsqueeze(-1).to(self.twin.linear_weight)


def _replaced(ours: Tensor, measured: Tensor) -> Tensor:
    """The measured values with the gradient of ours."""
    return measured.detach() + (ours - ours.detach())
