"""Nodes that the kernel advances: twins of one drive and one response, of one depth and activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from twins.device.stacked_kernel import MeasuredRun, StackedRun, StackedWeights
from twins.device.stacked_weights import longest_delays, n_inner_layers, pack
from twins.device.twin import DeviceTwin
from twins.solver import draw_noise

# Numbers in one layer at a step: larger ones do not stay in a core's cache. Larger batches go in parts.
_LARGEST_LAYER = 150_000

FastState = tuple[Tensor, ...]
"""Two: (node, batch, delays + 1) of the response and (node, batch, drive delays), normalised, both oldest first."""


class FastNodes(nn.Module):
    """Some nodes of a stack, `nodes`, packed for the kernel. conditions: (condition,) of each, where they are held."""

    def __init__(self, nodes: Sequence[int], twins: Sequence[DeviceTwin], conditions: Sequence[Tensor]) -> None:
        super().__init__()
        self.nodes = list(nodes)
        self._names = [twin.spec.condition_names for twin in twins]
        self._activation = twins[0].spec.activation
        self._known: StackedWeights | None = None
        packed = pack(twins)
        self._n_layers = n_inner_layers(packed)
        self._noisy = any(twin.spec.noisy for twin in twins)
        self.delays = longest_delays(twins)
        width = packed["condition_in"].shape[1]
        held = torch.stack([torch.nn.functional.pad(one, (0, width - len(one))) for one in conditions])
        for name, tensor in {**packed, **_scales(twins, width), "held": held}.items():
            self.register_buffer(name, tensor)
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]  # buffers may be others

    @property
    def dtype(self) -> torch.dtype:
        """Of the kernel."""
        return self.get_buffer("window_in").dtype

    def start(self, response: Tensor, drive: Tensor, drawn: Mapping[int, Tensor]) -> FastState:
        """From histories (node of the stack, batch, …), physical units, newest first; drawn: normalised starts
        (batch, delay + 1), newest first, of nodes whose state is hidden."""
        n_state, n_drive = self.delays[0] + 1, self.delays[1]
        # Offsets are taken away in float64; the kernel itself runs in the nets' dtype.
        window = self._normal(response[self.nodes][..., :n_state], "response")
        for place, node in enumerate(self.nodes):
            if node in drawn:
                window[place, :, : drawn[node].shape[1]] = drawn[node].to(self.dtype)
        return window.flip(-1), self._normal(drive[self.nodes][..., :n_drive], "drive").flip(-1)

    def run(
        self,
        drive: Tensor,
        state: FastState,
        *,
        noise: Tensor | None,
        generator: torch.Generator | None,
        conditions: Mapping[str, Tensor],
    ) -> tuple[Tensor, FastState]:
        """drive (node, batch, step) in physical units -> states (node, batch, step + 1) likewise, and where they end."""
        window, before = state
        shape = (drive.shape[2], len(self.nodes), drive.shape[1])
        kicks = self._kicks(shape, window, generator) if noise is None else noise.to(self.dtype)
        driven = torch.cat((before, self._normal(drive, "drive")), dim=-1)
        weights, bias = self._weights(), self._bias(conditions)
        chunk = max(32, _LARGEST_LAYER // (len(driven) * bias.shape[2]))
        parts = zip(
            torch.split(driven, chunk, 1), torch.split(window, chunk, 1), torch.split(kicks, chunk, 2), strict=True
        )
        paths = [StackedRun.apply(u, x, bias, xi, weights) for u, x, xi in parts]  # type: ignore[no-untyped-call]
        return self._ended(torch.cat(paths, 1), driven)

    def run_along(
        self, drive: Tensor, state: FastState, response: Tensor, *, conditions: Mapping[str, Tensor]
    ) -> tuple[Tensor, FastState]:
        """The same along a measured response (node, batch, step + 1), whose first sample takes the place of the start's."""
        window, before = state
        driven = torch.cat((before, self._normal(drive, "drive")), dim=-1)
        path = torch.cat((window[..., :-1], self._normal(response, "response")), dim=-1).detach()
        found = MeasuredRun.apply(driven, window, self._bias(conditions), path, self._weights())  # type: ignore[no-untyped-call]
        return self._ended(found, driven)

    def _kicks(self, shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Fresh noise (step, node, batch); ordinary equations need none, and no generator."""
        if not self._noisy:
            return like.new_zeros(shape)
        return draw_noise(shape, like, generator)

    def _ended(self, path: Tensor, driven: Tensor) -> tuple[Tensor, FastState]:
        n_state, n_drive = self.delays[0] + 1, self.delays[1]
        response = path[..., n_state - 1 :] * self.get_buffer("response_scale") + self.get_buffer("response_centre")
        return response, (path[..., path.shape[-1] - n_state :], driven[..., driven.shape[-1] - n_drive :])

    def _normal(self, physical: Tensor, side: str) -> Tensor:
        centred = physical - self.get_buffer(f"{side}_centre")
        return (centred / self.get_buffer(f"{side}_scale")).to(self.dtype)

    def _bias(self, conditions: Mapping[str, Tensor]) -> Tensor:
        """(node, 1, C), with what the conditions add to it."""
        held = self.get_buffer("held")
        if conditions and held.shape[1]:
            held = torch.stack([_with(row, names, conditions) for row, names in zip(held, self._names, strict=True)])
        normal = (held - self.get_buffer("condition_centre")) / self.get_buffer("condition_scale")
        base = self.get_buffer("bias_in")
        return base + torch.matmul(normal.to(base).unsqueeze(1), self.get_buffer("condition_in"))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FastNodes:
        self._known = None  # buffers get another type or device
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _weights(self) -> StackedWeights:
        """Put together once: a step of a recurrent network is short."""
        if self._known is None:
            self._known = self._gathered()
        return self._known

    def _gathered(self) -> StackedWeights:
        inner = range(self._n_layers)
        return StackedWeights(
            window_in=self.get_buffer("window_in"),
            inner_weights=tuple(self.get_buffer(f"inner_weight_{number}") for number in inner),
            inner_biases=tuple(self.get_buffer(f"inner_bias_{number}") for number in inner),
            out_weight=self.get_buffer("out_weight"),
            out_bias=self.get_buffer("out_bias"),
            noise_scale=self.get_buffer("noise_scale"),
            noise_floor=self.get_buffer("noise_floor"),
            delays=self.delays,
            activation=self._activation,
        )


def _forget(group: nn.Module, _keys: object) -> None:
    """What was put together of the buffers."""
    cast(FastNodes, group)._known = None


def _with(held: Tensor, names: Sequence[str], conditions: Mapping[str, Tensor]) -> Tensor:
    """One node's conditions (condition,), those given in place of those held; what pads them stays."""
    entries = list(held.unbind(0))
    for place, name in enumerate(names):
        if name in conditions:
            entries[place] = conditions[name].to(held)
    return torch.stack(entries)


def _scales(twins: Sequence[DeviceTwin], width: int) -> dict[str, Tensor]:
    """Scales and centres (node, 1, 1), and those of the conditions (node, condition)."""
    found = {
        f"{side}_{what}": torch.stack([twin.get_buffer(f"{side}_{what}") for twin in twins]).unsqueeze(-1)
        for side in ("drive", "response")
        for what in ("scale", "centre")
    }
    for what, padding in (("scale", 1.0), ("centre", 0.0)):
        rows = [twin.get_buffer(f"condition_{what}") for twin in twins]
        found[f"condition_{what}"] = torch.stack(
            [torch.nn.functional.pad(row, (0, width - len(row)), value=padding) for row in rows]
        )
    return found
