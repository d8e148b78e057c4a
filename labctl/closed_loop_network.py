"""Play a recurrent network on the bench: all nodes live at once, sample by sample, each on a device of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.bench import Bench
from labctl.bench.closed_loop import TIMING_NOTE
from labctl.bench.loop_rate import LoopRate
from labctl.bench.plan import rate_per_s
from labctl.campaign import Campaign, Step
from labctl.campaigns.record import BlockLayout, counts_of_next, record_blocks
from labctl.errors import DeploymentError, ExcitationError
from labctl.events import Reported
from labctl.network_bench import NetworkPlay, check_wiring
from labctl.recording import Recording

if TYPE_CHECKING:
    from twins.network.wiring import Wiring

Array = NDArray[np.float64]
_ROUNDING = 1.0 + 1e-9


def play_recurrent(
    bench: Bench,
    wiring: Wiring,
    inputs: Array,
    *,
    folder: Path,
    key: str,
    title: str,
    seed: int | None = None,
    provenance: Mapping[str, Any] | None = None,
    rate: LoopRate | None = None,
) -> Campaign[list[Array]]:
    """Play `wiring` for `inputs` (trial, step, input) in a closed loop; return the features, one array a layer.

    See play_live. Shapes and arguments are those of network_bench.play_network.
    """
    played = yield from play_live(
        bench, wiring, inputs, folder=folder, key=key, title=title, seed=seed, provenance=provenance, rate=rate
    )
    return played.features


def play_live(
    bench: Bench,
    wiring: Wiring,
    inputs: Array,
    *,
    folder: Path,
    key: str,
    title: str,
    seed: int | None = None,
    provenance: Mapping[str, Any] | None = None,
    rate: LoopRate | None = None,
) -> Campaign[NetworkPlay]:
    """Play `wiring` for `inputs` (trial, step, input) with all its nodes live at once, in a closed loop.

    At the first sample of each step, when it has been read, the drives of all nodes are worked out from the inputs and
    from the features of earlier steps, set, and held for the step. The recording is `folder`/closed-loop.h5, with the
    loop's rate in its provenance.

    rate: as it was measured before; without it the loop's rate is measured first, and reported, but once for all plays
    of wirings of this form while the bench is open: a campaign of many plays must not fail because the machine was busy
    in one of many measurements. Raises DeploymentError, before anything is played, where the bench does not fit the
    wiring or cannot keep up with its sampling time.
    """
    check_recurrent(bench, wiring)
    nodes = LiveNodes(bench, wiring, inputs)
    form = _form_of(wiring)
    rate = rate or bench.loop_rates.get(form)
    if rate is None:
        rate = yield from _measured_rate(bench, nodes, key=key)
    try:
        rate.check(wiring.dt_s)
    except ExcitationError as error:
        raise DeploymentError(f"the wiring cannot be played in a closed loop here: {error}") from error
    bench.loop_rates[form] = rate
    n_trials, n_samples = inputs.shape[0], inputs.shape[1] * wiring.samples_per_step
    path = folder / "closed-loop.h5"
    blocks = bench.closed_loop(
        nodes.drive,
        nodes.devices,
        n_trials=n_trials,
        n_samples=n_samples,
        store=path,
        label=key,
        rate=rate,
        seed=seed,
        provenance={"nodes": nodes.described(), **(provenance or {})},
    )
    recording = yield from record_blocks(
        blocks,
        BlockLayout(nodes.drive_names, nodes.response_names, n_trials, n_samples, wiring.dt_s),
        counts=counts_of_next(bench),
        path=path,
        key=f"{key}/closed-loop",
        title=f"{title}: {wiring.n_nodes} nodes live at once",
    )
    timing = next((note for note in recording.notes if note.startswith(TIMING_NOTE)), "")
    yield Reported(
        key, {"loop_rate": rate.as_dict(), "sample_rate_Hz": 1.0 / wiring.dt_s, "timing": timing}, (str(path),)
    )
    return nodes.played(recording)


def check_recurrent(bench: Bench, wiring: Wiring) -> None:
    """Raise DeploymentError unless every node has a device of its own on the bench, free to go anywhere in its range.

    What network_bench.check_wiring checks is checked as well. How fast the loop can go has to be measured: play_recurrent
    does that.
    """
    check_wiring(bench, wiring)
    counts = Counter(device for layer in wiring.layers for device in layer.devices)
    shared = [f"{device} plays {count} nodes" for device, count in counts.items() if count > 1]
    if shared:
        raise DeploymentError(
            f"in a recurrent wiring all nodes are live at once, so each needs a device of its own; {', '.join(shared)}. "
            "Give those nodes other devices, or let no layer listen to itself or a later one: then a device plays its "
            "nodes one after another"
        )
    for port in wiring.ports:
        device = bench.station.devices[port.name]
        for name, line in zip(device.drive, port.drives, strict=True):
            channel = bench.station.channels[name]
            low, high = line.range
            farthest = max(high - low, high - channel.rest, channel.rest - low)
            allowed = rate_per_s(channel, "stepped") * wiring.dt_s
            if farthest > allowed * _ROUNDING:
                raise DeploymentError(
                    f"{name}: in a closed loop the wiring may drive {port.name} {farthest:g} {channel.unit} further within "
                    f"one sample of {wiring.dt_s:g} s; ramp_per_s = {rate_per_s(channel, 'stepped'):g} {channel.unit}/s "
                    f"({channel.where}) allows {allowed:g} {channel.unit}. Narrow the port's range, lower the sample rate, "
                    "or raise ramp_per_s if the device bears it"
                )


class LiveNodes:
    """The controller of a recurrent wiring: what was measured goes in, sample by sample, and what is to be driven comes out.

    inputs (trial, step, input). Channels are those of Bench.closed_loop for `devices`.
    """

    def __init__(self, bench: Bench, wiring: Wiring, inputs: Array) -> None:
        self._wiring = wiring
        self._inputs = np.asarray(inputs, dtype=np.float64)
        self.devices = tuple(device for layer in wiring.layers for device in layer.devices)
        found = [bench.station.devices[name] for name in self.devices]
        self.drive_names = tuple(dict.fromkeys(name for device in found for name in device.drive))
        self.response_names = tuple(dict.fromkeys(name for device in found for name in device.response))
        self._nodes = [
            (index, node, *self._columns(bench, device))
            for index, layer in enumerate(wiring.layers)
            for node, device in enumerate(layer.devices)
        ]
        self._step_response = np.empty((1, wiring.samples_per_step, len(self.response_names)))
        self._values = np.zeros(len(self.drive_names))
        self._features = self._no_features(0)
        self._rehearsed = 0

    def drive(self, trial: int, sample: int, measured: Array) -> Array:
        """The drives (drive channel,) of this sample, when it has been read (response channel,)."""
        step, within = divmod(sample, self._wiring.samples_per_step)
        if within == 0:
            if step == 0:
                self._features = self._no_features(1)
            else:
                self._finish(step - 1)
            inputs = self._inputs[trial : trial + 1]
            for layer, node, drives, _ in self._nodes:
                self._values[drives] = self._wiring.drive_at(layer, node, step, inputs, self._features)[0]
        self._step_response[0, within] = measured
        return self._values.copy()

    def rehearse(self, measured: Array) -> None:
        """What `drive` does at the start of a step, for the time it takes."""
        per_step = self._wiring.samples_per_step
        self.drive(0, self._rehearsed % self._inputs.shape[1] * per_step, measured)
        for within in range(1, per_step):
            self._step_response[0, within] = measured
        self._rehearsed += 1

    def played(self, recording: Recording) -> NetworkPlay:
        """What all layers did, from what was recorded."""
        if recording.whole_trials.size != recording.n_trials:
            raise DeploymentError(
                f"{recording.path}: not every trial was measured to its end; the network cannot go on"
            )
        _, response = recording.scored()
        features: list[list[Array]] = [[] for _ in self._wiring.layers]
        responses: list[list[Array]] = [[] for _ in self._wiring.layers]
        for layer, node, _, columns in self._nodes:
            features[layer].append(self._wiring.features_of(layer, node, response[:, :, columns]))
            responses[layer].append(np.moveaxis(response[:, :, columns], 2, 0))
        return NetworkPlay(
            [np.concatenate(nodes, axis=2) for nodes in features], [np.concatenate(nodes) for nodes in responses]
        )

    def described(self) -> list[list[str]]:
        """The devices of the nodes, layer by layer, as plain data."""
        return [list(layer.devices) for layer in self._wiring.layers]

    def _columns(self, bench: Bench, device: str) -> tuple[list[int], list[int]]:
        found = bench.station.devices[device]
        return (
            [self.drive_names.index(name) for name in found.drive],
            [self.response_names.index(name) for name in found.response],
        )

    def _no_features(self, n_trials: int) -> list[Array]:
        n_steps, n_samples = self._inputs.shape[1], len(self._wiring.sample_offsets)
        layers = range(len(self._wiring.layers))
        return [np.zeros((n_trials, n_steps, self._wiring.n_senses(layer), n_samples)) for layer in layers]

    def _finish(self, step: int) -> None:
        """Put the features of a step that is over where `drive_at` looks for them."""
        at = [0] * len(self._features)
        for layer, node, _, responses in self._nodes:
            found = self._wiring.features_of(layer, node, self._step_response[:, :, responses])
            self._features[layer][:, step, at[layer] : at[layer] + len(responses)] = found[:, 0]
            at[layer] += len(responses)


def _form_of(wiring: Wiring) -> Hashable:
    """What the rate of its loop depends on: the devices, and how much is computed."""
    return tuple((layer.devices, layer.W_in.shape, layer.W.shape) for layer in wiring.layers), wiring.samples_per_step


def _measured_rate(bench: Bench, nodes: LiveNodes, *, key: str) -> Campaign[LoopRate]:
    step = Step(f"{key}/loop-rate", "Measure how fast the closed loop can go")
    yield step.started()
    rate = bench.loop_rate(nodes.devices, compute=nodes.rehearse)
    yield step.finished(str(rate))
    return rate
