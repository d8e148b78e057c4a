"""The way from outputs to channels that a network learned, as the likelihood takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from twins.goku.network.model import GokuNet


class LearnedObservation(nn.Module):
    """The observation of a fitted network in the channels' units."""

    def __init__(self, network: GokuNet) -> None:
        super().__init__()
        self.inner = network.observation
        self.normalisation = network.normalisation
        self.kind: str = str(network.spec.observation)

    def forward(self, outputs: Tensor) -> Tensor:
        """What is expected at the channels: (…, output) -> (…, channel)."""
        weights = next(self.inner.parameters())
        expected: Tensor = self.normalisation.physical(self.inner(outputs.to(weights.dtype)))
        return expected.to(outputs.dtype)
