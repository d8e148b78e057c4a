"""What a planned network consists of, and what measuring it will take of the devices' time, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labctl.bench.plan import Mode, preparation
from labctl.campaigns.device_options import DeviceOptions
from labctl.campaigns.plans import TaskPlan
from labctl.drive_jumps import DeviceRanges, too_fast_jumps
from labctl.network_bench import rounds
from labctl.station import Station
from twins.network.initialise import random_wiring
from twins.network.ports import DevicePort, DriveLine, SenseLine
from twins.network.wiring import Wiring

N_RIVALS = 2
"""The reservoir and the network as it was before training."""


@dataclass(frozen=True, slots=True)
class LayerNeeds:
    """One layer. nodes: how many on each device. hears: names. n_plays: one after another, of every trial."""

    name: str
    nodes: Mapping[str, int]
    hears: tuple[str, ...]
    recurrent: bool
    input_taps: tuple[int, ...]
    coupling_delays: tuple[int, ...]
    n_weights: int
    n_plays: int


@dataclass(frozen=True, slots=True)
class NetworkNeeds:
    """A whole network. n_parameters: weights, gains, biases and conditions that are trained. n_readout: of the read-out.

    device_seconds: of the optimised network (training examples, and held-out ones as often as the plan says);
    rival_seconds: of its rivals together; None where no station told how devices are prepared.
    """

    layers: tuple[LayerNeeds, ...]
    n_nodes: int
    n_features: int
    n_parameters: int
    n_readout: int
    device_seconds: float | None
    rival_seconds: float | None


def network_needs(
    plan: TaskPlan, *, station: Station | None = None, channels: Mapping[str, tuple[int, int]] | None = None
) -> NetworkNeeds:
    """What the plan's network consists of and takes.

    channels: drive and response channels of each device; those of the station, or one each, if not given. Device seconds
    are an estimate from the station file: devices of one layer are taken to be played together.
    """
    wiring = _any_wiring(plan, channels or _channels_of(plan, station))
    layers = tuple(_layers(plan, wiring))
    ours = theirs = None
    if station is not None:
        trial_s = _trial_seconds(plan, wiring, station)
        ours = trial_s * (plan.n_training_trials + plan.n_repeats * plan.n_heldout_trials)
        theirs = trial_s * N_RIVALS * (plan.n_training_trials + plan.n_heldout_trials)
    return NetworkNeeds(
        layers=layers,
        n_nodes=wiring.n_nodes,
        n_features=wiring.n_features,
        n_parameters=sum(layer.n_weights for layer in layers) + len(plan.trained_conditions),
        n_readout=(wiring.n_features + 1) * plan.task.n_outputs,
        device_seconds=ours,
        rival_seconds=theirs,
    )


def jump_warnings(
    plan: TaskPlan, station: Station, *, ranges: Mapping[str, DeviceRanges] | None = None
) -> tuple[str, ...]:
    """In words, what the plan's network could drive faster than the station allows (see labctl.drive_jumps).

    ranges: where each device may be driven; None: as far as the plan's options or the station's limits say.
    """
    recurrent = any(
        source >= number for number, layer in enumerate(plan.architecture.plans) for source in layer.sources or ()
    )
    if ranges is None:
        options = {name: plan.device_options.get(name, DeviceOptions()) for name in plan.devices}
        found: dict[str, DeviceRanges] = {
            name: tuple(options[name].of(drive).range or station.channels[drive].limits for drive in device.drive)
            for name, device in ((name, station.device(name)) for name in plan.devices)
        }
    else:
        found = {name: ranges[name] for name in plan.devices}
    return too_fast_jumps(station, found, dt_s=plan.architecture.dt_s, recurrent=recurrent)


def in_words(plan: TaskPlan, needs: NetworkNeeds) -> Iterator[str]:
    """The same as lines of text."""
    task, shape = plan.task, plan.architecture
    yield f"task {task.name}: {task.n_inputs} input(s), {task.n_outputs} output(s), judged by {task.metric}"
    yield (
        f"a step is held for {shape.samples_per_step} samples ({shape.samples_per_step * shape.dt_s:g} s); features at "
        f"sample(s) {_steps(shape.sample_offsets)}"
    )
    for layer in needs.layers:
        yield _layer_in_words(layer)
    for device, options in plan.device_options.items():
        for name, drive in (options.drives or {device: options.every}).items():
            if drive.levels is not None:
                levels = drive.levels
                yield f"{name}: {levels.n} levels from {levels.low:g} to {levels.high:g}, {levels.step:g} apart"
    for name, (low, high) in plan.trained_conditions.items():
        yield f"condition {name}: trained within {low:g}..{high:g}"
    yield (
        f"{needs.n_nodes} nodes, {needs.n_features} features, {needs.n_parameters} trained parameters, "
        f"{needs.n_readout} of the read-out"
    )
    if needs.device_seconds is not None and needs.rival_seconds is not None:
        yield (
            f"on the bench about {needs.device_seconds:.3g} s of device time ({plan.n_training_trials} training and "
            f"{plan.n_repeats} x {plan.n_heldout_trials} held-out trials of {plan.n_steps} steps), and "
            f"{needs.rival_seconds:.3g} s for its {N_RIVALS} rivals"
        )


def _layer_in_words(layer: LayerNeeds) -> str:
    nodes = ", ".join(f"{count} {device}" for device, count in layer.nodes.items())
    heard = [
        f"{name} (taps {_steps(layer.input_taps)})"
        if name == "input"
        else f"{name} (delays {_steps(layer.coupling_delays)})"
        for name in layer.hears
    ]
    loop = "; RECURRENT" if layer.recurrent else ""
    return f"layer {layer.name}: {nodes}; hears {', '.join(heard)}; {layer.n_weights} parameters{loop}"


def _steps(steps: Sequence[int]) -> str:
    if len(steps) > 2 and list(steps) == list(range(steps[0], steps[-1] + 1)):
        return f"{steps[0]}..{steps[-1]}"
    return ", ".join(map(str, steps))


def _channels_of(plan: TaskPlan, station: Station | None) -> dict[str, tuple[int, int]]:
    if station is None:
        return dict.fromkeys(plan.devices, (1, 1))
    return {name: (len(station.device(name).drive), len(station.device(name).response)) for name in plan.devices}


def _any_wiring(plan: TaskPlan, channels: Mapping[str, tuple[int, int]]) -> Wiring:
    """Some wiring of the plan's architecture: its sizes are those of all."""
    ports = [
        DevicePort(name, (DriveLine(0.0, 1.0),) * n_drives, (SenseLine(),) * n_senses)
        for name, (n_drives, n_senses) in channels.items()
    ]
    return random_wiring(plan.architecture, ports, np.random.default_rng(0))


