"""Recurrent networks on the bench: all nodes live at once, through the instruments of a simulated bench."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from labctl.bench import Bench
from labctl.bench.loop_rate import LoopRate
from labctl.campaign import run
from labctl.clearance import clear
from labctl.closed_loop_network import LiveNodes, check_recurrent, play_live, play_recurrent
from labctl.deployment import deploy
from labctl.errors import DeploymentError
from labctl.events import Event, Reported, StepFinished, StepStarted, Warned
from labctl.network_bench import play_layers, play_network
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station
from labctl.store import open_recording
from twins.network import (
    Architecture,
    DelayedParity,
    DevicePort,
    DriveLine,
    LayerPlan,
    Levels,
    PhysicalNetwork,
    SenseLine,
    Wiring,
    random_wiring,
)

pytestmark = pytest.mark.alone

DEVICES = ("leaky_1", "leaky_2", "leaky_3", "leaky_4")
TAU_S = {"leaky_1": 0.06, "leaky_2": 0.09, "leaky_3": 0.13, "leaky_4": 0.2}
DT_S = 0.04
PORTS = tuple(DevicePort.from_range(name, -1.0, 1.0, drive_unit="V", response_unit="V") for name in DEVICES)
SHORT_REST = "preparation = { rest_s = 0.08 }"
RATE = LoopRate(DEVICES, 100, 0.002, 0.003, 0.004, 0.005, 0.0019, 0.0, 0.0001, 0.004)
"""As if measured before: a busy machine that runs tests may be slower than is good for a promise."""


@pytest.fixture(scope="module")
def quiet_sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedBench]:
    """The bench without any noise."""
    text = bundled_bench("closed_loop").read_text()
    path = tmp_path_factory.mktemp("bench") / "quiet.toml"
    path.write_text(re.sub(r"noise_(scale|V) = .*", r"noise_\1 = 0.0", text))
    with SimulatedBench.start(path) as sim:
        yield sim


@pytest.fixture
def station(quiet_sim: SimulatedBench, tmp_path: Path) -> Path:
    """With a rest before each trial that is too short to forget the last one, but saves time."""
    text = re.sub(r"(time_constant_s = .*)", rf"\1\n{SHORT_REST}", bundled_station("closed_loop"))
    return quiet_sim.write_station(tmp_path / "station.toml", text)


def wiring_of(
    *,
    layers: tuple[LayerPlan, ...] = (LayerPlan(DEVICES, sources=(0,)),),
    samples_per_step: int = 2,
    delays: tuple[int, ...] = (1, 2),
    ports: Sequence[DevicePort] = PORTS,
) -> Wiring:
    architecture = Architecture(
        layers=layers,
        samples_per_step=samples_per_step,
        sample_offsets=tuple(range(samples_per_step)),
        dt_s=DT_S,
        input_taps=(0, 1),
        coupling_delays=delays,
        washout=2,
    )
    return random_wiring(architecture, ports, np.random.default_rng(3))


INPUTS = np.random.default_rng(1).uniform(-1, 1, size=(2, 12, 1))


@dataclass(frozen=True)
class Leaky:
    """A noise-free twin of one of the bench's devices."""

    tau_s: float


@dataclass(frozen=True)
class State:
    x: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.x,)


class ExactStack:
    """The devices' own equation, solved exactly for drives that are held for a sample; every trial begins at rest."""

    dt_s = 0.2

    def __init__(self, twins: Sequence[Leaky]) -> None:
        self._decay = torch.exp(-self.dt_s / torch.tensor([twin.tau_s for twin in twins], dtype=torch.float64))[:, None]

    def start(self, n_trials: int, *, generator: torch.Generator) -> State:
        return State(torch.zeros(len(self._decay), n_trials, dtype=torch.float64))

    def advance(self, state: State, drive: Tensor, *, generator: torch.Generator) -> tuple[Tensor, State]:
        x, seen = state.x, []
        for sample in range(drive.shape[-1]):
            seen.append(x)
            x = self._decay * x + (1 - self._decay) * torch.tanh(drive[..., sample])
        return torch.stack(seen, dim=-1), State(x)

    def respond(self, drive: Tensor, *, generator: torch.Generator) -> Tensor:
        return self.advance(self.start(drive.shape[1], generator=generator), drive, generator=generator)[0]


def promised(wiring: Wiring, inputs: np.ndarray) -> np.ndarray:
    """(trial, step, feature) of the network on noise-free twins."""
    twins: dict[str, Any] = {name: Leaky(tau_s) for name, tau_s in TAU_S.items()}
    network = PhysicalNetwork(wiring, twins, stack=ExactStack, dtype=torch.float64)
    with torch.no_grad():
        features = network(torch.from_numpy(inputs), torch.Generator())
    return np.asarray(features.numpy())


