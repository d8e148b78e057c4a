"""Play a network on the bench: node by node, through real drives and real read-backs.

A device plays its nodes one after another; the responses are kept, so that the next layer is driven from memory. Nodes
of one layer on different devices are played at the same time where the bench can (one play drives several channels).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.record import record
from labctl.errors import DeploymentError
from labctl.excitation import Excitation
from labctl.recording import Recording

if TYPE_CHECKING:
    from twins.network.wiring import Layer, Wiring

Array = NDArray[np.float64]


def play_network(
    bench: Bench,
    wiring: Wiring,
    inputs: Array,
    *,
    folder: Path,
    key: str,
    title: str,
    seed: int | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Campaign[list[Array]]:
    """Play every node of `wiring` for `inputs` (trial, step, input); return the features, one array a layer.

    A layer's features are (trial, step, node, sample), as `Wiring.outputs` wants them. Every play is a recording in
    `folder`, with the seed that the inputs were drawn from and `provenance` (plain data). Raises DeploymentError where
    the bench does not fit the wiring, before anything is played.
    """
    check_wiring(bench, wiring)
    features: list[Array] = []
    for index, layer in enumerate(wiring.layers):
        before = features[-1] if features else None
        layer_features: dict[int, Array] = {}
        plays = rounds(layer, bench.play_group)
        for number, nodes in enumerate(plays):
            excitation = _excitation(bench, wiring, index, nodes, inputs, before)
            recording = yield from record(
                bench,
                excitation,
                path=folder / f"layer{index}-play{number}.h5",
                key=f"{key}/layer{index}/play{number}",
                title=f"{title}: layer {index + 1} of {len(wiring.layers)}, play {number + 1} of {len(plays)}",
                seed=seed,
                provenance=provenance,
            )
            for device, node in nodes.items():
                layer_features[node] = wiring.features_of(index, node, _response(bench, recording, device))
        features.append(np.stack([layer_features[node] for node in range(layer.n_nodes)], axis=2))
    return features


def rounds(layer: Layer, group_of: Callable[[str], object] | None = None) -> list[dict[str, int]]:
    """The plays of a layer, in order: each maps devices to the node that the device plays then.

    group_of: only devices of equal groups may be in one play; without it all may.
    """

    def alike(one: str, other: str) -> bool:
        return group_of is None or group_of(one) == group_of(other)

    plays: list[dict[str, int]] = []
    for node, device in enumerate(layer.devices):
        free = next((play for play in plays if device not in play and alike(device, next(iter(play)))), None)
        if free is None:
            free = {}
            plays.append(free)
        free[device] = node
    return plays


def check_wiring(bench: Bench, wiring: Wiring) -> None:
    """Raise DeploymentError unless every device of the wiring is on the bench, at its sampling time, inside its limits."""
    for port in wiring.ports:
        device = bench.station.devices.get(port.name)
        if device is None:
            raise DeploymentError(
                f"the wiring plays on device {port.name!r}; the station has {', '.join(bench.station.devices) or 'none'}"
            )
        if len(device.drive) != 1 or len(device.response) != 1:
            raise DeploymentError(f"{port.name}: a node needs one drive and one response channel in the station file")
        if abs(device.sample_rate_Hz * wiring.dt_s - 1.0) > 1e-9:
            raise DeploymentError(
                f"{port.name}: the wiring is sampled every {wiring.dt_s:g} s and the station at {device.sample_rate_Hz:g} Hz"
            )
        drive, response = bench.station.channels[device.drive[0]], bench.station.channels[device.response[0]]
        for channel, unit in ((drive, port.drive_unit), (response, port.response_unit)):
            if unit and unit != channel.unit:
                raise DeploymentError(
                    f"{channel.name}: the wiring is in {unit}, the station in {channel.unit}; change the station file"
                )
        low, high = drive.limits
        lowest, highest = port.drive_range
        if lowest < low or highest > high:
            raise DeploymentError(
                f"{drive.name}: the wiring drives {port.name} over {lowest:g}..{highest:g}; "
                f"the station allows {low:g}..{high:g}"
            )


def apply_conditions(bench: Bench, conditions: Mapping[str, float]) -> None:
    """Bring set-points to the values under which the twins were learned, with the station's limits and ramps."""
    for channel, value in conditions.items():
        bench.set(channel, value)


def _excitation(
    bench: Bench, wiring: Wiring, layer: int, nodes: Mapping[str, int], inputs: Array, before: Array | None
) -> Excitation:
    drives = {
        bench.station.devices[device].drive[0]: wiring.drive_for(layer, node, inputs, before)
        for device, node in nodes.items()
    }
    description = {"design": "network", "layer": layer, "nodes": dict(nodes)}
    return Excitation.from_channels(drives, dt_s=wiring.dt_s, description=description)


def _response(bench: Bench, recording: Recording, device: str) -> Array:
    """The scored part of one device's response, (trial, time)."""
    if recording.whole_trials.size != recording.n_trials:
        raise DeploymentError(f"{recording.path}: not every trial was measured to its end; the network cannot go on")
    channel = bench.station.devices[device].response[0]
    _, response = recording.scored()
    return response[:, :, recording.response_names.index(channel)]
