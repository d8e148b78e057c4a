"""From a system's outputs to the observed channels: a known operator, a learned linear one, or a free decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.errors import EquationInvalid
from twins.goku.system import System


class KnownObservation(nn.Module):
    """channel = matrix · outputs + offset, given, in the channels' units; nothing is learned.

    matrix: (channel, output). ``of_outputs`` builds the usual one, where each channel is one named output.
    """

    kind = "known"

    def __init__(
        self, matrix: Float[Tensor, "channel output"], offset: Float[Tensor, " channel"] | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix.clone())
        self.register_buffer(
            "offset", torch.zeros(len(matrix), dtype=matrix.dtype) if offset is None else offset.clone()
        )

    @classmethod
    def of_outputs(cls, system: System, outputs: Sequence[str]) -> KnownObservation:
        """One channel for each of these outputs, by name (as in "angle" or "x[0]")."""
        names = [quantity.name for quantity in system.flat_outputs]
        unknown = [name for name in outputs if name not in names]
        if unknown:
            raise EquationInvalid(f"{system.name} has no output {unknown[0]!r}; its outputs are {', '.join(names)}")
        matrix = torch.zeros(len(outputs), len(names))
        for row, name in enumerate(outputs):
            matrix[row, names.index(name)] = 1.0
        return cls(matrix)

    def forward(self, outputs: Float[Tensor, "... output"]) -> Float[Tensor, "... channel"]:
        """What is expected at the channels."""
        matrix, offset = self.get_buffer("matrix").to(outputs), self.get_buffer("offset").to(outputs)
        return outputs @ matrix.mT + offset


class LinearObservation(nn.Module):
    """channel = weight · outputs + bias, learned, the same for all traces."""

    kind = "linear"

    def __init__(self, n_outputs: int, n_channels: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn((n_channels, n_outputs), generator=generator) / n_outputs**0.5)
        self.bias = nn.Parameter(torch.zeros(n_channels))

    def forward(self, outputs: Float[Tensor, "... output"]) -> Float[Tensor, "... channel"]:
        """What is expected at the channels."""
        return outputs @ self.weight.mT.to(outputs) + self.bias.to(outputs)


def same_outputs(outputs: Float[Tensor, "... output"]) -> Float[Tensor, "... output"]:
    """The channels are the outputs."""
    return outputs


Observation = Any  # a module from (…, output) to (…, channel) with the attribute `kind`: the two above, or a decoder
