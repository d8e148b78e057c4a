"""A network on the bench: who plays when, what is refused before anything is played, and what comes back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.campaign import run
from labctl.clearance import clear
from labctl.deployment import deploy
from labctl.errors import DeploymentError, GatesNotPassed, OutOfLimits, TooFast
from labctl.events import Event, Warned
from labctl.network_bench import check_wiring, play_network, rounds
from labctl.run_index import RunIndex
from labctl.store import open_recording
from twins.network.initialise import Architecture, random_wiring
from twins.network.ports import DevicePort
from twins.network.tasks import Narma10
from twins.network.wiring import Wiring

PORTS = (DevicePort.from_range("leaky", -2.0, 2.0), DevicePort.from_range("duffing", -1.0, 1.0))
CLEARANCE = clear(("leaky", "duffing"), {}, override="a wiring made by hand, of no twin")
ARCHITECTURE = Architecture(
    layers=(("leaky", "duffing", "leaky"), ("duffing", "leaky")),
    samples_per_step=3,
    sample_offsets=(0, 2),
    dt_s=2e-4,
    input_taps=(0, 1),
    coupling_delays=(0, 1),
    washout=20,
)


def a_wiring(ports: tuple[DevicePort, ...] = PORTS) -> Wiring:
    return random_wiring(ARCHITECTURE, ports, np.random.default_rng(0))


def test_nodes_on_different_devices_share_a_play_and_a_device_plays_its_nodes_in_turn() -> None:
    first, second = a_wiring().layers
    assert rounds(first) == [{"leaky": 0, "duffing": 1}, {"leaky": 2}]
    assert rounds(second) == [{"duffing": 0, "leaky": 1}]


def test_the_bench_plays_what_the_wiring_says_and_records_every_play(demo_station: Path, tmp_path: Path) -> None:
    wiring = a_wiring()
    inputs = np.random.default_rng(1).uniform(-1, 1, size=(2, 30, 1))
    with Bench.open(demo_station) as bench:
        features = run(play_network(bench, wiring, inputs, folder=tmp_path, key="k", title="T"))
    assert [part.shape for part in features] == [(2, 30, 3, 2), (2, 30, 2, 2)]
    assert len(RunIndex(tmp_path).entries()) == 3
    recording = open_recording(tmp_path / "layer1-play0.h5")
    drive, _ = recording.scored()
    played = drive[:, :, recording.drive_names.index("duffing_drive")]
    np.testing.assert_allclose(played, wiring.drive_for(1, 0, inputs, features)[..., 0], atol=1e-12)


def test_a_wiring_for_a_device_that_is_not_there_is_refused(demo_station: Path) -> None:
    port = DevicePort.from_range("vortex", -1.0, 1.0)
    wiring = random_wiring(replace(ARCHITECTURE, layers=(("vortex",),)), (port,), np.random.default_rng(0))
    with Bench.open(demo_station) as bench, pytest.raises(DeploymentError, match=r"vortex.*leaky, duffing"):
        check_wiring(bench, wiring)


def test_a_wiring_of_another_sampling_time_is_refused(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench, pytest.raises(DeploymentError, match=r"0\.001 s.*5000 Hz"):
        check_wiring(bench, replace(a_wiring(), dt_s=1e-3))


def test_a_wiring_that_drives_beyond_the_limits_is_refused_before_anything_is_played(
    demo_station: Path, tmp_path: Path
) -> None:
    wiring = a_wiring((DevicePort.from_range("leaky", -3.0, 3.0), PORTS[1]))
    inputs = np.zeros((1, 30, 1))
    with Bench.open(demo_station) as bench:
        with pytest.raises(DeploymentError, match=r"leaky_drive.*-3\.\.3.*-2\.\.2"):
            run(play_network(bench, wiring, inputs, folder=tmp_path, key="k", title="T"))
        assert bench.device_seconds == 0.0
    assert not list(tmp_path.glob("*.h5"))


def slow_station(station: Path) -> Path:
    """1 V a sample."""
    text = station.read_text(encoding="utf-8")
    assert "slew_per_s = 2.1e4" in text
    station.write_text(text.replace("slew_per_s = 2.1e4", "slew_per_s = 5e3"), encoding="utf-8")
    return station


def resting_but_for(layer: int, node: int) -> Wiring:
    """Every node at rest but one, which follows the input."""
    wiring = a_wiring()
    layers = []
    for number, one in enumerate(wiring.layers):
        W_in = np.zeros_like(one.W_in)
        if number == layer:
            W_in[node] = 2.0
        layers.append(replace(one, W_in=W_in, W=np.zeros_like(one.W), bias=np.zeros_like(one.bias)))
    return replace(wiring, layers=tuple(layers))


def test_a_first_layer_that_is_too_fast_in_its_last_play_is_refused_before_its_first(
    demo_station: Path, tmp_path: Path
) -> None:
    inputs = np.random.default_rng(1).uniform(-1, 1, size=(1, 30, 1))
    with Bench.open(slow_station(demo_station)) as bench:
        with pytest.raises(TooFast, match=r"leaky_drive.*slew_per_s = 5000"):
            run(play_network(bench, resting_but_for(0, 2), inputs, folder=tmp_path, key="k", title="T"))
        assert bench.device_seconds == 0.0
    assert not list(tmp_path.glob("*.h5"))


def test_a_later_layer_that_hears_the_input_alone_is_checked_before_anything_is_played(
    demo_station: Path, tmp_path: Path
) -> None:
    wiring = resting_but_for(1, 1)
    second = wiring.layers[1]
    n_lines, _, _, n_samples = second.W.shape
    alone = replace(second, sources=(), coupling_delays=(), W=np.zeros((n_lines, 0, 0, n_samples)))
    wiring = replace(wiring, layers=(wiring.layers[0], alone))
    inputs = np.random.default_rng(1).uniform(-1, 1, size=(1, 30, 1))
    with Bench.open(slow_station(demo_station)) as bench:
        with pytest.raises(TooFast, match="leaky_drive"):
            run(play_network(bench, wiring, inputs, folder=tmp_path, key="k", title="T"))
        assert bench.device_seconds == 0.0


def test_a_later_layer_that_may_be_too_fast_is_warned_of_and_played_if_it_is_not(
    demo_station: Path, tmp_path: Path
) -> None:
    events: list[Event] = []
    inputs = np.random.default_rng(1).uniform(-0.05, 0.05, size=(1, 30, 1))
    with Bench.open(slow_station(demo_station)) as bench:
        campaign = play_network(bench, resting_but_for(1, 1), inputs, folder=tmp_path, key="k", title="T")
        features = run(campaign, on_event=events.append)
    assert len(features) == 2
    told = [one.message for one in events if isinstance(one, Warned)]
    assert any("leaky_drive" in one and "4 V further" in one and "allows 1 V" in one for one in told)


def test_a_wiring_in_other_units_is_refused(demo_station: Path) -> None:
    port = DevicePort.from_range("leaky", -2.0, 2.0, drive_unit="V", response_unit="mV")
    wiring = a_wiring((port, PORTS[1]))
    with Bench.open(demo_station) as bench, pytest.raises(DeploymentError, match=r"leaky_response.*in mV.*in V"):
        check_wiring(bench, wiring)


def test_every_play_carries_the_seed_of_its_inputs(demo_station: Path, tmp_path: Path) -> None:
    inputs = np.zeros((1, 30, 1))
    with Bench.open(demo_station) as bench:
        run(play_network(bench, a_wiring(), inputs, folder=tmp_path, key="k", title="T", seed=17))
    assert open_recording(tmp_path / "layer0-play0.h5").provenance["seed"] == 17


def test_without_a_read_out_training_examples_are_needed(demo_station: Path, tmp_path: Path) -> None:
    heldout = Narma10().sample(2, 40, np.random.default_rng(0))
    with Bench.open(demo_station) as bench, pytest.raises(DeploymentError, match="read-out"):
        run(
            deploy(
                bench,
                a_wiring(),
                clearance=CLEARANCE,
                metric="nrmse",
                heldout=heldout,
                folder=tmp_path,
                key="k",
                title="T",
            )
        )


def test_a_device_that_was_not_cleared_is_not_played(demo_station: Path, tmp_path: Path) -> None:
    heldout = Narma10().sample(2, 40, np.random.default_rng(0))
    only_leaky = clear(("leaky",), {}, override="a test")
    with Bench.open(demo_station) as bench:
        with pytest.raises(GatesNotPassed, match="duffing"):
            run(
                deploy(
                    bench,
                    a_wiring(),
                    clearance=only_leaky,
                    metric="nrmse",
                    heldout=heldout,
                    training=heldout,
                    folder=tmp_path,
                    key="k",
                    title="T",
                )
            )
        assert bench.device_seconds == 0.0


def test_deploy_measures_with_its_own_and_with_a_refitted_read_out(demo_station: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    events: list[Event] = []
    training, heldout = Narma10().sample(6, 60, rng), Narma10().sample(3, 60, rng)
    with Bench.open(demo_station) as bench:
        measured = run(
            deploy(
                bench,
                a_wiring(),
                clearance=CLEARANCE,
                metric="nrmse",
                heldout=heldout,
                training=training,
                conditions={"duffing_bias": 0.05},
                n_repeats=2,
                folder=tmp_path,
                key="k",
                title="T",
            ),
            on_event=events.append,
        )
        assert bench.get("duffing_bias") == pytest.approx(0.05, abs=1e-3)
    assert measured.outputs.shape == (2, 3, 60, 1)
    assert len(measured.scores) == len(measured.refitted_scores) == 2
    assert measured.figures()["refitted"] == pytest.approx(measured.mean)  # it had no read-out of its own
    assert 0.0 < measured.mean < 1.2
    assert measured.device_seconds > 0.0
    told = [event.message for event in events if isinstance(event, Warned)]
    assert any("made by hand" in message for message in told)
    assert (
        open_recording(tmp_path / "layer0-play0.h5").provenance["extra"]["clearance"]["override"] == CLEARANCE.override
    )


def test_a_condition_beyond_its_limits_is_refused(demo_station: Path, tmp_path: Path) -> None:
    heldout = Narma10().sample(2, 40, np.random.default_rng(0))
    with Bench.open(demo_station) as bench, pytest.raises(OutOfLimits, match="duffing_bias"):
        run(
            deploy(
                bench,
                a_wiring(),
                clearance=CLEARANCE,
                metric="nrmse",
                heldout=heldout,
                training=heldout,
                conditions={"duffing_bias": 1.0},
                folder=tmp_path,
                key="k",
                title="T",
            )
        )
