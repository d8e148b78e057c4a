"""Wiring: the plain arrays that define a physical network. The optimiser writes it, the bench executes it.

Time runs in steps n; the input u[n] of a step is held for `samples_per_step` S samples. A node is one play of a device:

    z_i[n] = gain_i * ( sum_d W_in[i,d]·u[n-d]  +  sum_{d,j,k} W[i,d,j,k] f_{j,k}[n-d] ) + bias_i     u, f are 0 for n < 0
    drive  = drive_mid + drive_half * tanh(z_i[n])              held for S samples; it cannot leave the range
    f_{i,k}[n] = (response[n S + o_k] - response_centre) / response_scale        o_k: the sample offsets

f of the first sum is the layer before (none for the first layer). A layer is played after the layer before it has
been recorded from beginning to end, so a coupling delay of 0 may use samples that were taken within the same step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twins.errors import TwinError
from twins.network.readout import Readout

Array = NDArray[np.float64]


class WiringError(TwinError, ValueError):
    """A wiring contradicts itself, or is asked for something it does not hold."""


@dataclass(frozen=True, slots=True)
class DevicePort:
    """How a network addresses one device.

    drive_mid, drive_half: the drive range (drive units, e.g. V) is mid - half .. mid + half, half > 0.
    response_centre, response_scale: f = (response - centre) / scale, scale > 0 (response units).
    drive_unit, response_unit: what these numbers are in, such as "V"; "" where nobody said.
    """

    name: str
    drive_mid: float
    drive_half: float
    response_centre: float = 0.0
    response_scale: float = 1.0
    drive_unit: str = ""
    response_unit: str = ""

    def __post_init__(self) -> None:
        numbers = (self.drive_mid, self.drive_half, self.response_centre, self.response_scale)
        if not self.name:
            raise WiringError("a device port needs the name of its device")
        if not all(math.isfinite(number) for number in numbers):
            raise WiringError(f"device {self.name!r}: its ranges must be finite, not {numbers}")
        if self.drive_half <= 0 or self.response_scale <= 0:
            raise WiringError(
                f"device {self.name!r}: drive_half {self.drive_half} and response_scale {self.response_scale} "
                "must be greater than 0"
            )

    @property
    def drive_range(self) -> tuple[float, float]:
        """Lowest and highest drive that a network can give this device (drive units)."""
        return self.drive_mid - self.drive_half, self.drive_mid + self.drive_half

    @classmethod
    def from_range(
        cls, name: str, low: float, high: float, *, drive_unit: str = "", response_unit: str = ""
    ) -> DevicePort:
        """A port over low..high, a millionth narrower, so that rounding in float32 cannot step over the edge."""
        if not low < high:
            raise WiringError(f"device {name!r}: drive range {low}..{high} is empty; give low < high")
        return cls(
            name,
            drive_mid=0.5 * (low + high),
            drive_half=0.5 * (high - low) * (1 - 1e-6),
            drive_unit=drive_unit,
            response_unit=response_unit,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer of nodes.

    devices: the device that plays each node. input_taps, coupling_delays: distinct steps >= 0.
    W_in (node, tap, input), W (node, delay, node of the layer before, sample), gain (node,), bias (node,): float64.
    """

    devices: tuple[str, ...]
    input_taps: tuple[int, ...]
    coupling_delays: tuple[int, ...]
    W_in: Array
    W: Array
    gain: Array
    bias: Array

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.devices)


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """A whole network as plain arrays; validated when made, so that whoever holds one can play it.

    ports: the devices. layers: in playing order. n_inputs: input channels. samples_per_step: S. sample_offsets: o_k, rising,
    0 <= o_k < S. dt_s: sampling time (s). washout: leading steps that are not scored. readout: None until one is fitted.
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

    def __post_init__(self) -> None:
        _check(self)

    @property
    def n_nodes(self) -> int:
        """Nodes in all layers together."""
        return sum(layer.n_nodes for layer in self.layers)

    @property
    def n_features(self) -> int:
        """What the read-out sees of one step: nodes times samples (its constant is apart)."""
        return self.n_nodes * len(self.sample_offsets)

    def port(self, device: str) -> DevicePort:
        """The port of a device. Raises WiringError for a device that the wiring does not use."""
        for port in self.ports:
            if port.name == device:
                return port
        raise WiringError(f"the wiring has no device {device!r}; it has {[port.name for port in self.ports]}")

    def with_readout(self, readout: Readout | None) -> Wiring:
        """The same wiring with another read-out."""
        return replace(self, readout=readout)

    def drive_for(self, layer: int, node: int, inputs: ArrayLike, features: ArrayLike | None = None) -> Array:
        """The drive of one node: what the bench plays.

        inputs (trial, step, n_inputs); features (trial, step, node, sample): those of the layer before, as
        `features_of` gives them, None for the first layer. Returns (trial, step * samples_per_step) in drive units,
        inside the port's range.
        """
        here = self._layer(layer, node)
        inputs = _finite(inputs, "inputs", (None, None, self.n_inputs))
        total = np.einsum("btdi,di->bt", delayed(inputs, here.input_taps), here.W_in[node])
        if layer > 0:
            if features is None:
                raise WiringError(f"layer {layer} needs the features of layer {layer - 1}; record that layer first")
            shape = (*inputs.shape[:2], self.layers[layer - 1].n_nodes, len(self.sample_offsets))
            before = delayed(_finite(features, "features", shape), here.coupling_delays)
            total = total + np.einsum("btdjk,djk->bt", before, here.W[node])
        port = self.port(here.devices[node])
        z = here.gain[node] * total + here.bias[node]
        return np.repeat(port.drive_mid + port.drive_half * np.tanh(z), self.samples_per_step, axis=1)

    def features_of(self, layer: int, node: int, response: ArrayLike) -> Array:
        """Features of one node from its response (trial, step * samples_per_step), response units.

        Returns (trial, step, sample), normalised. response[.., 0] is the state as the first drive sample begins to act.
        """
        here = self._layer(layer, node)
        response = _finite(response, "response", (None, None))
        if response.shape[1] % self.samples_per_step:
            raise WiringError(
                f"a response of {response.shape[1]} samples is no whole number of steps "
                f"of {self.samples_per_step} samples"
            )
        port = self.port(here.devices[node])
        steps = response.reshape(response.shape[0], -1, self.samples_per_step)[..., list(self.sample_offsets)]
        return (steps - port.response_centre) / port.response_scale

    def outputs(self, features: Sequence[ArrayLike]) -> Array:
        """What the network says: one (trial, step, node, sample) array a layer -> (trial, step, output)."""
        if self.readout is None:
            raise WiringError("the wiring has no read-out yet; fit one and use with_readout")
        return self.readout.apply(flat_features(features))

    def _layer(self, layer: int, node: int) -> Layer:
        if not 0 <= layer < len(self.layers):
            raise WiringError(f"layer {layer} asked for; the wiring has layers 0..{len(self.layers) - 1}")
        if not 0 <= node < self.layers[layer].n_nodes:
            raise WiringError(
                f"node {node} of layer {layer} asked for; it has nodes 0..{self.layers[layer].n_nodes - 1}"
            )
        return self.layers[layer]


def flat_features(features: Sequence[ArrayLike]) -> Array:
    """Per-layer features (trial, step, node, sample) -> (trial, step, feature), in the read-out's order."""
    arrays = [np.asarray(part, dtype=np.float64) for part in features]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in arrays], axis=-1)


