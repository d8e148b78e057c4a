"""What a wiring must satisfy to be played: shapes, ports, delays, masks, conditions."""

from __future__ import annotations

import math

import numpy as np

from twins.network.ports import WiringError
from twins.network.wiring import Layer, Wiring


def check_wiring(wiring: Wiring) -> None:
    """Raise WiringError, naming layer and array, where something contradicts itself."""
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
    unfit = {name: value for name, value in wiring.conditions.items() if not math.isfinite(value)}
    if unfit:
        raise WiringError(f"conditions must be finite, not {unfit}")
    for index, layer in enumerate(wiring.layers):
        _check_sources(wiring, index, layer)
    for index, layer in enumerate(wiring.layers):
        _check_layer(wiring, index, layer)
    if wiring.readout is not None and wiring.readout.n_features != wiring.n_features:
        raise WiringError(
            f"the read-out expects {wiring.readout.n_features} features; this wiring gives {wiring.n_features}"
        )


def _check_sources(wiring: Wiring, index: int, layer: Layer) -> None:
    for device in layer.devices:
        wiring.port(device)
    sources = wiring.sources_of(index)
    if len(set(sources)) != len(sources) or any(not 0 <= source < len(wiring.layers) for source in sources):
        raise WiringError(f"layer {index}: sources {sources} must be distinct layers of 0..{len(wiring.layers) - 1}")
    for name, delays in (("input_taps", layer.input_taps), ("coupling_delays", layer.coupling_delays)):
        if len(set(delays)) != len(delays) or any(delay < 0 for delay in delays):
            raise WiringError(f"layer {index}: {name} {delays} must be distinct and >= 0")
    if not sources and layer.coupling_delays:
        raise WiringError(f"layer {index} has no layer before it, and no sources: its coupling_delays must be empty")
    if not layer.input_taps and not layer.coupling_delays:
        raise WiringError(f"layer {index} listens to nothing: give it input_taps or coupling_delays")
    if 0 in layer.coupling_delays and wiring.recurrent:
        raise WiringError(
            f"layer {index}: a coupling delay of 0 in a recurrent wiring; a drive can only follow from what was "
            "measured before it: use delays of 1 and more in all layers"
        )


def _check_layer(wiring: Wiring, index: int, layer: Layer) -> None:
    lines = wiring.n_lines(index)
    shapes = {
        "W_in": (lines, len(layer.input_taps), wiring.n_inputs),
        "W": (lines, len(layer.coupling_delays), wiring.n_coupled(index), len(wiring.sample_offsets)),
        "gain": (lines,),
        "bias": (lines,),
    }
    for name, shape in shapes.items():
        array = getattr(layer, name)
        if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.shape != shape:
            what = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise WiringError(f"layer {index}: {name} must be a float64 array of shape {shape}, not {what}")
        if not np.all(np.isfinite(array)):
            raise WiringError(f"layer {index}: {name} contains NaN or infinity")
    for mask_name, name in (("mask_in", "W_in"), ("mask", "W")):
        mask = getattr(layer, mask_name)
        if mask is None:
            continue
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != shapes[name]:
            raise WiringError(f"layer {index}: {mask_name} must be a bool array of shape {shapes[name]}")
        if np.any(getattr(layer, name)[~mask]):
            raise WiringError(f"layer {index}: {name} is not 0 where {mask_name} says that there is no connection")
    levels = layer.gain_levels
    if levels is not None and not np.allclose(levels.nearest(layer.gain), layer.gain, rtol=0, atol=1e-9 * levels.step):
        raise WiringError(f"layer {index}: gains {layer.gain} are not among the levels that they can be set to")
