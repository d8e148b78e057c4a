"""From a measured trace to the density of what made it: scaling, features, a dense network, a mixture of Gaussians."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from twins.goku.amortised.features import all_features, filled_gaps, n_features, trace_summary
from twins.goku.amortised.mixture import Mixture, numbers_needed

_LONGEST_FLAT = 4096  # numbers that are handed to the dense network one by one, beside the convolutions
_LAST_LENGTH = 24  # the convolutions go on halving until a trace is this short
_CHANNELS = 32


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """What is needed to make the network again; plain data.

    varying: which of the inputs besides the values differ between traces, and are therefore shown to the network: "gaps",
    "times", "drive".
    """

    n_samples: int
    n_channels: int
    n_drives: int
    n_coordinates: int
    varying: tuple[str, ...]
    width: int
    blocks: int
    components: int


class PosteriorNetwork(nn.Module):
    """(values with NaN, steps_s, drive) -> Mixture over the coordinates."""

    channel_mean: Tensor
    channel_sd: Tensor
    drive_mean: Tensor
    drive_sd: Tensor
    features_mean: Tensor
    features_sd: Tensor
    typical_step_s: Tensor

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        inputs = shape.n_channels + shape.n_channels * ("gaps" in shape.varying)
        inputs += ("times" in shape.varying) + shape.n_drives * ("drive" in shape.varying)
        extra = n_features(shape.n_samples, shape.n_channels)
        for name, size in (("channel", shape.n_channels), ("drive", shape.n_drives), ("features", extra)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_sd", torch.ones(size))
        self.register_buffer("typical_step_s", torch.ones(()))
        self.convolutions, length = _convolutions(inputs, shape.n_samples)
        flat = inputs * shape.n_samples if inputs * shape.n_samples <= _LONGEST_FLAT else 0
        self.flat = flat > 0
        self.first = nn.Linear(_CHANNELS * length + flat + extra, shape.width)
        self.blocks = nn.ModuleList(_Block(shape.width) for _ in range(shape.blocks))
        self.last = nn.Linear(shape.width, numbers_needed(shape.n_coordinates, shape.components))

    def begin(self, generator: torch.Generator) -> None:
        """Draw all weights; the mixture begins near the prior, its components apart from each other."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                fan_in = module.weight[0].numel()
                with torch.no_grad():
                    module.weight.copy_(torch.randn(module.weight.shape, generator=generator) / math.sqrt(fan_in))
                    cast(Tensor, module.bias).zero_()
        with torch.no_grad():
            components, n = self.shape.components, self.shape.n_coordinates
            self.last.weight.mul_(0.1)
            means = 0.5 * torch.randn(components * n, generator=generator)
            self.last.bias[components : components + components * n] = means

    def learn_scales(self, values: Tensor, steps_s: Tensor, drive: Tensor | None) -> None:
        """Means and spreads of the inputs, from simulations."""
        seen = ~torch.isnan(values)
        for channel in range(self.shape.n_channels):
            column = values[..., channel][seen[..., channel]]
            self.channel_mean[channel] = column.mean()
            self.channel_sd[channel] = column.std().clamp_min(1e-30)
        self.typical_step_s.copy_(steps_s.median())
        if drive is not None:
            self.drive_mean.copy_(drive.mean(dim=(0, 1)))
            spread = drive.std(dim=(0, 1))
            self.drive_sd.copy_(torch.where(spread > 0.0, spread, 1.0))
        filled = filled_gaps(values, steps_s)
        features = all_features(((filled - self.channel_mean) / self.channel_sd).to(torch.float32))
        self.features_mean.copy_(features.mean(dim=0))
        self.features_sd.copy_(features.std(dim=0).clamp_min(1e-6))

    def scaled(self, values: Tensor, steps_s: Tensor) -> Float[Tensor, "trace time channel"]:
        """Values without gaps, in units of the simulations' spread."""
        return ((filled_gaps(values, steps_s) - self.channel_mean) / self.channel_sd).to(torch.float32)

    def summary(self, scaled: Tensor) -> Float[Tensor, "trace summary"]:
        """A few plain statistics of each trace, in units of their spread over simulations."""
        n = 4 * self.shape.n_channels
        return (trace_summary(scaled) - self.features_mean[:n]) / self.features_sd[:n]

    def forward(
        self,
        values: Float[Tensor, "trace time channel"],
        steps_s: Float[Tensor, "trace step"],
        drive: Float[Tensor, "trace time drive"] | None,
    ) -> Mixture:
        """The posterior's density, given each trace."""
        scaled = self.scaled(values, steps_s)
        parts = [scaled]
        if "gaps" in self.shape.varying:
            parts.append((~torch.isnan(values)).to(torch.float32))
        if "times" in self.shape.varying:
            ratio = torch.log(steps_s / self.typical_step_s)
            parts.append(functional.pad(ratio, (1, 0)).unsqueeze(-1).to(torch.float32))
        if "drive" in self.shape.varying and drive is not None:
            parts.append(((drive - self.drive_mean) / self.drive_sd).to(torch.float32))
        stacked = torch.cat(parts, dim=-1)
        plain = (all_features(scaled) - self.features_mean) / self.features_sd
        features = [self.convolutions(stacked.mT).flatten(1), plain]
        if self.flat:
            features.append(stacked.flatten(1))
        hidden = self.first(torch.cat(features, dim=-1))
        for block in self.blocks:
            hidden = block(hidden)
        return Mixture.of(self.last(hidden), self.shape.n_coordinates, self.shape.components)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, x + self.outer(functional.silu(self.inner(functional.silu(x)))))


def _convolutions(inputs: int, n_samples: int) -> tuple[nn.Sequential, int]:
    """Convolutions that halve the length until it is short, and that length."""
    layers: list[nn.Module] = []
    length, channels = n_samples, inputs
    while not layers or length > _LAST_LENGTH:
        layers += [nn.Conv1d(channels, _CHANNELS, kernel_size=5, stride=2, padding=2), nn.SiLU()]
        length, channels = (length + 1) // 2, _CHANNELS
    return nn.Sequential(*layers), length