def _layers(plan: TaskPlan, wiring: Wiring) -> Iterator[LayerNeeds]:
    names = [one.name or f"layer {number + 1}" for number, one in enumerate(plan.architecture.plans)]
    for number, layer in enumerate(wiring.layers):
        sources = wiring.sources_of(number)
        masked = ((layer.W_in, layer.mask_in), (layer.W, layer.mask))
        connections = sum(int(array.size if mask is None else mask.sum()) for array, mask in masked)
        yield LayerNeeds(
            name=names[number],
            nodes={device: layer.devices.count(device) for device in dict.fromkeys(layer.devices)},
            hears=(("input",) if layer.input_taps else ()) + tuple(names[source] for source in sources),
            recurrent=any(source >= number for source in sources),
            input_taps=layer.input_taps,
            coupling_delays=layer.coupling_delays,
            n_weights=connections + layer.gain.size + layer.bias.size,
            n_plays=1 if wiring.recurrent else len(rounds(layer)),
        )


def _trial_seconds(plan: TaskPlan, wiring: Wiring, station: Station) -> float:
    """Device time of one trial through all layers; with recurrence all nodes are live at once."""
    samples = plan.n_steps * wiring.samples_per_step
    plays = [tuple(nodes) for layer in wiring.layers for nodes in rounds(layer)]
    if wiring.recurrent:
        plays = [tuple(plan.devices)]
    return sum((_prepare_samples(station, devices, wiring.dt_s) + samples) * wiring.dt_s for devices in plays)


def _prepare_samples(station: Station, names: Sequence[str], dt_s: float) -> int:
    devices = [station.device(name) for name in names]
    mode: Mode = "stepped" if any(device.mode == "stepped" for device in devices) else "buffered"
    channels = [station.channel(name) for device in devices for name in device.drive]
    return len(preparation(devices, channels, dt_s, mode))
