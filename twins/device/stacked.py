"""Many twins as one: N nodes in a single batched product a layer, for networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.device.ranges import RANGE_SLACK, check_drive
from twins.device.stacked_kernel import StackedRun, StackedWeights
from twins.device.stacked_weights import pack
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid, TracesMismatch
from twins.solver import draw_noise

# Numbers in one buffer of activations: larger ones are returned to the system after every run, and faulting their
# pages in again costs more than the run itself. Larger batches go in parts.
_LARGEST_BUFFER = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class StackedHistories:
    """Measured starts of N nodes, in physical units, newest first, padded to the longest.

    response: (node, batch, delays + 1), drive: (node, batch, drive delays).
    """

    response: Tensor
    drive: Tensor


@final
class StackedTwins(nn.Module):
    """N twins of one drive and one response each, evaluated together; the same twin may stand at several nodes.

    Weights are frozen copies: gradients go to the drive only, by a hand-written adjoint of the Euler steps (exact).
    Twins may differ in delays and widths (padded with zeros) but not in sampling time, depth or activation.

    Raises TracesMismatch if they cannot be stacked, TwinNotFitted if one has not been fitted.
    """

    def __init__(self, twins: Sequence[DeviceTwin]) -> None:
        super().__init__()
        _check_stackable(twins)
        self.twins = tuple(twins)  # a tuple, so that the weights are not parameters of ours
        packed, banks = pack(self.twins)
        for name, tensor in {**packed, **banks}.items():
            self.register_buffer(name, tensor)
        self._n_layers = sum(name.startswith("inner_weight_") for name in packed)

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
        )

    def respond(
        self,
        drive: Float[Tensor, "node batch time"],
        *,
        generator: torch.Generator | None = None,
        history: StackedHistories | None = None,
        noise: Float[Tensor, "steps node batch"] | None = None,
        check_range: bool = True,
    ) -> Float[Tensor, "node batch time"]:
        """One sampled response of every node to its drive, in physical units.

        response[…, 0] is the newest sample of the history (drawn from the banks by default), and drive[…, k] acts
        between samples k and k + 1. noise: (time - 1, node, batch) standard normal numbers.
        Raises TracesInvalid, OutsideFittedRange (unless check_range is False).
        """
        if drive.ndim != 3 or len(drive) != self.n_nodes or drive.shape[2] < 2:
            raise TracesInvalid(f"drive must be ({self.n_nodes} nodes, batch, time >= 2), not {tuple(drive.shape)}")
        if check_range:
            self._check_range(drive)
        n_batch, n_time = drive.shape[1:]
        weights = self._weights()
        drive = drive.to(weights.state_in.dtype)
        if history is None:
            if generator is None:
                raise TracesInvalid("drawing start histories needs generator=…, or pass history=…")
            history = self.histories(n_batch, generator=generator)
        if noise is None:
            noise = draw_noise((n_time - 1, self.n_nodes, n_batch), drive, generator)
        scale, centre = self.get_buffer("response_scale"), self.get_buffer("response_centre")
        start = (history.response.to(drive.dtype) - centre) / scale
        driven = torch.cat((history.drive.to(drive.dtype).flip(-1), drive[..., :-1]), dim=-1)
        chunk = max(32, _LARGEST_BUFFER // (noise.shape[0] * self.n_nodes * weights.state_in.shape[2]))
        parts = zip(
            torch.split(driven, chunk, 1), torch.split(start, chunk, 1), torch.split(noise, chunk, 2), strict=True
        )
        paths: list[Tensor] = [StackedRun.apply(*part, weights) for part in parts]  # type: ignore[no-untyped-call]
        return torch.cat(paths, 1) * scale + centre

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
            activation=self.twins[0].spec.activation,
        )

    def _check_range(self, drive: Tensor) -> None:
        values, limits = drive.detach(), self.get_buffer("drive_range")
        slack = RANGE_SLACK * (limits[:, 1] - limits[:, 0])
        inside = (values.amin((1, 2)) >= limits[:, 0] - slack) & (values.amax((1, 2)) <= limits[:, 1] + slack)
        if not bool(inside.all()):  # also when a value is NaN
            node = int((~inside).nonzero()[0])
            check_drive(values[node].unsqueeze(-1), self.twins[node].drive_range, self.twins[node].spec)
            raise TracesInvalid(f"the drive of node {node} holds values that are not finite")


def _check_stackable(twins: Sequence[DeviceTwin]) -> None:
    if not twins:
        raise TracesMismatch("no twins to stack")
    first = twins[0].spec
    for number, twin in enumerate(twins):
        spec = twin.spec
        twin.histories([0])  # raises TwinNotFitted
        if (spec.n_drive, spec.n_response) != (1, 1):
            raise TracesMismatch(
                f"twin {number} has {spec.n_drive} drives and {spec.n_response} responses; nodes have one each"
            )
        if abs(spec.dt_s - first.dt_s) > 1e-9 * first.dt_s:
            raise TracesMismatch(f"twin {number} steps by {spec.dt_s:g} s, twin 0 by {first.dt_s:g} s; they must agree")
        if len(spec.hidden) != len(first.hidden) or spec.activation != first.activation:
            raise TracesMismatch(
                f"twin {number} has layers {spec.hidden} {spec.activation}, twin 0 {first.hidden} {first.activation}"
            )
