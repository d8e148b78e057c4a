"""Sample by sample in a closed loop, through the instruments of a simulated bench: real sockets, real ptys."""

import itertools
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from drivers.transport import open_line
from labctl.bench import Bench
from labctl.bench.loop_rate import LoopRate
from labctl.cli import main
from labctl.errors import ExcitationError, InstrumentFault, LabctlError, MadeSafe, OutOfLimits, RecordingError, TooFast
from labctl.plant import collect
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station
from labctl.store import open_recording

pytestmark = pytest.mark.alone

DEVICES = ("leaky_1", "leaky_2", "leaky_3", "leaky_4")
TAU_S = np.array([0.06, 0.09, 0.13, 0.2])
WEIGHTS = np.random.default_rng(0).normal(size=(4, 4))


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatedBench]:
    with SimulatedBench.start(bundled_bench("closed_loop")) as sim:
        yield sim


@pytest.fixture
def station(sim: SimulatedBench, tmp_path: Path) -> Path:
    """With short lines, so that a fault is noticed soon, and a short rest before each trial."""
    text = bundled_station("closed_loop")
    text = re.sub(r"(time_constant_s = .*)", r"\1\npreparation = { rest_s = 0.08 }", text)
    text = re.sub(r"(driver = .*)", r"\1\nreconnect_s = 0.2", text)
    return sim.write_station(tmp_path / "station.toml", text)


def network(trial: int, sample: int, measured: np.ndarray) -> np.ndarray:
    """Four nodes that listen to each other."""
    return 0.9 * np.tanh(WEIGHTS @ measured + np.sin(sample / 3 + trial))


def outputs_of(bench: Bench) -> list[tuple[float, bool]]:
    """Level and switch of every drive, asked from the instruments; a serial line is for one process only."""
    points = [bench._outputs[f"drive_{number}"].set_point for number in (1, 2, 3, 4)]
    return [(point.read_back(), point.enabled()) for point in points]


def outputs(sim: SimulatedBench) -> list[tuple[float, bool]]:
    """The same over connections of our own, when the bench is closed."""
    found = []
    awg = open_line(sim.addresses["awg"])
    for number in ("1", "2"):
        found.append((float(awg.query(f"SOUR{number}:VOLT:OFFS?")), awg.query(f"OUTP{number}?") == "1"))
    awg.close()
    for name in ("smu_3", "smu_4"):
        smu = open_line(sim.addresses[name])
        found.append((float(smu.query(":SOUR:VOLT?")), smu.query(":OUTP?") == "1"))
        smu.close()
    return found


SAFE = [(0.0, False)] * 4


def test_the_drive_follows_from_what_was_just_measured_and_acts_on_all_devices_at_once(
    station: Path, tmp_path: Path
) -> None:
    station.write_text(station.read_text().replace("sample_rate_Hz = 25.0", "sample_rate_Hz = 10.0"))
    with Bench.open(station) as bench:
        blocks = bench.closed_loop(network, DEVICES, n_trials=2, n_samples=20, store=tmp_path / "a.h5", seed=5)
        recording = collect(blocks)
        assert [bench.get(f"drive_{n}") for n in (1, 2, 3, 4)] == pytest.approx([0.0] * 4, abs=1e-6)
    assert recording.complete
    drive, response = recording.scored()
    wanted = [[network(trial, k, response[trial, k]) for k in range(20)] for trial in range(2)]
    np.testing.assert_allclose(drive, wanted, atol=1e-12)
    assert (recording.drive[:, : recording.n_prepare] == 0.0).all()
    decay = np.exp(-0.1 / TAU_S)
    predicted = decay * response[:, :-1] + (1 - decay) * np.tanh(drive[:, :-1])
    earlier = decay * response[:, 1:-1] + (1 - decay) * np.tanh(drive[:, :-2])
    for node in range(4):  # medians: a busy machine may keep a sample or two waiting
        error = np.median(np.abs(response[:, 1:, node] - predicted[:, :, node]))
        assert error < 0.5 * np.median(np.abs(response[:, 2:, node] - earlier[:, :, node]))
    stored = open_recording(tmp_path / "a.h5")
    np.testing.assert_array_equal(stored.drive, recording.drive)
    assert stored.provenance["extra"]["closed_loop"] is True
    assert stored.provenance["seed"] == 5
    assert "samples came" in stored.notes[-1]
    assert "after the reading began" in stored.notes[-1]


