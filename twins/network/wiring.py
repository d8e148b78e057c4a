"""Wiring: the plain arrays that define a physical network. The optimiser writes it, the bench executes it.

Time runs in steps n; the input u[n] of a step is held for `samples_per_step` S samples. A node is one play of a device;
a *line* is one drive channel of one node, a *sense* one response channel of one node (nodes in order, a node's
channels in order; for devices of one drive and one response both are the node). For each line i of a layer

    z_i[n] = gain_i * ( sum_d W_in[i,d]·u[n-d]  +  sum_{d,j,k} W[i,d,j,k] f_{j,k}[n-d] ) + bias_i     u, f are 0 for n < 0
    drive  = drive_mid + drive_half * tanh(z_i[n])              held for S samples; it cannot leave the range
    f_{j,k}[n] = (response_j[n S + o_k] - centre_j) / scale_j   o_k: the sample offsets

and, where a converter has levels, the drive is the nearest of those inside the range. j runs over the senses of the
layer's sources: the layer before, or any others.

A wiring without recurrence is played layer by layer, each after those it listens to have been recorded from beginning
to end: one device may then play many nodes, and a delay of 0 may use samples that were taken within the same step. With
recurrence (a layer listens to itself or to a later one) all nodes are live at once, each on a device of its own, and
every coupling delay is at least 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twins.network.ports import Array, DevicePort, Levels, WiringError
from twins.network.readout import Readout

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer of nodes.

    devices: the device that plays each node. input_taps, coupling_delays: distinct steps >= 0. sources: the layers it
    listens to; None: the layer before, and none for the first. W_in (line, tap, input), W (line, delay, sense of the
    sources in order, sample), gain (line,), bias (line,): float64. mask_in, mask: which entries of W_in and W there are
    (the others are 0); None: all. gain_levels: what a gain can be set to. name: for people.
    """

    devices: tuple[str, ...]
    input_taps: tuple[int, ...]
    coupling_delays: tuple[int, ...]
    W_in: Array
    W: Array
    gain: Array
    bias: Array
    sources: tuple[int, ...] | None = None
    mask_in: Mask | None = None
    mask: Mask | None = None
    gain_levels: Levels | None = None
    name: str = ""

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.devices)


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """A whole network as plain arrays; validated when made, so that whoever holds one can play it.

    ports: the devices. layers: in playing order. n_inputs: input channels. samples_per_step: S. sample_offsets: o_k, rising,
    0 <= o_k < S. dt_s: sampling time (s). washout: leading steps that are not scored. readout: None until one is fitted.
    conditions: set-points by channel under which it is to be played.
    Raises WiringError where arrays, ports and shapes disagree.
    """

    ports: tuple[DevicePort, ...]
    layers: tuple[Layer, ...]
    n_inputs: int
    samples_per_step: int
    sample_offsets: tuple[int, ...]
    dt_s: float
    washout: int = 0
    readout: Readout | None = None
    conditions: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from twins.network.wiring_checks import check_wiring  # it needs these classes

        check_wiring(self)

    @property
    def n_nodes(self) -> int:
        """Nodes in all layers together."""
        return sum(layer.n_nodes for layer in self.layers)

    @property
    def n_features(self) -> int:
        """What the read-out sees of one step: senses times samples (its constant is apart)."""
        return sum(self.n_senses(index) for index in range(len(self.layers))) * len(self.sample_offsets)

    @property
    def recurrent(self) -> bool:
        """Whether a layer listens to itself or to a later one: then all nodes must be live at once."""
        return any(source >= index for index in range(len(self.layers)) for source in self.sources_of(index))

    @property
    def longest_delay(self) -> int:
        """The longest coupling delay, in steps; 0 without couplings."""
        return max((delay for layer in self.layers for delay in layer.coupling_delays), default=0)

    def sources_of(self, layer: int) -> tuple[int, ...]:
        """The layers that a layer listens to."""
        given = self.layers[layer].sources
        return given if given is not None else ((layer - 1,) if layer > 0 else ())

    def n_senses(self, layer: int) -> int:
        """Response channels of all nodes of a layer."""
        return sum(len(self.port(device).senses) for device in self.layers[layer].devices)

    def n_lines(self, layer: int) -> int:
        """Drive channels of all nodes of a layer."""
        return sum(len(self.port(device).drives) for device in self.layers[layer].devices)

    def n_coupled(self, layer: int) -> int:
        """Senses of all layers that a layer listens to."""
        return sum(self.n_senses(source) for source in self.sources_of(layer))

    def lines_of(self, layer: int, node: int) -> slice:
        """Where the drive channels of a node stand among the lines of its layer."""
        counts = [len(self.port(device).drives) for device in self.layers[layer].devices]
        return slice(sum(counts[:node]), sum(counts[: node + 1]))

    def port(self, device: str) -> DevicePort:
        """The port of a device. Raises WiringError for a device that the wiring does not use."""
        for port in self.ports:
            if port.name == device:
                return port
        raise WiringError(f"the wiring has no device {device!r}; it has {[port.name for port in self.ports]}")

    def with_readout(self, readout: Readout | None) -> Wiring:
        """The same wiring with another read-out."""
        return replace(self, readout=readout)

    def drive_for(
        self, layer: int, node: int, inputs: ArrayLike, features: Sequence[ArrayLike | None] | None = None
    ) -> Array:
        """The drive of one node: what the bench plays.

        inputs (trial, step, n_inputs); features: by layer, (trial, step, sense, sample) as `features_of` gives them
        (None, or missing at the end, for layers that are not needed). Returns (trial, step * samples_per_step, drive)
        in drive units, inside the port's ranges.
        """
        inputs = _finite(inputs, "inputs", (None, None, self.n_inputs))
        tapped = delayed(inputs, self._layer(layer, node).input_taps)
        before = None
        if self.sources_of(layer):
            before = delayed(self._heard(layer, inputs.shape[:2], features), self.layers[layer].coupling_delays)
        return np.repeat(self._levels(layer, node, tapped, before), self.samples_per_step, axis=1)

    def drive_at(
        self, layer: int, node: int, step: int, inputs: ArrayLike, features: Sequence[ArrayLike] | None = None
    ) -> Array:
        """The drive of one node in one step, (trial, drive), from inputs and features up to then: what a closed loop
        sends. features: of every layer, (trial, step or more, sense, sample); what is later is not looked at."""
        here, inputs = self._layer(layer, node), np.asarray(inputs, dtype=np.float64)
        tapped = _at(inputs, step, here.input_taps)
        before = None
        sources = self.sources_of(layer)
        if sources:
            if features is None:
                raise WiringError(f"layer {layer} needs the features of layer {sources[0]}; none are given")
            heard = [_at(np.asarray(features[source]), step, here.coupling_delays) for source in sources]
            before = np.concatenate(heard, axis=3)
        return self._levels(layer, node, tapped, before)[:, 0]

    def features_of(self, layer: int, node: int, response: ArrayLike) -> Array:
        """Features of one node from its response (trial, step * samples_per_step, response), response units.

        Returns (trial, step, response, sample), normalised. response[:, 0] is the state as the first drive sample
        begins to act.
        """
        port = self.port(self._layer(layer, node).devices[node])
        response = _finite(response, "response", (None, None, len(port.senses)))
        if response.shape[1] % self.samples_per_step:
            raise WiringError(
                f"a response of {response.shape[1]} samples is no whole number of steps "
                f"of {self.samples_per_step} samples"
            )
        centre = np.array([sense.centre for sense in port.senses])
        scale = np.array([sense.scale for sense in port.senses])
        normal = (response - centre) / scale
        steps = normal.reshape(len(normal), -1, self.samples_per_step, len(port.senses))
        return np.swapaxes(steps[:, :, list(self.sample_offsets)], 2, 3)

    def outputs(self, features: Sequence[ArrayLike]) -> Array:
        """What the network says: one (trial, step, sense, sample) array a layer -> (trial, step, output)."""
        if self.readout is None:
            raise WiringError("the wiring has no read-out yet; fit one and use with_readout")
        return self.readout.apply(flat_features(features))

    def _levels(self, layer: int, node: int, tapped: Array, before: Array | None) -> Array:
        """(trial, step, delay, …) -> drive (trial, step, drive)."""
        here, lines = self.layers[layer], self.lines_of(layer, node)
        total = np.einsum("btdi,ldi->btl", tapped, here.W_in[lines])
        if before is not None:
            total = total + np.einsum("btdjk,ldjk->btl", before, here.W[lines])
        z = here.gain[lines] * total + here.bias[lines]
        drives = self.port(here.devices[node]).drives
        wanted = np.array([line.mid for line in drives]) + np.array([line.half for line in drives]) * np.tanh(z)
        drive: Array = wanted
        for index, line in enumerate(drives):
            if line.usable_levels is not None:
                drive[..., index] = line.usable_levels.nearest(wanted[..., index])
        return drive

    def _heard(self, layer: int, shape: tuple[int, ...], features: Sequence[ArrayLike | None] | None) -> Array:
        """Features of all sources of a layer, (trial, step, sense, sample)."""
        heard = []
        for source in self.sources_of(layer):
            given = features[source] if features is not None and source < len(features) else None
            if given is None:
                raise WiringError(f"layer {layer} needs the features of layer {source}; record that layer first")
            wanted = (*shape, self.n_senses(source), len(self.sample_offsets))
            heard.append(_finite(given, f"features of layer {source}", wanted))
        return np.concatenate(heard, axis=2)

    def _layer(self, layer: int, node: int) -> Layer:
        if not 0 <= layer < len(self.layers):
            raise WiringError(f"layer {layer} asked for; the wiring has layers 0..{len(self.layers) - 1}")
        if not 0 <= node < self.layers[layer].n_nodes:
            raise WiringError(
                f"node {node} of layer {layer} asked for; it has nodes 0..{self.layers[layer].n_nodes - 1}"
            )
        return self.layers[layer]