def test_the_bench_answers_as_noise_free_twins_promise_sample_by_sample(station: Path, tmp_path: Path) -> None:
    """To within what the milliseconds of a turn do, which are few of these long samples."""
    text = station.read_text().replace(SHORT_REST, "")
    station.write_text(text.replace("sample_rate_Hz = 25.0", "sample_rate_Hz = 5.0"))
    wiring = replace(wiring_of(), dt_s=0.2)
    inputs = INPUTS[:1, :10]
    with Bench.open(station) as bench:
        features = run(play_recurrent(bench, wiring, inputs, folder=tmp_path, key="k", title="T", rate=RATE))
    assert [part.shape for part in features] == [(1, 10, 4, 2)]
    measured = features[0].reshape(1, 10, -1)

    def error(of: Wiring) -> float:
        return float(np.sqrt(np.mean((measured - promised(of, inputs)) ** 2)))

    layer = wiring.layers[0]
    late = replace(wiring, layers=(replace(layer, coupling_delays=(2, 3)),))
    later_input = replace(wiring, layers=(replace(layer, input_taps=(1, 2)),))
    assert error(wiring) < 0.1 * np.std(measured)
    assert error(wiring) < 0.2 * min(error(late), error(later_input))


def test_the_drives_are_those_of_the_wiring_for_what_was_measured(station: Path, tmp_path: Path) -> None:
    layers = (LayerPlan(DEVICES[:2], sources=(0, 1)), LayerPlan(DEVICES[2:], sources=(0,)))
    wiring = wiring_of(layers=layers, delays=(1, 3))
    with Bench.open(station) as bench:
        played = run(play_live(bench, wiring, INPUTS, folder=tmp_path, key="k", title="T", rate=RATE))
    recording = open_recording(tmp_path / "closed-loop.h5")
    drive, response = recording.scored()
    for index, layer in enumerate(wiring.layers):
        assert played.features[index].shape == (2, 12, 2, 2)
        for node, device in enumerate(layer.devices):
            number = DEVICES.index(device)
            wanted = wiring.drive_for(index, node, INPUTS, played.features)
            np.testing.assert_allclose(drive[:, :, [number]], wanted, atol=1e-12)
            of_node = played.responses[index]
            assert of_node is not None
            np.testing.assert_array_equal(of_node[node], response[:, :, number])
    assert recording.provenance["extra"]["nodes"] == [["leaky_1", "leaky_2"], ["leaky_3", "leaky_4"]]
    assert recording.provenance["extra"]["loop_rate"]["p99_s"] == 0.004


def test_the_rate_is_measured_before_and_reported(station: Path, tmp_path: Path) -> None:
    station.write_text(station.read_text().replace("sample_rate_Hz = 25.0", "sample_rate_Hz = 5.0"))
    wiring = replace(wiring_of(samples_per_step=1), dt_s=0.2)
    events: list[Event] = []
    with Bench.open(station) as bench:
        run(play_network(bench, wiring, INPUTS[:1, :3], folder=tmp_path, key="k", title="T"), on_event=events.append)
    told = [event for event in events if isinstance(event, StepFinished)]
    assert "samples a second can be promised" in told[0].note
    (report,) = [event for event in events if isinstance(event, Reported) and "loop_rate" in event.outcome]
    assert report.outcome["loop_rate"]["devices"] == list(DEVICES)
    assert report.outcome["sample_rate_Hz"] == 5.0
    assert "after the reading began" in report.outcome["timing"]


