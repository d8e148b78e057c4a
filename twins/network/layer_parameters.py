"""The trainable arrays of one layer, and how they turn inputs and features into drives (line axis first)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from twins.network.ports import Levels
from twins.network.wiring import Layer, Wiring


class LayerParameters(nn.Module):
    """W_in, W, gain and bias of a layer of a wiring. What masks leave out stays 0; gains and drives that can only take
    levels take them, and gradients pass through the rounding as if it were not there (straight-through)."""

    W_in: nn.Parameter
    W: nn.Parameter
    gain: nn.Parameter
    bias: nn.Parameter
    ranges: Tensor
    senses: Tensor
    places: Tensor

    def __init__(self, wiring: Wiring, index: int, dtype: torch.dtype) -> None:
        super().__init__()
        layer = wiring.layers[index]
        self.source: Layer = layer
        self.samples_per_step, self.offsets = wiring.samples_per_step, list(wiring.sample_offsets)
        for name in ("W_in", "W", "gain", "bias"):
            setattr(self, name, nn.Parameter(torch.tensor(getattr(layer, name), dtype=dtype)))
        ports = [wiring.port(device) for device in layer.devices]
        drives = [line for port in ports for line in port.drives]
        # in float64, as the twins' physical units are: what matters may be small beside its offset
        self.register_buffer("ranges", torch.tensor([[d.mid, d.half] for d in drives], dtype=torch.float64))
        self.register_buffer("places", torch.tensor(self.offsets), persistent=False)
        rows = [[sense.centre, sense.scale] for port in ports for sense in port.senses]
        self.register_buffer("senses", torch.tensor(rows, dtype=torch.float64))
        self.drive_levels = [drive.usable_levels for drive in drives]
        for name, mask in (("mask_in", layer.mask_in), ("mask", layer.mask)):
            self.register_buffer(name, None if mask is None else torch.as_tensor(mask, dtype=dtype))

    def weight(self, name: str) -> Tensor:
        """W_in or W without what is masked out."""
        weight: Tensor = getattr(self, name)
        mask = getattr(self, "mask_in" if name == "W_in" else "mask")
        return weight if mask is None else weight * mask

    def set_gain(self) -> Tensor:
        """The gains as they are set: one of their levels where there are such."""
        return self.gain if self.source.gain_levels is None else rounded(self.gain, self.source.gain_levels)

    def drive(self, tapped: Tensor, heard: Tensor | None) -> Tensor:
        """Inputs (input, trial, step, tap) and features (delay, sense, trial, step, sample) -> drive (line, trial, time)."""
        total = torch.einsum("ibtd,ndi->nbt", tapped, self.weight("W_in"))
        if heard is not None:
            total = total + torch.einsum("djbtk,ndjk->nbt", heard, self.weight("W"))
        z = self.set_gain()[:, None, None] * total + self.bias[:, None, None]
        mid, half = self.ranges[:, 0, None, None], self.ranges[:, 1, None, None]
        level = mid + half * torch.tanh(z)
        if any(levels is not None for levels in self.drive_levels):
            level = torch.stack(
                [
                    one if levels is None else rounded(one, levels)
                    for one, levels in zip(level, self.drive_levels, strict=True)
                ]
            )
        return level.repeat_interleave(self.samples_per_step, dim=-1)

    def features(self, response: Tensor) -> Tensor:
        """Response (sense, trial, time) -> normalised samples (sense, trial, step, sample)."""
        n_senses, trials, _ = response.shape
        steps = response.reshape(n_senses, trials, -1, self.samples_per_step)
        if len(self.offsets) < self.samples_per_step:
            steps = steps.index_select(-1, self.places)
        centre, scale = self.senses[:, 0, None, None, None], self.senses[:, 1, None, None, None]
        return ((steps - centre) / scale).to(self.W_in.dtype)

    def export(self) -> Layer:
        """The parameters as float64 arrays."""
        source = self.source
        arrays = (self.weight("W_in"), self.weight("W"), self.gain, self.bias)
        W_in, W, gain, bias = (array.detach().cpu().numpy().astype(np.float64) for array in arrays)
        gain = gain if source.gain_levels is None else source.gain_levels.nearest(gain)
        return Layer(
            source.devices,
            source.input_taps,
            source.coupling_delays,
            W_in,
            W,
            gain,
            bias,
            sources=source.sources,
            mask_in=source.mask_in,
            mask=source.mask,
            gain_levels=source.gain_levels,
            name=source.name,
        )


def rounded(values: Tensor, levels: Levels) -> Tensor:
    """Each value's nearest level, with the gradient of the value itself (Bengio et al., arXiv:1308.3432)."""
    counts = torch.round((values.detach() - levels.low) / levels.step).clamp(0, levels.n - 1)
    return values + (levels.low + counts * levels.step - values).detach()


def tapped(inputs: Tensor, taps: Sequence[int]) -> Tensor:
    """(trial, step, input) -> (input, trial, step, tap); 0 before the first step."""
    series = inputs.permute(2, 0, 1)
    if not taps:
        return series.new_zeros((*series.shape, 0))
    n_steps = series.shape[-1]
    shifted = [nn.functional.pad(series[..., : max(n_steps - tap, 0)], (min(tap, n_steps), 0)) for tap in taps]
    return torch.stack(shifted, dim=-1)