def test_blocks_come_while_it_runs_preparation_first(station: Path) -> None:
    with Bench.open(station) as bench:
        seen: list[tuple[int, int, float]] = []
        blocks = bench.closed_loop(lambda *_: [0.2, -0.2], DEVICES[2:], n_trials=2, n_samples=5)
        for block in blocks:
            seen.extend((block.trial, block.start + k, float(block.drive[k, 0])) for k in range(len(block)))
    n_samples = len(seen) // 2
    assert [(trial, k) for trial, k, _ in seen] == [(trial, k) for trial in range(2) for k in range(n_samples)]
    assert [drive for _, _, drive in seen[:n_samples]] == [0.0] * (n_samples - 5) + [0.2] * 5


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (
            1.5,
            OutOfLimits,
            r"drive_2: the controller wants 1\.5 V at trial 1, sample 3, outside -1\.\.1 V .*it was not sent",
        ),
        (np.nan, OutOfLimits, r"drive_2: the controller wants nan V at trial 1, sample 3"),
        (-1.0, TooFast, r"drive_2: .*a change of 2 V in 0\.04 s, faster than ramp_per_s = 20 V/s"),
    ],
)
def test_a_drive_that_is_not_allowed_stops_the_loop_before_it_is_sent(
    station: Path, sim: SimulatedBench, tmp_path: Path, value: float, error: type[LabctlError], says: str
) -> None:
    if error is TooFast:
        station.write_text(station.read_text().replace("ramp_per_s = 50.0\n", "ramp_per_s = 20.0\n"))

    def controller(trial: int, sample: int, measured: np.ndarray) -> np.ndarray:
        usual = min(1.0, 0.5 * (sample + 1)) if error is TooFast else 0.1
        return np.array([0.1, value if (trial, sample) == (1, 3) else usual])

    sent: list[float] = []
    with Bench.open(station) as bench:
        point = bench._outputs["drive_2"].set_point
        set_value = point.set_value
        point.set_value = lambda level: (sent.append(level), set_value(level))[1]  # type: ignore[method-assign]
        with pytest.raises(error, match=says) as caught:
            collect(bench.closed_loop(controller, DEVICES[:2], n_trials=3, n_samples=8, store=tmp_path / "a.h5"))
        assert "all outputs are safe" in str(caught.value)
        assert outputs_of(bench) == SAFE
    assert value not in sent
    recording = open_recording(tmp_path / "a.h5")
    assert recording.valid_samples.tolist() == [recording.n_prepare + 8, recording.n_prepare + 3, 0]
    assert np.isnan(recording.drive[1, recording.n_prepare + 3 :]).all()


def test_what_the_controller_raises_is_raised_and_nothing_measured_is_lost(
    station: Path, sim: SimulatedBench, tmp_path: Path
) -> None:
    def controller(trial: int, sample: int, measured: np.ndarray) -> np.ndarray:
        if sample == 7:
            raise ZeroDivisionError("mine")
        return np.full(4, 0.3)

    with Bench.open(station) as bench:
        with pytest.raises(ZeroDivisionError, match="mine") as caught:
            collect(bench.closed_loop(controller, DEVICES, n_trials=2, n_samples=20, store=tmp_path / "a.h5"))
        assert outputs_of(bench) == SAFE
    assert any("all outputs are safe" in note for note in caught.value.__notes__)
    recording = open_recording(tmp_path / "a.h5")
    assert recording.valid_samples.tolist() == [recording.n_prepare + 7, 0]
    assert "ZeroDivisionError: mine" in str(recording.notes)


