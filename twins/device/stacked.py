"""Many twins as one: N nodes in a single batched product a layer, for networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.device.history import Bank, Histories
from twins.device.ranges import RANGE_SLACK, check_conditions, check_drive
from twins.device.responding import condition_values
from twins.device.stacked_kernel import StackedRun, StackedWeights
from twins.device.stacked_slow import SlowNodes, frozen
from twins.device.stacked_starts import Starts, is_hidden, padded_banks, usable
from twins.device.stacked_weights import kernel_expresses, longest_delays, pack
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid, TracesMismatch
from twins.solver import draw_noise

# Numbers in one buffer of activations: larger ones are returned to the system after every run, and faulting their
# pages in again costs more than the run itself. Larger batches go in parts.
_LARGEST_BUFFER = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class StackedHistories:
    """Measured starts of N nodes, in physical units, newest first, padded to the longest.

    response: (node, batch, warm-up + delays + 1), drive: (node, batch, warm-up + drive delays). entries: (node, batch),
    where they stand in the banks of the nodes, if they were drawn from there.
    """

    response: Tensor
    drive: Tensor
    entries: Tensor | None = None


@final
class StackedTwins(nn.Module):
    """N twins of one drive and one response each, evaluated together; the same twin may stand at several nodes.

    Weights are frozen copies: gradients go to the drive only, exactly. conditions: one mapping a twin (or None), held
    for good. What comes back is as an instrument would see it: with the twins' measurement noise, and one offset a
    batch element where a twin drifts over trials. Nodes whose state is hidden start from draws of a filter over their
    measured histories, made once when stacking.

    Twins of Euler steps, a linear backbone and one net each for drift and diffusion run in one kernel with a
    hand-written adjoint; they may differ in delays and widths (padded with zeros) but not in depth or activation. All
    others are asked one by one, each once for all its nodes, at some ten times the cost. Sampling times must agree.

    Raises TracesMismatch if they cannot be stacked, TwinNotFitted if one has not been fitted, TracesInvalid and
    OutsideFittedRange for missing conditions and such as no twin has seen.
    """

    def __init__(
        self, twins: Sequence[DeviceTwin], *, conditions: Sequence[Mapping[str, float] | None] | None = None
    ) -> None:
        super().__init__()
        _check_stackable(twins)
        self.twins = tuple(twins)  # a tuple, so that the weights are not parameters of ours
        held = _conditions(twins, conditions)
        banks = [usable(twin.bank, values) for twin, values in zip(twins, held, strict=True)]
        fast = [node for node, twin in enumerate(twins) if kernel_expresses(twin)]
        _check_alike(twins, fast)
        slow = [node for node in range(len(twins)) if node not in fast]
        own = _copies(twins, slow)
        self._starts = _starts(own, banks, held)
        self._slow = SlowNodes(slow, [own[node] for node in slow], [held[node] for node in slow])
        packed = pack([twins[node] for node in fast], [held[node] for node in fast]) if fast else {}
        for name, tensor in {**packed, **padded_banks(banks), **_of_nodes(twins)}.items():
            self.register_buffer(name, tensor)
        self._fast = fast
        self._delays = longest_delays([twins[node] for node in fast]) if fast else (0, 0)
        self._n_layers = sum(name.startswith("inner_weight_") for name in packed)
        self._noisy = bool(self.get_buffer("measurement_std").any() or self.get_buffer("offset_std").any())

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.twins)

    def histories(self, n_batch: int, *, generator: torch.Generator) -> StackedHistories:
        """Starts drawn at random, for every node from its own bank: (node, n_batch, …)."""
        sizes = self.get_buffer("bank_size").unsqueeze(1)
        index = (
            (torch.rand(self.n_nodes, n_batch, generator=generator, dtype=torch.float64) * sizes).long().unsqueeze(-1)
        )
        response, drive = self.get_buffer("bank_response"), self.get_buffer("bank_drive")
        return StackedHistories(
            response.gather(1, index.expand(-1, -1, response.shape[2])),
            drive.gather(1, index.expand(-1, -1, drive.shape[2])),
            index.squeeze(-1),
        )

    def respond(
        self,
        drive: Float[Tensor, "node batch time"],
        *,
        generator: torch.Generator | None = None,
        history: StackedHistories | None = None,
        noise: Float[Tensor, "steps node batch"] | None = None,
        observed: bool = True,
        check_range: bool = True,
    ) -> Float[Tensor, "node batch time"]:
        """One sampled response of every node to its drive, in physical units.

        response[…, 0] is the newest sample of the history (drawn from the banks by default), and drive[…, k] acts
        between samples k and k + 1. noise: (time - 1, node, batch) standard normal numbers, for twins of one noise.
        observed: with measurement noise and trial offsets where the twins have them, else the states.
        Raises TracesInvalid, OutsideFittedRange (unless check_range is False).
        """
        if drive.ndim != 3 or len(drive) != self.n_nodes or drive.shape[2] < 2:
            raise TracesInvalid(f"drive must be ({self.n_nodes} nodes, batch, time >= 2), not {tuple(drive.shape)}")
        if check_range:
            self._check_range(drive)
        if history is None:
            if generator is None:
                raise TracesInvalid("drawing start histories needs generator=…, or pass history=…")
            history = self.histories(drive.shape[1], generator=generator)
        starts = self._draw_starts(history, generator)
        response = self._run_fast(drive, history, starts, noise, generator)
        if self._slow.nodes:
            found = self._slow.run(drive, history.drive, starts, noise=noise, generator=generator)
            if response is not None:
                found.update(zip(self._fast, response.unbind(0), strict=True))
            response = torch.stack([found[node] for node in range(self.n_nodes)])
        assert response is not None  # a node is either fast or slow
        return self._measured(response, history, generator) if observed and self._noisy else response

    def _run_fast(
        self,
        drive: Tensor,
        history: StackedHistories,
        starts: dict[int, tuple[Tensor, Tensor]],
        noise: Tensor | None,
        generator: torch.Generator | None,
    ) -> Tensor | None:
        """States (fast node, batch, time) in physical units."""
        if not self._fast:
            return None
        everybody = len(self._fast) == self.n_nodes
        mine = slice(None) if everybody else self._fast
        weights = self._weights()
        like, (n_state, n_drive) = weights.state_in, (self._delays[0] + 1, self._delays[1])
        if noise is None:
            noise = draw_noise((drive.shape[2] - 1, len(self._fast), drive.shape[1]), like, generator)
        elif not everybody:
            noise = noise[:, self._fast]
        scale, centre, drive_scale, drive_centre = (
            self.get_buffer(f"{side}_{what}")[mine] for side in ("response", "drive") for what in ("scale", "centre")
        )
        # Offsets are taken away in float64; the kernel itself runs in the nets' dtype.
        start = ((history.response[mine][..., :n_state] - centre) / scale).to(like)
        for place, node in enumerate(self._fast):
            if node in starts:
                hidden = starts[node][0].to(like)
                start[place, :, : hidden.shape[1]] = hidden
        before, acting = ((side[mine] - drive_centre) / drive_scale for side in (history.drive, drive))
        driven = torch.cat((before[..., :n_drive].flip(-1).to(like), acting[..., :-1].to(like)), dim=-1)
        chunk = max(32, _LARGEST_BUFFER // (noise.shape[0] * len(driven) * weights.state_in.shape[2]))
        parts = zip(
            torch.split(driven, chunk, 1), torch.split(start, chunk, 1), torch.split(noise, chunk, 2), strict=True
        )
        paths: list[Tensor] = [StackedRun.apply(*part, weights) for part in parts]  # type: ignore[no-untyped-call]
        return torch.cat(paths, 1) * scale + centre

    def _draw_starts(
        self, history: StackedHistories, generator: torch.Generator | None
    ) -> dict[int, tuple[Tensor, Tensor]]:
        """Normalised starts and auxiliaries of the nodes that do not simply start from the history as measured."""
        found = {}
        for node, start in enumerate(self._starts):
            if start.hidden and history.entries is not None:
                if generator is None:
                    raise TracesInvalid(f"the start of node {node} is hidden and must be drawn: pass generator=…")
                found[node] = start.pick(history.entries[node], generator)
            elif start.hidden or node not in self._fast:
                spec = self.twins[node].spec
                n_response, n_drive = spec.warm_up + spec.response_delays + 1, spec.warm_up + spec.drive_delays
                raw = Histories(
                    history.response[node, :, :n_response].unsqueeze(-1), history.drive[node, :, :n_drive].unsqueeze(-1)
                )
                found[node] = start.of(raw, generator)
        return found

    def _measured(self, response: Tensor, history: StackedHistories, generator: torch.Generator | None) -> Tensor:
        """As an instrument sees it; the first sample was measured already."""
        std, offset = self.get_buffer("measurement_std"), self.get_buffer("offset_std")
        seen, like = response, torch.empty(0, dtype=self.twins[0].linear_weight.dtype, device=response.device)
        if std.any():
            seen = seen + draw_noise(tuple(response.shape), like, generator) * std
        if offset.any():
            seen = seen + draw_noise((*response.shape[:2], 1), like, generator) * offset
        hidden = torch.tensor([start.hidden for start in self._starts], device=response.device)
        newest = torch.where(hidden[:, None], history.response[..., 0].to(response.dtype), response[..., 0])
        return torch.cat((newest.unsqueeze(-1), seen[..., 1:]), dim=-1)

    def _weights(self) -> StackedWeights:
        inner = range(self._n_layers)
        return StackedWeights(
            state_in=self.get_buffer("state_in"),
            drive_in=self.get_buffer("drive_in"),
            bias_in=self.get_buffer("bias_in"),
            inner_weights=tuple(self.get_buffer(f"inner_weight_{number}") for number in inner),
            inner_biases=tuple(self.get_buffer(f"inner_bias_{number}") for number in inner),
            out_weight=self.get_buffer("out_weight"),
            out_bias=self.get_buffer("out_bias"),
            noise_scale=self.get_buffer("noise_scale"),
            noise_floor=self.get_buffer("noise_floor"),
            activation=self.twins[self._fast[0]].spec.activation,
        )

    def _check_range(self, drive: Tensor) -> None:
        values, limits = drive.detach(), self.get_buffer("drive_range")
        slack = RANGE_SLACK * (limits[:, 1] - limits[:, 0])
        inside = (values.amin((1, 2)) >= limits[:, 0] - slack) & (values.amax((1, 2)) <= limits[:, 1] + slack)
        if not bool(inside.all()):  # also when a value is NaN
            node = int((~inside).nonzero()[0])
            check_drive(values[node].unsqueeze(-1), self.twins[node].drive_range, self.twins[node].spec)
            raise TracesInvalid(f"the drive of node {node} holds values that are not finite")


def _conditions(twins: Sequence[DeviceTwin], conditions: Sequence[Mapping[str, float] | None] | None) -> list[Tensor]:
    """(condition,) of every twin, in physical units, checked."""
    given = [None] * len(twins) if conditions is None else list(conditions)
    if len(given) != len(twins):
        raise TracesInvalid(f"{len(given)} conditions for {len(twins)} twins; give one mapping (or None) for each")
    held = []
    for node, (twin, values) in enumerate(zip(twins, given, strict=True)):
        try:
            held.append(condition_values(twin, values, ()))
        except TracesInvalid as error:
            raise TracesInvalid(f"node {node}: {error}") from error
        check_conditions(held[-1], twin.condition_range, twin.spec)
    return held


def _copies(twins: Sequence[DeviceTwin], slow: Sequence[int]) -> list[DeviceTwin]:
    """The twins that are asked later on, frozen, one copy of each; the kernel has packed all that it needs."""
    asked = {id(twins[node]) for node in slow} | {id(twin) for twin in twins if is_hidden(twin)}
    copies = {id(twin): frozen(twin) if id(twin) in asked else twin for twin in twins}
    return [copies[id(twin)] for twin in twins]


def _starts(twins: Sequence[DeviceTwin], banks: Sequence[Bank], held: Sequence[Tensor]) -> list[Starts]:
    """One a node; equal twins under equal conditions share theirs, for filtering takes its time."""
    made: dict[tuple[int, tuple[float, ...]], Starts] = {}
    keys = [(id(twin), tuple(values.tolist())) for twin, values in zip(twins, held, strict=True)]
    for key, twin, bank, values in zip(keys, twins, banks, held, strict=True):
        if key not in made:
            made[key] = Starts(twin, bank, values)
    return [made[key] for key in keys]


def _of_nodes(twins: Sequence[DeviceTwin]) -> dict[str, Tensor]:
    """Ranges, scales and what an instrument adds, each with a leading node axis."""
    with torch.no_grad():
        noise = [twin.observation_covariance().sqrt().reshape(1, 1) * twin.response_scale for twin in twins]
        offsets = [twin.trial_offsets.norm().reshape(1, 1) * twin.response_scale for twin in twins]
    return {
        "drive_range": torch.stack([twin.drive_range[0] for twin in twins]),
        "drive_scale": torch.stack([twin.drive_scale for twin in twins]).unsqueeze(-1),
        "drive_centre": torch.stack([twin.drive_centre for twin in twins]).unsqueeze(-1),
        "response_scale": torch.stack([twin.response_scale for twin in twins]).unsqueeze(-1),
        "response_centre": torch.stack([twin.response_centre for twin in twins]).unsqueeze(-1),
        "measurement_std": torch.stack(noise),
        "offset_std": torch.stack(offsets),
    }


def _check_stackable(twins: Sequence[DeviceTwin]) -> None:
    if not twins:
        raise TracesMismatch("no twins to stack")
    first = twins[0].spec
    for number, twin in enumerate(twins):
        if not isinstance(twin, DeviceTwin):
            raise TracesMismatch(
                f"twin {number} is a {type(twin).__name__}; of an ensemble, stack the members, each at nodes of its own"
            )
        spec = twin.spec
        twin.histories([0])  # raises TwinNotFitted
        if (spec.n_drive, spec.n_response) != (1, 1):
            raise TracesMismatch(
                f"twin {number} has {spec.n_drive} drives and {spec.n_response} responses; nodes have one each"
            )
        if abs(spec.dt_s - first.dt_s) > 1e-9 * first.dt_s:
            raise TracesMismatch(f"twin {number} steps by {spec.dt_s:g} s, twin 0 by {first.dt_s:g} s; they must agree")


def _check_alike(twins: Sequence[DeviceTwin], fast: Sequence[int]) -> None:
    """The kernel takes nets of one depth and activation."""
    for number in fast:
        spec, first = twins[number].spec, twins[fast[0]].spec
        if len(spec.hidden) != len(first.hidden) or spec.activation != first.activation:
            raise TracesMismatch(
                f"twin {number} has layers {spec.hidden} {spec.activation}, twin {fast[0]} {first.hidden} {first.activation}"
            )
