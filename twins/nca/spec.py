"""What an automaton is made of, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from twins.errors import AutomatonInvalid
from twins.nca.kernels import is_isotropic, kernel_set

Padding = Literal["periodic", "zero", "symmetric"]
Activation = Literal["relu", "linear", "swish", "tanh"]
Bounds = Literal["none", "clip"]

PADDINGS: tuple[Padding, ...] = get_args(Padding)
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
BOUNDS: tuple[Bounds, ...] = get_args(Bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class NcaSpec:
    """One automaton. Channels stand in the order observed, environment, hidden.

    n_channels: all channels of a cell. n_observed: the first of them, which are fitted (two of Gray-Scott, four of RGBA).
    n_environment: the next ones, held fixed at what the initial state says (a mask, a micropattern).
    kernels: see twins.nca.kernels. padding: what lies beyond the edge: periodic, zero, or symmetric (the edge's own cells).
    fire_rate: probability that a cell updates in a step; one draw a cell for all its channels.
    activation, layers (2 or 3), hidden_per_channel: the network of every cell, with layers of hidden_per_channel·n_channels
    units (and 2·n_channels where there are three).
    order: 2 adds all products of two channels to what is seen.
    bounds: "clip" keeps observed channels in [0, 1] and hidden ones in [-1, 1] after every step.
    gated: the update is multiplied by a gate in (0, 1) that the network learns.
    n_conditions: parameters of the whole field (feed, kill …) that every cell knows.

    Raises AutomatonInvalid.
    """

    n_channels: int
    n_observed: int
    n_environment: int = 0
    kernels: str = "ID_LAP_AV"
    padding: Padding = "periodic"
    fire_rate: float = 1.0
    activation: Activation = "relu"
    layers: int = 2
    hidden_per_channel: int = 4
    order: int = 1
    bounds: Bounds = "none"
    gated: bool = False
    n_conditions: int = 0

    def __post_init__(self) -> None:
        kernel_set(self.kernels)
        _check_one_of("padding", self.padding, PADDINGS)
        _check_one_of("activation", self.activation, ACTIVATIONS)
        _check_one_of("bounds", self.bounds, BOUNDS)
        _check_one_of("layers", self.layers, (2, 3))
        _check_one_of("order", self.order, (1, 2))
        if not 1 <= self.n_observed <= self.n_channels <= 256:
            raise AutomatonInvalid(
                f"n_observed = {self.n_observed} of n_channels = {self.n_channels}: from 1 to all of at most 256 channels "
                "are observed"
            )
        if not 0 <= self.n_environment <= self.n_channels - self.n_observed:
            raise AutomatonInvalid(
                f"n_environment = {self.n_environment}: {self.n_channels} channels, {self.n_observed} of them observed, "
                f"have room for {self.n_channels - self.n_observed}"
            )
        if not 0.0 < self.fire_rate <= 1.0:
            raise AutomatonInvalid(f"fire_rate must be above 0 and at most 1, not {self.fire_rate!r}")
        if not 1 <= self.hidden_per_channel <= 64:
            raise AutomatonInvalid(f"hidden_per_channel must lie in 1..64, not {self.hidden_per_channel}")
        if not 0 <= self.n_conditions <= 64:
            raise AutomatonInvalid(f"n_conditions must lie in 0..64, not {self.n_conditions}")

    @property
    def features(self) -> tuple[str, ...]:
        """What is seen of each channel: names of kernels, and NORM."""
        return kernel_set(self.kernels)

    @property
    def n_seen_channels(self) -> int:
        """Channels the kernels are applied to: all, and with order 2 their products."""
        products = self.n_channels * (self.n_channels + 1) // 2 if self.order == 2 else 0
        return self.n_channels + products

    @property
    def n_features(self) -> int:
        """Inputs of the network from the neighbourhood."""
        return len(self.features) * self.n_seen_channels

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        first = self.hidden_per_channel * self.n_channels
        return (first,) if self.layers == 2 else (first, 2 * self.n_channels)

    @property
    def isotropic(self) -> bool:
        """Whether the automaton commutes with turns by 90° and reflections, by its kernels alone."""
        return is_isotropic(self.kernels)


def _check_one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise AutomatonInvalid(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}")