def test_a_controller_of_the_wrong_shape_is_told(station: Path) -> None:
    with Bench.open(station) as bench, pytest.raises(ExcitationError, match=r"shape \(3,\); expected \(4,\)"):
        collect(bench.closed_loop(lambda *_: np.zeros(3), DEVICES, n_trials=1, n_samples=5))


def test_what_cannot_be_looped_is_refused_before_anything_is_sent(station: Path) -> None:
    station.write_text(station.read_text().replace("time_constant_s = 0.2\n", "time_constant_s = 0.2\n#", 1))
    text = station.read_text()
    at = text.index("sample_rate_Hz", text.index("[devices.leaky_4]"))
    station.write_text(text[:at] + text[at:].replace("sample_rate_Hz = 25.0", "sample_rate_Hz = 20.0"))
    with Bench.open(station) as bench:
        with pytest.raises(ExcitationError, match="one sample_rate_Hz"):
            bench.closed_loop(network, DEVICES, n_trials=1, n_samples=5)
        with pytest.raises(ExcitationError, match="at least one device"):
            bench.closed_loop(network, (), n_trials=1, n_samples=5)
        with pytest.raises(ExcitationError, match="at least one trial and one sample"):
            bench.closed_loop(network, DEVICES[:2], n_trials=1, n_samples=0)
        assert not bench.safe_states.armed


def test_a_trial_that_ends_far_from_rest_goes_back_at_its_ramp(station: Path) -> None:
    text = station.read_text().replace("ramp_per_s = 50.0\n", "ramp_per_s = 5.0\n")
    station.write_text(text)
    sent: list[tuple[float, float]] = []
    with Bench.open(station) as bench:
        point = bench._outputs["drive_3"].set_point
        set_value = point.set_value

        def note(level: float) -> None:
            sent.append((time.monotonic(), level))
            set_value(level)

        point.set_value = note  # type: ignore[method-assign]
        climb = lambda trial, sample, measured: [min(1.0, 0.15 * (sample + 1))]  # noqa: E731
        recording = collect(bench.closed_loop(climb, ("leaky_3",), n_trials=2, n_samples=8))
    assert recording.complete
    assert recording.drive[0, -1, 0] == 1.0
    assert recording.drive[1, 0, 0] == 0.0
    for (before_s, before), (after_s, after) in itertools.pairwise(sent):
        assert abs(after - before) <= 5.0 * (after_s - before_s) + 0.02


def test_all_outputs_safe_from_another_thread_ends_the_loop(station: Path, sim: SimulatedBench, tmp_path: Path) -> None:
    with Bench.open(station) as bench:
        blocks = bench.closed_loop(network, DEVICES, n_trials=1, n_samples=2000, store=tmp_path / "a.h5")
        for _ in range(5):
            next(blocks)
        reports = []
        button = threading.Thread(target=lambda: reports.append(bench.make_safe()))
        button.start()
        with pytest.raises(MadeSafe, match="samples were measured and are readable in"):
            collect(blocks)
        button.join()
        assert reports[0].ok
        assert outputs_of(bench) == SAFE
    assert open_recording(tmp_path / "a.h5").valid_samples[0] >= 5


def test_closing_the_generator_stops_the_loop_at_rest(station: Path, tmp_path: Path) -> None:
    with Bench.open(station) as bench:
        blocks = bench.closed_loop(network, DEVICES, n_trials=1, n_samples=2000, store=tmp_path / "a.h5")
        for _ in range(5):
            next(blocks)
        blocks.close()
        assert [bench.get(f"drive_{n}") for n in (1, 2, 3, 4)] == pytest.approx([0.0] * 4, abs=1e-6)
    recording = open_recording(tmp_path / "a.h5")
    assert recording.valid_samples[0] >= 5
    assert np.isfinite(recording.response[0, : recording.valid_samples[0]]).all()


