"""The bench on a simulated station: real sockets, a real pty."""

import itertools
import os
import pty
import threading
import time
import tty
from pathlib import Path

import numpy as np
import pytest
import xarray

from labctl.bench import Bench
from labctl.designs import combine, random_steps
from labctl.errors import (
    ExcitationError,
    MadeSafe,
    OutOfLimits,
    SafetyError,
    StationError,
)
from labctl.excitation import Excitation, repeats
from labctl.plant import Plant, collect
from labctl.simulation import SimulatedBench
from labctl.store import RecordingStore, open_recording

DT_S = 2e-4


def steps(channel: str = "leaky_drive", n_trials: int = 4, n_samples: int = 60, seed: int = 0) -> Excitation:
    return random_steps(
        channel,
        low=-1.0,
        high=1.0,
        hold_s=[1e-3, 2e-3],
        duration_s=n_samples * DT_S,
        n_trials=n_trials,
        dt_s=DT_S,
        generator=np.random.default_rng(seed),
    )


def changed(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_opening_identifies_everything_and_writes_to_no_output(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        assert {name: identity.simulated for name, identity in bench.identities.items()} == {
            "awg": True,
            "digitiser": True,
            "smu": True,
        }
        assert bench.simulated
        assert isinstance(bench, Plant)
        assert not bench.safe_states.armed
    assert bench.safe_report is None


def test_a_set_point_is_ramped_read_back_and_safe_in_the_end(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        bench.set("duffing_bias", 0.04)
        assert bench.get("duffing_bias") == pytest.approx(0.04, abs=1e-5)
        with pytest.raises(
            OutOfLimits, match=rf"duffing_bias: 0\.3 V is outside -0\.2\.\.0\.2 V \({demo_station}:\d+\)"
        ):
            bench.set("duffing_bias", 0.3)
        assert bench.get("duffing_bias") == pytest.approx(0.04, abs=1e-5)
    report = bench.safe_report
    assert report is not None
    assert report.ok
    assert {outcome.channel: outcome.read_back for outcome in report.channels} == {
        "leaky_drive": 0.0,
        "duffing_drive": 0.0,
        "duffing_bias": 0.0,
    }


def test_a_recording_streams_to_disk_and_comes_back(demo_station: Path, tmp_path: Path) -> None:
    excitation = repeats(steps(), 2)
    with Bench.open(demo_station) as bench:
        blocks = bench.respond(excitation, store=tmp_path / "leaky.h5", seed=3, label="test", max_play_s=0.05)
        received: list[tuple[int, int, int]] = []
        while True:
            try:
                block = next(blocks)
            except StopIteration as finished:
                recording = finished.value
                break
            received.append((block.trial, block.start, len(block)))
            assert block.drive.shape == block.response.shape == (len(block), 1)
        seconds = bench.device_seconds
    n_samples = recording.n_prepare + excitation.n_samples
    assert sum(count for _, _, count in received) == 8 * n_samples
    assert [trial for trial, start, _ in received if start == 0] == list(range(8))
    assert recording.complete
    assert recording.simulated
    assert seconds >= recording.device_seconds > 8 * n_samples * DT_S * 0.999
    stored = open_recording(tmp_path / "leaky.h5")
    np.testing.assert_array_equal(stored.response, recording.response)
    np.testing.assert_array_equal(stored.drive[:, stored.n_prepare :], excitation.drive)
    assert stored.input_id.tolist() == [0, 1, 2, 3] * 2
    provenance = stored.provenance
    assert provenance["seed"] == 3
    assert provenance["station"]["text"] == demo_station.read_text()
    assert "SIM-33522B-001" in provenance["identities"]["awg"]
    assert provenance["settings"]["awg"]
    assert provenance["settings"]["digitiser"]["sample_rate_Hz"].startswith("5000")
    assert provenance["extra"]["label"] == "test"
    with xarray.open_dataset(tmp_path / "leaky.h5") as data:
        assert data["response"].dims == ("trial", "time", "response_channel")


def test_the_response_is_the_devices_and_aligned_with_the_drive(demo_station: Path) -> None:
    """Leaky integrator, tau = 1 ms: x[k+1] = x[k] + (tanh u[k] - x[k]) (1 - exp(-dt/tau)), within its noise."""
    with Bench.open(demo_station) as bench:
        recording = collect(bench.respond(steps(n_trials=30)))
    x, u = recording.response[:, :, 0], recording.drive[:, :, 0]
    predicted = x[:, :-1] + (np.tanh(u[:, :-1]) - x[:, :-1]) * (1 - np.exp(-DT_S / 1e-3))
    error = np.sqrt(np.mean((x[:, 1:] - predicted) ** 2))
    late = x[:, :-1] + (np.tanh(u[:, 1:]) - x[:, :-1]) * (1 - np.exp(-DT_S / 1e-3))
    assert error < 0.03
    assert error < 0.5 * np.sqrt(np.mean((x[:, 1:] - late) ** 2))
    assert recording.drive[0, 1, 0] == 1.0  # the pulse of the preparation
    assert abs(x[:, recording.n_prepare].mean()) < 0.05


def test_the_preparation_puts_the_double_well_into_the_same_well_every_time(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        bench.set("duffing_bias", 0.05)
        recording = collect(bench.respond(steps("duffing_drive", n_trials=200)))
    prepared = recording.response[:, recording.n_prepare, 0]
    assert prepared.min() > 0.7
    assert prepared.std() < 0.08


def test_two_devices_are_played_at_the_same_time(demo_station: Path) -> None:
    both = combine(steps(), steps("duffing_drive", seed=1))
    with Bench.open(demo_station) as bench:
        bench.set("duffing_bias", 0.02)
        assert bench.response_channels(both.channels) == ("leaky_response", "duffing_response")
        recording = collect(bench.respond(both))
    assert recording.response_names == ("leaky_response", "duffing_response")
    assert recording.conditions == {"duffing_bias": pytest.approx(0.02, abs=1e-5)}
    assert np.isfinite(recording.response).all()


def test_traces_of_a_recording_are_what_twins_learn_from(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        traces = collect(bench.respond(steps())).traces()
    assert traces.drive_names == ("leaky_drive",)
    assert traces.n_prepare > 0
    assert traces.drive.shape == traces.response.shape


def test_a_wrong_drive_is_refused_at_once_and_nothing_is_sent(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        with pytest.raises(OutOfLimits, match="leaky_drive: 3 V"):
            bench.respond(Excitation.from_channels({"leaky_drive": [[0.0, 3.0, 0.0]]}, dt_s=DT_S))
        with pytest.raises(ExcitationError, match="mode 'fast' is unknown"):
            bench.respond(steps(), mode="fast")  # type: ignore[arg-type]
        assert not bench.safe_states.armed


def test_closing_the_generator_stops_the_play_and_keeps_what_was_measured(demo_station: Path, tmp_path: Path) -> None:
    with Bench.open(demo_station) as bench:
        bench.set("duffing_bias", 0.05)
        blocks = bench.respond(steps(n_trials=400), store=tmp_path / "a.h5", max_play_s=0.1)
        for _ in range(3):
            next(blocks)
        blocks.close()
        assert bench.get("duffing_bias") == pytest.approx(0.05, abs=1e-5)
        assert bench.get("leaky_drive") == 0.0
        recording = open_recording(tmp_path / "a.h5")
        assert not recording.complete
        assert recording.whole_trials.size >= 3
        assert recording.notes[-1] == "stopped before its end"
        assert collect(bench.respond(steps())).complete


def test_an_exception_in_the_consumer_makes_safe_before_the_file_is_closed(demo_station: Path, tmp_path: Path) -> None:
    with Bench.open(demo_station) as bench:
        bench.set("duffing_bias", 0.05)

        def consume() -> None:
            blocks = bench.respond(steps(n_trials=400), store=tmp_path / "a.h5", max_play_s=0.1)
            try:
                for _ in blocks:
                    raise RuntimeError("mine")
            finally:
                blocks.close()

        with pytest.raises(RuntimeError, match="mine"):
            consume()
        assert bench.safe_report is not None
        assert bench.safe_report.ok
        assert bench.get("duffing_bias") == 0.0
    assert open_recording(tmp_path / "a.h5").whole_trials.size >= 1


def test_all_outputs_safe_from_another_thread_ends_the_recording(demo_station: Path, tmp_path: Path) -> None:
    with Bench.open(demo_station) as bench:
        blocks = bench.respond(steps(n_trials=2000), store=tmp_path / "a.h5", max_play_s=0.1)
        next(blocks)
        reports = []
        button = threading.Thread(target=lambda: reports.append(bench.make_safe()))
        button.start()
        with pytest.raises(MadeSafe, match="samples were measured and are readable in"):
            collect(blocks)
        button.join()
        assert reports[0].ok
        assert open_recording(tmp_path / "a.h5").whole_trials.size >= 1
        assert collect(bench.respond(steps())).complete


def test_only_one_recording_at_a_time(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        first = bench.respond(steps(n_trials=50), max_play_s=0.1)
        next(first)
        with pytest.raises(SafetyError, match="recording already"):
            next(bench.respond(steps()))
        with pytest.raises(SafetyError, match="playing"):
            bench.set("leaky_drive", 0.1)
        collect(first)


def test_a_condition_cannot_be_changed_during_a_recording_that_lists_it(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        bench.set("duffing_bias", 0.05)
        blocks = bench.respond(steps("duffing_drive", n_trials=400), max_play_s=0.1, label="first look")
        next(blocks)
        with pytest.raises(SafetyError, match="duffing_bias: is a condition of the recording 'first look' of duffing"):
            bench.set("duffing_bias", 0.1)
        assert bench.get("duffing_bias") == pytest.approx(0.05, abs=1e-5)
        blocks.close()
        bench.set("duffing_bias", 0.1)
        other = bench.respond(steps(n_trials=50), max_play_s=0.1)
        next(other)
        bench.set("duffing_bias", 0.0)  # no condition of the leaky integrator
        assert collect(other).complete


def test_a_stepped_recording_sets_and_reads_in_real_time(demo_station: Path, tmp_path: Path) -> None:
    changed(
        demo_station,
        "time_constant_s = 1e-3\nsample_rate_Hz = 5000.0\npreparation = { pulse = { leaky_drive = 1.0 }, pulse_s = 2e-3 }",
        "time_constant_s = 0.02\nsample_rate_Hz = 50.0\npreparation = { pulse = { leaky_drive = 1.0 }, pulse_s = 0.06 }",
    )
    excitation = Excitation.from_channels({"leaky_drive": [[0.5] * 5 + [-0.5] * 5]}, dt_s=0.02)
    with Bench.open(demo_station) as bench:
        recording = collect(bench.respond(excitation, store=tmp_path / "a.h5", mode="stepped"))
        assert bench.get("leaky_drive") == 0.0
    drive, response = recording.scored()
    assert recording.complete
    np.testing.assert_array_equal(drive[0, :, 0], excitation.drive[0, :, 0])
    assert response[0, 3:6, 0].mean() == pytest.approx(np.tanh(0.5), abs=0.15)
    assert response[0, 8:, 0].mean() == pytest.approx(-np.tanh(0.5), abs=0.15)


def test_a_stepped_recording_that_lags_does_not_catch_up_faster_than_the_ramp(
    demo_station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(
        demo_station, "time_constant_s = 1e-3\nsample_rate_Hz = 5000.0", "time_constant_s = 0.02\nsample_rate_Hz = 50.0"
    )
    changed(demo_station, "preparation = { pulse = { leaky_drive = 1.0 }, pulse_s = 2e-3 }", "")
    up = np.linspace(0.0, 0.5, 11)[1:]
    excitation = Excitation.from_channels({"leaky_drive": [[*up, *up[::-1]], [*up, *up[::-1]]]}, dt_s=0.02)
    sent: list[tuple[float, float]] = []
    with Bench.open(demo_station) as bench:
        output, sense = bench._outputs["leaky_drive"], bench._inputs["leaky_response"]
        monkeypatch.setattr(output, "_step_per_s", 5.0)  # 0.05 V in 10 ms, no more
        read, set_value, reads = sense.read, output.set_point.set_value, itertools.count()

        def read_with_stalls() -> float:
            if next(reads) % 7 == 3:
                time.sleep(0.03)
            return read()

        def note(value: float) -> None:
            sent.append((time.monotonic(), value))
            set_value(value)

        monkeypatch.setattr(sense, "read", read_with_stalls)
        monkeypatch.setattr(output.set_point, "set_value", note)
        recording = collect(bench.respond(excitation, mode="stepped", prepare=False))
        with pytest.raises(SafetyError, match="playing"):
            blocks = bench.respond(excitation, mode="stepped", prepare=False)
            next(blocks)
            try:
                bench.set("leaky_drive", 0.1)
            finally:
                blocks.close()
    assert recording.complete
    for (before_s, before), (after_s, after) in itertools.pairwise(sent[: 2 * 21]):
        assert abs(after - before) <= 5.0 * (after_s - before_s) + 0.02


def test_a_stepped_recording_that_cannot_keep_up_says_so(demo_station: Path) -> None:
    excitation = Excitation.from_channels({"leaky_drive": np.zeros((1, 3000))}, dt_s=DT_S)
    with Bench.open(demo_station) as bench, pytest.raises(Exception, match="too slow for a sampling time"):
        collect(bench.respond(excitation, mode="stepped"))


def test_recordings_of_a_store_are_named_and_indexed(demo_station: Path, tmp_path: Path) -> None:
    store = RecordingStore(tmp_path / "runs")
    with Bench.open(demo_station) as bench:
        collect(bench.respond(steps(), store=store, label="first look"))
    (entry,) = store.index.entries()
    assert "first-look" in entry.file
    assert entry.complete
    assert entry.simulated


def test_a_response_at_the_rail_of_the_digitiser_is_never_passed_over(demo_station: Path) -> None:
    changed(demo_station, "range = 2.0", "range = 0.25")
    with Bench.open(demo_station) as bench:
        recording = collect(bench.respond(steps()))
    assert "leaky_response reached its range of ±0.25 V" in recording.notes[0]


def test_a_simulated_station_must_say_so(demo_station: Path) -> None:
    changed(demo_station, "simulated = true", "simulated = false")
    with pytest.raises(StationError) as caught:
        Bench.open(demo_station)
    for name in ("awg", "digitiser", "smu"):
        assert f"{name}: the station says simulated = false, but" in str(caught.value)


def test_a_real_instrument_in_a_simulated_station_is_refused(demo_station: Path, shared_sim: SimulatedBench) -> None:
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)

    def answer() -> None:
        while True:
            try:
                asked = os.read(master, 100)
            except OSError:
                return
            if b"?" in asked:
                os.write(master, b"KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C34\n" if b"*IDN" in asked else b"0\n")

    threading.Thread(target=answer, daemon=True).start()
    changed(demo_station, shared_sim.addresses["smu"], f"ASRL{os.ttyname(slave)}::INSTR")
    changed(demo_station, 'driver = "keithley_2400"', 'driver = "scpi"')
    changed(
        demo_station,
        "baud_rate = 57600",
        'scpi = { terminals = { output = { set = "V {value}", get = "V?", limits = [-1.0, 1.0] } } }',
    )
    with pytest.raises(
        StationError, match=r"smu: the station says simulated = true, but .*1234567.* is not a simulated one"
    ):
        Bench.open(demo_station)
    os.close(slave)
    os.close(master)


def test_every_instrument_that_cannot_be_opened_is_named_at_once(
    demo_station: Path, shared_sim: SimulatedBench
) -> None:
    changed(demo_station, shared_sim.addresses["awg"], "TCPIP::127.0.0.1::1::SOCKET")
    changed(demo_station, shared_sim.addresses["smu"], "ASRL/dev/no_such_tty::INSTR")
    with pytest.raises(StationError, match=r"2 of 3 instruments") as caught:
        Bench.open(demo_station)
    assert "awg (keysight_33500b at TCPIP::127.0.0.1::1::SOCKET)" in str(caught.value)
    assert "smu (keithley_2400 at ASRL/dev/no_such_tty::INSTR)" in str(caught.value)


def test_another_serial_number_than_expected_is_refused(demo_station: Path) -> None:
    changed(demo_station, 'serial = "SIM-33522B-001"', 'serial = "SIM-33522B-002"')
    with pytest.raises(StationError, match="SIM-33522B-002"):
        Bench.open(demo_station)


def test_limits_beyond_the_instruments_own_are_refused(demo_station: Path) -> None:
    changed(demo_station, "limits = [-2.0, 2.0]", "limits = [-12.0, 12.0]")
    with pytest.raises(StationError, match=r"leaky_drive: limits -12\.\.12 V go beyond those of awg, -10\.\.10 V"):
        Bench.open(demo_station)


def test_channels_that_do_not_exist_or_cannot_do_it_are_named(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        with pytest.raises(StationError, match="no channel 'gate'; there are leaky_drive"):
            bench.set("gate", 0.0)
        with pytest.raises(StationError, match="leaky_response is a 'sense' channel of digitiser and cannot be set"):
            bench.set("leaky_response", 0.0)
        with pytest.raises(StationError, match="cannot be measured singly"):
            bench.read("leaky_drive")
        assert abs(bench.read("leaky_response")) < 0.5