def delayed(series: Array, delays: Sequence[int]) -> Array:
    """series (trial, step, …) seen d steps ago, for every d: (trial, step, delay, …); 0 before the first step."""
    out = np.zeros((*series.shape[:2], len(delays), *series.shape[2:]))
    n_steps = series.shape[1]
    for index, delay in enumerate(delays):
        out[:, delay:, index] = series[:, : max(n_steps - delay, 0)]
    return out


def _finite(values: ArrayLike, name: str, shape: tuple[int | None, ...]) -> Array:
    array = np.asarray(values, dtype=np.float64)
    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits:
        raise WiringError(f"{name} has shape {array.shape}; expected {tuple('any' if n is None else n for n in shape)}")
    if not np.all(np.isfinite(array)):
        raise WiringError(f"{name} contains NaN or infinity")
    return array


def _check(wiring: Wiring) -> None:
    if not wiring.layers or any(layer.n_nodes == 0 for layer in wiring.layers):
        raise WiringError("a wiring needs at least one layer, and every layer at least one node")
    if wiring.n_inputs < 1 or wiring.samples_per_step < 1 or wiring.washout < 0:
        raise WiringError(
            f"n_inputs {wiring.n_inputs} and samples_per_step {wiring.samples_per_step} must be at least 1, "
            f"washout {wiring.washout} at least 0"
        )
    if not (math.isfinite(wiring.dt_s) and wiring.dt_s > 0):
        raise WiringError(f"dt_s must be a positive time in seconds, not {wiring.dt_s}")
    offsets = wiring.sample_offsets
    rising = list(offsets) == sorted(set(offsets))
    if not offsets or not rising or offsets[0] < 0 or offsets[-1] >= wiring.samples_per_step:
        raise WiringError(f"sample_offsets {offsets} must rise within 0..{wiring.samples_per_step - 1}")
    names = [port.name for port in wiring.ports]
    if len(set(names)) != len(names):
        raise WiringError(f"device names must differ: {names}")
    n_before = 0
    for index, layer in enumerate(wiring.layers):
        _check_layer(wiring, index, layer, n_before)
        n_before = layer.n_nodes
    if wiring.readout is not None and wiring.readout.n_features != wiring.n_features:
        raise WiringError(
            f"the read-out expects {wiring.readout.n_features} features; this wiring gives {wiring.n_features}"
        )


def _check_layer(wiring: Wiring, index: int, layer: Layer, n_before: int) -> None:
    for device in layer.devices:
        wiring.port(device)
    for name, delays in (("input_taps", layer.input_taps), ("coupling_delays", layer.coupling_delays)):
        if len(set(delays)) != len(delays) or any(delay < 0 for delay in delays):
            raise WiringError(f"layer {index}: {name} {delays} must be distinct and >= 0")
    if index == 0 and layer.coupling_delays:
        raise WiringError("layer 0 has no layer before it: its coupling_delays must be empty")
    if not layer.input_taps and not layer.coupling_delays:
        raise WiringError(f"layer {index} listens to nothing: give it input_taps or coupling_delays")
    shapes = {
        "W_in": (layer.n_nodes, len(layer.input_taps), wiring.n_inputs),
        "W": (layer.n_nodes, len(layer.coupling_delays), n_before, len(wiring.sample_offsets)),
        "gain": (layer.n_nodes,),
        "bias": (layer.n_nodes,),
    }
    for name, shape in shapes.items():
        array = getattr(layer, name)
        if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.shape != shape:
            what = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise WiringError(f"layer {index}: {name} must be a float64 array of shape {shape}, not {what}")
        if not np.all(np.isfinite(array)):
            raise WiringError(f"layer {index}: {name} contains NaN or infinity")
