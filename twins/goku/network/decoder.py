"""The free decoder, a mirror of the extractor, and the other ways from a system's outputs to the channels."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.errors import GokuSpecInvalid
from twins.goku.network.layers import DenseStack
from twins.goku.network.spec import GokuSpec
from twins.goku.network.squared_error import LastLayer
from twins.goku.observation import KnownObservation, LinearObservation, Observation
from twins.goku.system import System


class MirrorDecoder(nn.Module):
    """The extractor's dense layers the other way round: outputs -> 200 -> 200 -> 200 -> channels."""

    kind = "decoder"

    def __init__(self, n_outputs: int, n_channels: int, spec: GokuSpec) -> None:
        super().__init__()
        widths = (*spec.feature_widths[-2::-1], n_channels)
        self.stack = DenseStack(
            n_outputs, widths, activation=spec.activation, residual=spec.residual, end=spec.decoder_end
        )

    def forward(self, outputs: Float[Tensor, "... output"]) -> Float[Tensor, "... channel"]:
        """What is expected at the channels."""
        result: Tensor = self.stack(outputs)
        return result

    def before_last(self, outputs: Float[Tensor, "trace time output"]) -> LastLayer:
        """The same, but for the last layer, which is still to be taken."""
        layer = self.stack.layers[-1]
        assert isinstance(layer, nn.Linear)
        return LastLayer(self.stack.before_last(outputs), layer, self.stack.end)


def observation_for(
    system: System, spec: GokuSpec, n_channels: int, given: Observation | None, generator: torch.Generator
) -> Observation:
    """The module that the spec asks for; a known one as a copy, in the network's float32.

    Raises GokuSpecInvalid if `given` is not what it asks for.
    """
    if spec.observation == "known":
        if not isinstance(given, KnownObservation):
            raise GokuSpecInvalid("observation='known' needs observation=KnownObservation(...) with the network")
        shape = tuple(given.get_buffer("matrix").shape)
        if shape != (n_channels, system.n_outputs):
            raise GokuSpecInvalid(
                f"the known observation's matrix is {shape}; {n_channels} channels of {system.n_outputs} outputs "
                f"need {(n_channels, system.n_outputs)}"
            )
        return KnownObservation(given.get_buffer("matrix").float(), given.get_buffer("offset").float())
    if given is not None:
        raise GokuSpecInvalid(f"observation={spec.observation!r} is made here; hand one over only with 'known'")
    if spec.observation == "linear":
        return LinearObservation(system.n_outputs, n_channels, generator=generator)
    return MirrorDecoder(system.n_outputs, n_channels, spec)