def flat_features(features: Sequence[ArrayLike]) -> Array:
    """Per-layer features (trial, step, sense, sample) -> (trial, step, feature), in the read-out's order."""
    arrays = [np.asarray(part, dtype=np.float64) for part in features]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in arrays], axis=-1)


def delayed(series: Array, delays: Sequence[int]) -> Array:
    """series (trial, step, …) seen d steps ago, for every d: (trial, step, delay, …); 0 before the first step."""
    out = np.zeros((*series.shape[:2], len(delays), *series.shape[2:]))
    n_steps = series.shape[1]
    for index, delay in enumerate(delays):
        out[:, delay:, index] = series[:, : max(n_steps - delay, 0)]
    return out


def _at(series: Array, step: int, delays: Sequence[int]) -> Array:
    """The same for one step: (trial, 1, delay, …)."""
    out = np.zeros((len(series), 1, len(delays), *series.shape[2:]))
    for index, delay in enumerate(delays):
        if step >= delay:
            out[:, 0, index] = series[:, step - delay]
    return out


def _finite(values: ArrayLike, name: str, shape: tuple[int | None, ...]) -> Array:
    array = np.asarray(values, dtype=np.float64)
    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits:
        raise WiringError(f"{name} has shape {array.shape}; expected {tuple('any' if n is None else n for n in shape)}")
    if not np.all(np.isfinite(array)):
        raise WiringError(f"{name} contains NaN or infinity")
    return array
