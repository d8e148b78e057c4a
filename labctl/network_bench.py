"""Play a network on the bench: node by node, through real drives and real read-backs.

A device plays its nodes one after another; the responses are kept, so that the next layer is driven from memory. Nodes
of one layer on different devices are played at the same time where the bench can (one play drives several channels).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.record import record
from labctl.drive_jumps import too_fast_jumps
from labctl.errors import DeploymentError
from labctl.events import Warned
from labctl.excitation import Excitation
from labctl.recording import Recording

if TYPE_CHECKING:
    from twins.network.wiring import Layer, Wiring

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkPlay:
    """What a network did on the bench. features: by layer, (trial, step, sense, sample), as `Wiring.outputs` wants them.
    responses: by layer, (sense, trial, time), every scored sample in response units; None for layers not played."""

    features: list[Array]
    responses: list[Array | None]


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
    """Play every node of `wiring` for `inputs` (trial, step, input); return the features, one array a layer."""
    played = yield from play_layers(
        bench, wiring, inputs, folder=folder, key=key, title=title, seed=seed, provenance=provenance
    )
    return played.features


def play_layers(
    bench: Bench,
    wiring: Wiring,
    inputs: Array,
    *,
    folder: Path,
    key: str,
    title: str,
    known: Mapping[int, Array] | None = None,
    seed: int | None = None,
    provenance: Mapping[str, Any] | None = None,
    recorder: Callable[..., Campaign[Recording]] = record,
    n_layers: int | None = None,
) -> Campaign[NetworkPlay]:
    """Play the layers of `wiring` for `inputs` (trial, step, input), one after the other; those of a recurrent wiring all at
    once, in a closed loop (see labctl.closed_loop_network).

    known: features of layers that were measured before and are not played again. Every play is a recording in `folder`,
    with the seed that the inputs were drawn from and `provenance` (plain data). recorder: stands for `record`, as
    labctl.campaigns.record_once.record_once does, which plays nothing twice; not for recurrent wirings. n_layers: of the
    whole network, where `wiring` is only the first of it, for the titles of its plays. Raises
    DeploymentError where the bench does not fit the wiring, before anything is played; TooFast for a drive that changes
    faster than the station allows, before anything is played if its layer hears the input alone, and before its own play if
    it hears other layers, which only what is measured tells. That the range of such a layer would allow it is warned of.
    """
    if wiring.recurrent:
        from labctl.closed_loop_network import play_live  # it needs this module

        if known:
            raise DeploymentError("a recurrent wiring is played as a whole: none of its layers can be known before")
        return (
            yield from play_live(
                bench, wiring, inputs, folder=folder, key=key, title=title, seed=seed, provenance=provenance
            )
        )
    check_wiring(bench, wiring)
    if known is None or 0 not in known:
        for index, layer in enumerate(wiring.layers):
            for nodes in rounds(layer, bench.play_group) if not wiring.sources_of(index) else ():
                bench.check(_excitation(bench, wiring, index, nodes, inputs, []))
        for told in too_fast_jumps(bench.station, _later_ranges(wiring), dt_s=wiring.dt_s):
            yield Warned(key, told)
    features: list[Array] = []
    responses: list[Array | None] = []
    for index, layer in enumerate(wiring.layers):
        if known is not None and index in known:
            features.append(known[index])
            responses.append(None)
            continue
        answers: dict[int, Array] = {}
        plays = rounds(layer, bench.play_group)
        for number, nodes in enumerate(plays):
            recording = yield from recorder(
                bench,
                _excitation(bench, wiring, index, nodes, inputs, features),
                path=folder / f"layer{index}-play{number}.h5",
                key=f"{key}/layer{index}/play{number}",
                title=f"{title}: layer {index + 1} of {n_layers or len(wiring.layers)}, play {number + 1} of {len(plays)}",
                seed=seed,
                provenance=provenance,
            )
            for device, node in nodes.items():
                answers[node] = _response(bench, recording, device)
        order = range(layer.n_nodes)
        features.append(np.concatenate([wiring.features_of(index, node, answers[node]) for node in order], axis=2))
        responses.append(np.concatenate([np.moveaxis(answers[node], 2, 0) for node in order]))
    return NetworkPlay(features, responses)


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
        if (len(device.drive), len(device.response)) != (len(port.drives), len(port.senses)):
            raise DeploymentError(
                f"{port.name}: the wiring has {len(port.drives)} drives and {len(port.senses)} responses of it, the "
                f"station {len(device.drive)} and {len(device.response)}"
            )
        if abs(device.sample_rate_Hz * wiring.dt_s - 1.0) > 1e-9:
            raise DeploymentError(
                f"{port.name}: the wiring is sampled every {wiring.dt_s:g} s and the station at {device.sample_rate_Hz:g} Hz"
            )
        channels = [bench.station.channels[name] for name in (*device.drive, *device.response)]
        units = [line.unit for line in port.drives] + [line.unit for line in port.senses]
        for channel, unit in zip(channels, units, strict=True):
            if unit and unit != channel.unit:
                raise DeploymentError(
                    f"{channel.name}: the wiring is in {unit}, the station in {channel.unit}; change the station file"
                )
        for channel, (lowest, highest) in zip(channels[: len(device.drive)], port.drive_ranges, strict=True):
            low, high = channel.limits
            if lowest < low or highest > high:
                raise DeploymentError(
                    f"{channel.name}: the wiring drives {port.name} over {lowest:g}..{highest:g}; "
                    f"the station allows {low:g}..{high:g}"
                )


def _later_ranges(wiring: Wiring) -> dict[str, tuple[tuple[float, float], ...]]:
    """The drive ranges of the devices that play in layers which hear others."""
    later = {
        device for index, layer in enumerate(wiring.layers) if wiring.sources_of(index) for device in layer.devices
    }
    return {port.name: tuple(line.range for line in port.drives) for port in wiring.ports if port.name in later}


def apply_conditions(bench: Bench, conditions: Mapping[str, float]) -> None:
    """Bring set-points to the values under which the twins were learned, with the station's limits and ramps."""
    for channel, value in conditions.items():
        bench.set(channel, value)


def _excitation(
    bench: Bench, wiring: Wiring, layer: int, nodes: Mapping[str, int], inputs: Array, features: list[Array]
) -> Excitation:
    drives: dict[str, Array] = {}
    for device, node in nodes.items():
        drive = wiring.drive_for(layer, node, inputs, features)
        drives |= {name: drive[..., place] for place, name in enumerate(bench.station.devices[device].drive)}
    description = {"design": "network", "layer": layer, "nodes": dict(nodes)}
    return Excitation.from_channels(drives, dt_s=wiring.dt_s, description=description)


def _response(bench: Bench, recording: Recording, device: str) -> Array:
    """The scored part of one device's responses, (trial, time, response)."""
    if recording.whole_trials.size != recording.n_trials:
        raise DeploymentError(f"{recording.path}: not every trial was measured to its end; the network cannot go on")
    _, response = recording.scored()
    places = [recording.response_names.index(name) for name in bench.station.devices[device].response]
    return response[:, :, places]