LOOPER = """
import sys
import numpy as np
from labctl.bench import Bench

with Bench.open(sys.argv[1]) as bench:
    devices = ("leaky_1", "leaky_2", "leaky_3", "leaky_4")
    loop = bench.closed_loop(lambda t, k, m: np.full(4, 0.5), devices, n_trials=1, n_samples=5000, store=sys.argv[2])
    for block in loop:
        sys.stdout.write(f"measured {block.start}\\n")
        sys.stdout.flush()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_loop_with_every_output_safe(
    station: Path, sim: SimulatedBench, tmp_path: Path, number: signal.Signals
) -> None:
    looper = subprocess.Popen(
        [sys.executable, "-c", LOOPER, str(station), str(tmp_path / "a.h5")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert looper.stdout is not None
    for _ in range(6):
        looper.stdout.readline()
    looper.send_signal(number)
    _, errors = looper.communicate(timeout=30)
    assert looper.returncode != 0
    assert f"stopped by {number.name}" in errors
    assert outputs(sim) == SAFE
    assert open_recording(tmp_path / "a.h5").valid_samples[0] >= 6


@pytest.mark.parametrize("pulled", ["digitiser", "awg"])
def test_an_instrument_unplugged_in_the_middle_leaves_the_others_safe_and_the_data_on_disk(
    station: Path, sim: SimulatedBench, tmp_path: Path, relay: Callable[[str], object], pulled: str
) -> None:
    cable = relay(sim.addresses[pulled])
    straight = station.read_text()
    station.write_text(straight.replace(sim.addresses[pulled], cable.address))  # type: ignore[attr-defined]
    bench = Bench.open(station)
    blocks = bench.closed_loop(network, DEVICES, n_trials=1, n_samples=2000, store=tmp_path / "a.h5")
    for _ in range(5):
        next(blocks)
    cable.pull(for_good=True)  # type: ignore[attr-defined]
    with pytest.raises(InstrumentFault, match="samples were measured and are readable in") as caught:
        collect(blocks)
    assert open_recording(tmp_path / "a.h5").valid_samples[0] >= 5
    if pulled == "digitiser":
        assert "all outputs are safe" in str(caught.value)
        bench.close()
        assert outputs(sim) == SAFE
    else:
        assert "drive_1: NOT SAFE" in str(caught.value)
        assert "drive_3: safe" in str(caught.value)
        with pytest.raises(LabctlError, match="NOT KNOWN TO BE SAFE"):
            bench.close()
        station.write_text(straight)
        with Bench.open(station) as again:
            assert again.make_safe().ok
        assert outputs(sim) == SAFE


def test_an_instrument_that_falls_silent_ends_the_loop_safely(tmp_path: Path) -> None:
    bench_text = bundled_bench("closed_loop").read_text()
    bench_file = tmp_path / "bench.toml"
    bench_file.write_text(
        bench_text.replace('serial = "SIM-2400-013"', 'serial = "SIM-2400-013"\nfaults = { hang_after = 60 }')
    )
    text = bundled_station("closed_loop").replace(
        "baud_rate = 57600", "baud_rate = 57600\ntimeout_s = 0.3\nreconnect_s = 0.2"
    )
    with SimulatedBench.start(bench_file) as sim:
        station = sim.write_station(tmp_path / "station.toml", text)
        bench = Bench.open(station)
        with pytest.raises(InstrumentFault, match=r"response_3 \(smu_3\): reading failed") as caught:
            collect(bench.closed_loop(network, DEVICES, n_trials=1, n_samples=2000, store=tmp_path / "a.h5"))
        assert "drive_4: safe" in str(caught.value)
        assert "drive_3: NOT SAFE" in str(caught.value)
        with pytest.raises(LabctlError, match="NOT KNOWN TO BE SAFE"):
            bench.close()
    assert open_recording(tmp_path / "a.h5").valid_samples[0] > 20


def test_the_rate_is_measured_with_the_drives_at_rest(station: Path, sim: SimulatedBench) -> None:
    seen: list[np.ndarray] = []
    with Bench.open(station) as bench:
        rate = bench.loop_rate(DEVICES, compute=seen.append, duration_s=0.2)
        assert outputs_of(bench) == [(0.0, True)] * 4
        assert bench.device_seconds == 0.0
    assert rate.devices == DEVICES
    assert rate.n_turns <= len(seen)
    assert all(measured.shape == (4,) for measured in seen)
    assert 0.0 < rate.median_s <= rate.p95_s <= rate.p99_s <= rate.worst_s
    assert rate.shortest_dt_s > rate.p99_s
    assert rate.read_s + rate.compute_s + rate.set_s < rate.worst_s


def test_a_loop_that_is_faster_than_its_instruments_is_refused(station: Path) -> None:
    slow = LoopRate(DEVICES, 100, 0.02, 0.03, 0.04, 0.05, 0.019, 0.0, 0.001, 0.03)
    with Bench.open(station) as bench:
        with pytest.raises(
            ExcitationError, match=r"every 0\.04 s is too fast .* 16\.7 samples a second.*sample_rate_Hz"
        ):
            bench.closed_loop(network, DEVICES, n_trials=1, n_samples=5, rate=slow)
        assert not bench.safe_states.armed


def test_the_rate_is_kept_with_the_recording(station: Path) -> None:
    quick = LoopRate(DEVICES[2:], 100, 0.002, 0.003, 0.004, 0.005, 0.0019, 0.0, 0.0001, 0.004)
    with Bench.open(station) as bench:
        loop = bench.closed_loop(lambda *_: [0.0, 0.0], DEVICES[2:], n_trials=1, n_samples=3, rate=quick)
        kept = collect(loop).provenance["extra"]["loop_rate"]
    assert kept["shortest_dt_s"] == pytest.approx(0.006)
    assert kept["median_s"] == 0.002


def test_the_command_line_tells_what_can_be_promised(
    station: Path, sim: SimulatedBench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["station", "rate", str(station), "--device", "leaky_3", "--device", "leaky_4", "--seconds", "0.2"]
    assert main([*command, "--json", str(tmp_path / "rate.json")]) == 0
    told = capsys.readouterr().out
    figures = json.loads((tmp_path / "rate.json").read_text())
    assert "SIMULATED" in told
    assert "closed loop over leaky_3, leaky_4: a turn took" in told
    assert "leaky_4: its sampling time of 40 ms" in told
    assert figures["simulated"] is True
    assert figures["fastest_Hz"] == pytest.approx(1.0 / figures["shortest_dt_s"])
    assert outputs(sim) == SAFE


def test_devices_that_are_played_from_memory_have_to_be_named(
    demo_station: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["station", "rate", str(demo_station)]) == 1
    assert "--device" in capsys.readouterr().err


def test_what_was_recorded_of_many_devices_can_be_looked_at_one_by_one(station: Path) -> None:
    with Bench.open(station) as bench:
        recording = collect(bench.closed_loop(network, DEVICES, n_trials=1, n_samples=4))
    one = recording.of_channels(["drive_3"], ["response_3"])
    assert (one.drive_names, one.response_units) == (("drive_3",), ("V",))
    np.testing.assert_array_equal(one.drive[:, :, 0], recording.drive[:, :, 2])
    np.testing.assert_array_equal(one.traces().response[:, :, 0], recording.response[:, :, 2])
    with pytest.raises(RecordingError, match=r"no channel 'gate' there; it has response_1"):
        recording.of_channels(["drive_3"], ["gate"])


def test_a_single_pause_is_caught_up_with_and_noted_but_a_controller_that_is_too_slow_ends_the_loop(
    station: Path,
) -> None:
    def pausing(trial: int, sample: int, measured: np.ndarray) -> list[float]:
        time.sleep(0.15 if sample == 4 else 0.0)
        return [0.1]

    def slow(trial: int, sample: int, measured: np.ndarray) -> list[float]:
        time.sleep(0.1)
        return [0.1]

    with Bench.open(station) as bench:
        recording = collect(bench.closed_loop(pausing, ("leaky_3",), n_trials=1, n_samples=15))
        assert recording.complete
        assert any(note.startswith("trial 0: samples came up to 1") for note in recording.notes)
        with pytest.raises(InstrumentFault, match=r"too slow for a sampling time of 0\.04 s: .* and so did those"):
            collect(bench.closed_loop(slow, ("leaky_3",), n_trials=1, n_samples=100))
