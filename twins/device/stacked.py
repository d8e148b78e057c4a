"""Many twins as one: N nodes in a single batched product a layer, for networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.device.stacked_checks import check_ranges, check_shape, check_stackable, conditions_of
from twins.device.stacked_fast import FastNodes
from twins.device.stacked_groups import copies_of, groups_of, of_channels, places_of
from twins.device.stacked_slow import SlowNodes
from twins.device.stacked_starts import NodeStarts, StackedHistories
from twins.device.stacked_state import StackState
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid
from twins.solver import draw_noise


@final
class StackedTwins(nn.Module):
    """N twins evaluated together; the same twin may stand at several nodes.

    A *line* is one drive channel of one node, a *sense* one response channel of one node: nodes in order, a node's
    channels in order. For twins of one drive and one response, lines, senses and nodes are the same.

    Weights are frozen copies: gradients go to the drive, to the state that a run goes on from, and to conditions given
    with a run, exactly. conditions: one mapping a twin (or None), held unless a run is given others. What comes back is
    as an instrument would see it: with the twins' measurement noise, and one offset a batch element where a twin
    drifts over trials. Nodes whose state is hidden start from draws of a filter over their measured histories, made
    once when stacking.

    Twins of one drive and one response, Euler steps, a linear backbone and one net each for drift and diffusion run in
    a kernel with a hand-written adjoint, those of one depth and activation together; they may differ in delays and
    widths (padded with zeros). All others are asked one by one, each once for all its nodes, at some ten times the
    cost. Sampling times must agree.

    Raises TracesMismatch if they cannot be stacked, TwinNotFitted if one has not been fitted, TracesInvalid and
    OutsideFittedRange for missing conditions and such as no twin has seen.
    """

    def __init__(
        self, twins: Sequence[DeviceTwin], *, conditions: Sequence[Mapping[str, float] | None] | None = None
    ) -> None:
        super().__init__()
        check_stackable(twins)
        self.twins = tuple(twins)  # a tuple, so that the weights are not parameters of ours
        held = conditions_of(twins, conditions)
        fast, slow = groups_of(twins, held)
        copies = copies_of(twins, [node for _, nodes in slow for node in nodes])
        self._copies = {id(ours): ours for ours, given in zip(copies, twins, strict=True) if ours is not given}
        self._starts = NodeStarts(copies, held)
        kernels = [FastNodes(at, [twins[n] for n in at], [held[n] for n in at]) for at in fast]
        self._fast = nn.ModuleList(kernels)
        self._slow = [SlowNodes(copies[at[0]], at, held[at[0]]) for _, at in slow]
        self._lines = places_of([twin.spec.n_drive for twin in twins])
        self._senses = places_of([twin.spec.n_response for twin in twins])
        self._hidden_senses = [self._starts.hidden[n] for n, twin in enumerate(twins) for _ in twin.spec.response_names]
        for name, tensor in of_channels(twins).items():
            self.register_buffer(name, tensor)
        self._measurements_noisy = bool(self.get_buffer("measurement_std").any())
        self._drifts = bool(self.get_buffer("offset_std").any())
        self._noisy = self._measurements_noisy or self._drifts

    @property
    def _kernels(self) -> list[FastNodes]:
        return [group for group in self._fast if isinstance(group, FastNodes)]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> StackedTwins:
        """To another device or type with all that is no buffer: our copies of twins and the starts. `twins` stay."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for copy in self._copies.values():
            copy._apply(fn)  # type: ignore[no-untyped-call]
        for slow in self._slow:
            slow.move(fn)
        self._starts.move(fn)
        return self

    @property
    def device(self) -> torch.device:
        """Where it runs; drives belong there."""
        return self.get_buffer("drive_range").device

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.twins)

    @property
    def n_lines(self) -> int:
        """Drive channels of all nodes."""
        return sum(len(places) for places in self._lines)

    @property
    def n_senses(self) -> int:
        """Response channels of all nodes."""
        return sum(len(places) for places in self._senses)

    def histories(
        self, n_batch: int, *, generator: torch.Generator, conditions: Mapping[str, Tensor] | None = None
    ) -> StackedHistories:
        """Starts drawn at random, for every node from its own bank, measured under the conditions nearest to these."""
        return self._starts.histories(n_batch, generator, conditions or {})

    def respond(
        self,
        drive: Float[Tensor, "line batch time"],
        *,
        generator: torch.Generator | None = None,
        history: StackedHistories | None = None,
        noise: Float[Tensor, "steps node batch"] | None = None,
        conditions: Mapping[str, Tensor] | None = None,
        observed: bool = True,
        check_range: bool = True,
    ) -> Float[Tensor, "sense batch time"]:
        """One sampled response of every node to its drive, in physical units.

        response[…, 0] is the newest sample of the history (drawn from the banks by default), and drive[…, k] acts
        between samples k and k + 1. noise: (time - 1, node, batch) standard normal numbers, for twins of one noise.
        conditions: scalar tensors by name, in place of those held, for every twin that knows them.
        observed: with measurement noise and trial offsets where the twins have them, else the states.
        Raises TracesInvalid, OutsideFittedRange (unless check_range is False).
        """
        self._check(drive, check_range)
        state = self._begin(drive.shape[1], generator, history, conditions or {})
        response, ended = self._run(drive[..., :-1], state, noise, generator, conditions or {})
        return self._measured(response, ended, generator) if observed and self._noisy else response

    def start(
        self, n_batch: int, *, generator: torch.Generator, conditions: Mapping[str, Tensor] | None = None
    ) -> StackState:
        """Where n_batch trials begin, drawn from the banks; see advance."""
        return self._begin(n_batch, generator, None, conditions or {})

    def advance(
        self,
        state: StackState,
        drive: Float[Tensor, "line batch time"],
        *,
        generator: torch.Generator | None = None,
        conditions: Mapping[str, Tensor] | None = None,
        measured: Float[Tensor, "sense batch time"] | None = None,
        observed: bool = True,
    ) -> tuple[Float[Tensor, "sense batch time"], StackState]:
        """Go on from a state by as many samples as the drive has, and say where that leads; differentiable through both.

        response[…, k] is seen as drive[…, k] begins to act, as in `respond`; the last drive sample leads to the state
        that is returned. measured: what the bench answered to this drive, with or without the sample that its last one
        led to. Then its values are returned, and gradients are those of the twins along that path.
        """
        self._check(drive, False)
        response, ended = self._run(drive, state, None, generator, conditions or {}, measured)
        if measured is not None:
            return response[..., :-1], ended
        seen = self._measured(response, ended, generator) if observed and self._noisy else response
        return seen[..., :-1], ended.going_on()

    def _begin(
        self,
        n_batch: int,
        generator: torch.Generator | None,
        history: StackedHistories | None,
        conditions: Mapping[str, Tensor],
    ) -> StackState:
        if n_batch < 1:
            raise TracesInvalid(f"a stack starts at least one trial, not {n_batch}")
        if history is None:
            if generator is None:
                raise TracesInvalid("drawing start histories needs generator=…, or pass history=…")
            history = self.histories(n_batch, generator=generator, conditions=conditions)
        quick = [node for group in self._kernels for node in group.nodes]
        drawn = self._starts.draw(history, generator, all_of=[n for n in range(self.n_nodes) if n not in quick])
        parts: list[tuple[Tensor, ...]] = []
        lines, senses = ([places[0] for places in side] for side in (self._lines, self._senses))
        for group in self._kernels:
            own = {node: drawn[node][0].squeeze(-1) for node in group.nodes if node in drawn}
            parts.append(group.start(history.response[senses], history.drive[lines], own))
        for slow in self._slow:
            rows = torch.tensor([self._lines[node] for node in slow.nodes], device=history.drive.device)
            parts.append(slow.start(history.drive[rows].movedim(1, -1), drawn))
        offset = self._offset(n_batch, generator)
        return StackState(tuple(parts), newest=history.response[..., 0], offset=offset)

    def _offset(self, n_batch: int, generator: torch.Generator | None) -> Tensor | None:
        """What each trial is offset by, (sense, batch, 1); None where no twin drifts."""
        std = self.get_buffer("offset_std")
        if not self._drifts:
            return None
        like = torch.empty(0, dtype=self.twins[0].linear_weight.dtype, device=std.device)
        return draw_noise((self.n_senses, n_batch, 1), like, generator) * std

    def _run(
        self,
        drive: Tensor,
        state: StackState,
        noise: Tensor | None,
        generator: torch.Generator | None,
        conditions: Mapping[str, Tensor],
        measured: Tensor | None = None,
    ) -> tuple[Tensor, StackState]:
        """States (sense, batch, step + 1) in physical units, those of the end included, and where they end."""
        found: dict[int, Tensor] = {}
        ended = []
        path = measured
        if path is not None and path.shape[-1] == drive.shape[-1]:  # what the last drive led to was not measured
            path = torch.cat((path, path[..., -1:]), dim=-1)
        groups: list[FastNodes | SlowNodes] = [*self._kernels, *self._slow]
        for group, part in zip(groups, state.parts, strict=True):
            nodes = group.nodes
            lines, senses = (
                torch.tensor([side[n] for n in nodes], device=drive.device) for side in (self._lines, self._senses)
            )
            kicks = None if noise is None else noise[:, nodes]
            acting = drive[lines]  # (node, drive, batch, step)
            quick = isinstance(group, FastNodes)
            acting = acting[:, 0] if quick else acting.movedim(1, -1)
            if path is not None:
                along = path[senses][:, 0] if quick else path[senses].movedim(1, -1)
                states, end = group.run_along(acting, part, along, conditions=conditions)
            else:
                states, end = group.run(acting, part, noise=kicks, generator=generator, conditions=conditions)
            ended.append(end)
            for place, node in enumerate(nodes):
                found[node] = states[place].unsqueeze(0) if quick else states[place].movedim(-1, 0)
        whole = len(self._fast) == 1 and not self._slow  # one group: already in order
        response = states if whole else torch.cat([found[node] for node in range(self.n_nodes)])
        return response, StackState(tuple(ended), newest=state.newest, offset=state.offset)

    def _measured(self, response: Tensor, state: StackState, generator: torch.Generator | None) -> Tensor:
        """As an instrument sees it; the very first sample was measured already."""
        std, seen = self.get_buffer("measurement_std"), response
        like = torch.empty(0, dtype=self.twins[0].linear_weight.dtype, device=response.device)
        if self._measurements_noisy:
            seen = seen + draw_noise(tuple(response.shape), like, generator) * std
        if state.offset is not None:
            seen = seen + state.offset
        if state.newest is None:
            return seen
        hidden = torch.tensor(self._hidden_senses, device=response.device)
        newest = torch.where(hidden[:, None], state.newest.to(response.dtype), response[..., 0])
        return torch.cat((newest.unsqueeze(-1), seen[..., 1:]), dim=-1)

    def _check(self, drive: Tensor, check_range: bool) -> None:
        check_shape(drive, self.n_lines, 2 if check_range else 1)
        if check_range:
            check_ranges(drive, self.get_buffer("drive_range"), self.twins, self._lines)