def test_the_rate_is_measured_once_for_many_plays_and_kept_with_each(
    station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is busy for a moment, when the second play begins, does not end a campaign."""
    found = [RATE, replace(RATE, p99_s=0.05)]
    monkeypatch.setattr(Bench, "loop_rate", lambda *_, **__: found.pop(0))
    events: list[Event] = []
    with Bench.open(station) as bench:
        for number in range(2):  # other numbers in the same wiring
            layer = wiring_of().layers[0]
            wiring = replace(wiring_of(), layers=(replace(layer, gain=layer.gain * (1.0 + number)),))
            play = play_network(bench, wiring, INPUTS[:1, :3], folder=tmp_path / f"{number}", key="k", title="T")
            run(play, on_event=events.append)
        assert len(found) == 1
        with pytest.raises(DeploymentError, match="too fast"):  # of another form: measured, and refused
            other = wiring_of(samples_per_step=1)
            run(play_network(bench, other, INPUTS[:1, :3], folder=tmp_path / "2", key="k", title="T"))
    assert sum(isinstance(event, StepStarted) and event.key == "k/loop-rate" for event in events) == 1
    for number in range(2):
        extra = open_recording(tmp_path / f"{number}" / "closed-loop.h5").provenance["extra"]
        assert extra["loop_rate"]["p99_s"] == RATE.p99_s


def test_a_rate_says_when_it_was_measured(station: Path) -> None:
    with Bench.open(station) as bench:
        rate = bench.loop_rate(DEVICES, duration_s=0.1)
    assert datetime.fromisoformat(rate.measured_utc) <= datetime.now(UTC)


def test_a_wiring_faster_than_the_loop_is_refused_before_it_is_played(station: Path, tmp_path: Path) -> None:
    slow = replace(RATE, p99_s=0.05)
    with Bench.open(station) as bench:
        with pytest.raises(DeploymentError, match=r"every 0\.04 s is too fast.*13\.3 samples a second"):
            run(play_recurrent(bench, wiring_of(), INPUTS, folder=tmp_path, key="k", title="T", rate=slow))
        assert bench.device_seconds == 0.0
    assert not list(tmp_path.glob("*.h5"))


def test_a_device_that_plays_two_nodes_cannot_be_live_twice(station: Path) -> None:
    wiring = wiring_of(layers=(LayerPlan((*DEVICES, "leaky_1"), sources=(0,)),))
    with (
        Bench.open(station) as bench,
        pytest.raises(DeploymentError, match=r"leaky_1 plays 2 nodes.*one after another"),
    ):
        check_recurrent(bench, wiring)


def test_a_range_that_the_ramp_does_not_cross_in_a_sample_is_refused(station: Path) -> None:
    station.write_text(station.read_text().replace("ramp_per_s = 50.0\n", "ramp_per_s = 20.0\n"))
    with Bench.open(station) as bench:
        with pytest.raises(DeploymentError, match=r"drive_1: .* leaky_1 2 V further within one sample.*allows 0\.8 V"):
            check_recurrent(bench, wiring_of())
        narrow = tuple(DevicePort.from_range(name, -0.4, 0.4) for name in DEVICES)
        check_recurrent(bench, wiring_of(ports=narrow))


def test_layers_of_a_recurrent_wiring_cannot_be_known_before(station: Path, tmp_path: Path) -> None:
    with Bench.open(station) as bench, pytest.raises(DeploymentError, match="as a whole"):
        known = {0: np.zeros((2, 12, 4, 2))}
        run(play_layers(bench, wiring_of(), INPUTS, folder=tmp_path, key="k", title="T", known=known))


def test_deploy_plays_a_recurrent_wiring_in_a_closed_loop_by_itself(station: Path, tmp_path: Path) -> None:
    station.write_text(station.read_text().replace("sample_rate_Hz = 25.0", "sample_rate_Hz = 10.0"))
    rng, task = np.random.default_rng(0), DelayedParity(order=2)
    training, heldout = task.sample(2, 10, rng), task.sample(1, 10, rng)
    events: list[Event] = []
    with Bench.open(station) as bench:
        measured = run(
            deploy(
                bench,
                replace(wiring_of(samples_per_step=1), dt_s=0.1),
                clearance=clear(DEVICES, {}, override="a wiring made by hand, of no twin"),
                metric="cross_entropy",
                heldout=heldout,
                training=training,
                folder=tmp_path,
                key="k",
                title="T",
            ),
            on_event=events.append,
        )
    assert measured.outputs.shape == (1, 1, 10, 2)
    assert np.isfinite(measured.mean)
    recording = open_recording(tmp_path / "closed-loop.h5")
    assert recording.n_trials == 3
    assert recording.provenance["extra"]["closed_loop"] is True
    assert not any("closed loop: " in event.message for event in events if isinstance(event, Warned))


def test_devices_of_several_channels_are_driven_as_the_wiring_says_step_by_step() -> None:
    names = {"a": (("a1", "a2"), ("ar",)), "b": (("b1",), ("br1", "br2"))}
    devices = {name: SimpleNamespace(drive=drive, response=response) for name, (drive, response) in names.items()}
    bench = SimpleNamespace(station=SimpleNamespace(devices=devices))
    ports = (
        DevicePort("a", (DriveLine(0.0, 1.0), DriveLine(0.5, 0.2)), (SenseLine(0.1, 0.5),)),
        DevicePort(
            "b", (DriveLine(0.0, 1.0, levels=Levels.of_bits(4, -1.0, 1.0)),), (SenseLine(), SenseLine(0.0, 2.0))
        ),
    )
    layers = (LayerPlan(("b",), sources=(1,)), LayerPlan(("a",), sources=(0, 1)))
    architecture = Architecture(
        layers, samples_per_step=3, sample_offsets=(0, 2), dt_s=DT_S, input_taps=(0, 2), coupling_delays=(1, 4)
    )
    rng = np.random.default_rng(0)
    wiring = random_wiring(architecture, ports, rng)
    inputs, measured = rng.normal(size=(2, 7, 1)), rng.normal(size=(2, 21, 3))
    nodes = LiveNodes(cast(Bench, bench), wiring, inputs)
    assert nodes.devices == ("b", "a")
    assert (nodes.drive_names, nodes.response_names) == (("b1", "a1", "a2"), ("br1", "br2", "ar"))
    nodes.rehearse(measured[0, 0])  # leaves no trace
    drives = np.array([[nodes.drive(trial, k, measured[trial, k]) for k in range(21)] for trial in range(2)])
    features = [wiring.features_of(0, 0, measured[..., :2]), wiring.features_of(1, 0, measured[..., 2:])]
    np.testing.assert_allclose(drives[..., :1], wiring.drive_for(0, 0, inputs, features), atol=1e-12)
    np.testing.assert_allclose(drives[..., 1:], wiring.drive_for(1, 0, inputs, features), atol=1e-12)
