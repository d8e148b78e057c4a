"""Faults in the middle: where the outputs end, and what is on disk. Recorders run as processes of their own."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray

from drivers.transport import open_line
from labctl import store
from labctl.bench import Bench
from labctl.errors import InstrumentFault, LabctlError, RecordingError, SafetyError
from labctl.excitation import Excitation
from labctl.plant import collect
from labctl.simulation import SimulatedBench, write_demo_station
from labctl.store import open_recording

RECORDER = """
import sys, time
import numpy as np
from labctl.bench import Bench
from labctl.excitation import Excitation

def say(text):
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()

excitation = Excitation.from_channels({"leaky_drive": np.full((20_000, 60), 0.5)}, dt_s=2e-4)
with Bench.open(sys.argv[1]) as bench:
    bench.set("duffing_bias", 0.15)
    bench.set("leaky_drive", 1.0)
    say("set")
    if sys.argv[2] == "wait":
        time.sleep(60)
    if sys.argv[2] == "ramp":
        while True:
            bench.set("duffing_bias", -0.2)
            bench.set("duffing_bias", 0.2)
    for block in bench.respond(excitation, store=sys.argv[3], max_play_s=0.05):
        if block.trial % 5 == 4:
            say(f"measured {block.trial + 1}")
"""


def start_recorder(station: Path, action: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(station), action, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def wait_for(recorder: subprocess.Popen[str], word: str) -> str:
    assert recorder.stdout is not None
    for line in recorder.stdout:
        if word in line:
            return line
    raise AssertionError(recorder.communicate()[1])


def quick(station: Path) -> Path:
    """With little patience for instruments that are gone."""
    text = station.read_text().replace('serial = "SIM-33522B-001"', 'serial = "SIM-33522B-001"\nreconnect_s = 0.2')
    for driver in ("keysight_l4532a", "keithley_2400"):
        text = text.replace(f'driver = "{driver}"', f'driver = "{driver}"\nreconnect_s = 0.2')
    station.write_text(text)
    return station


def bias(sim: SimulatedBench) -> tuple[float, bool]:
    """Level and switch of the bias, asked over a connection of our own."""
    smu = open_line(sim.addresses["smu"])
    found = (float(smu.query(":SOUR:VOLT?")), smu.query(":OUTP?") == "1")
    smu.close()
    return found


def outputs(sim: SimulatedBench) -> dict[str, tuple[float, bool]]:
    """The same for each output."""
    found = {"duffing_bias": bias(sim)}
    awg = open_line(sim.addresses["awg"])
    for number, name in (("1", "leaky_drive"), ("2", "duffing_drive")):
        assert awg.query(f"SOUR{number}:FUNC?") in ("DC", "SIN")  # SIN: never used since it was switched on
        found[name] = (float(awg.query(f"SOUR{number}:VOLT:OFFS?")), awg.query(f"OUTP{number}?") == "1")
    awg.close()
    return found


SAFE = {"leaky_drive": (0.0, False), "duffing_drive": (0.0, False), "duffing_bias": (0.0, False)}


@pytest.mark.parametrize(
    ("number", "action"),
    [
        (signal.SIGINT, "record"),
        (signal.SIGTERM, "record"),
        (signal.SIGHUP, "record"),
        (signal.SIGTERM, "wait"),
        (signal.SIGINT, "ramp"),
    ],
)
def test_a_signal_leaves_every_output_safe(
    demo_station: Path, shared_sim: SimulatedBench, tmp_path: Path, number: signal.Signals, action: str
) -> None:
    recorder = start_recorder(demo_station, action, tmp_path / "a.h5")
    wait_for(recorder, "measured" if action == "record" else "set")
    time.sleep(0.05)
    recorder.send_signal(number)
    _, errors = recorder.communicate(timeout=30)
    assert recorder.returncode != 0
    assert f"stopped by {number.name}" in errors
    assert outputs(shared_sim) == SAFE
    if action == "record":
        recording = open_recording(tmp_path / "a.h5")
        assert recording.whole_trials.size >= 5
        assert f"stopped by {number.name}" in recording.notes[-1] or "stopped before" in recording.notes[-1]


def test_impatient_ctrl_c_does_not_interrupt_the_clean_up(
    demo_station: Path, shared_sim: SimulatedBench, tmp_path: Path
) -> None:
    recorder = start_recorder(demo_station, "record", tmp_path / "a.h5")
    wait_for(recorder, "measured")
    for _ in range(3):
        recorder.send_signal(signal.SIGINT)
        time.sleep(0.03)  # making safe takes 0.15 s: the bias ramps
    recorder.communicate(timeout=30)
    assert outputs(shared_sim) == SAFE
    assert open_recording(tmp_path / "a.h5").whole_trials.size >= 5


@pytest.mark.parametrize("after_s", [0.0, 0.04, 0.1])
def test_kill_9_of_the_recorder_leaves_a_file_that_opens_with_all_that_was_told(
    own_sim: SimulatedBench, tmp_path: Path, after_s: float
) -> None:
    station = write_demo_station(own_sim, tmp_path / "station.toml")
    recorder = start_recorder(station, "record", tmp_path / "a.h5")
    first = wait_for(recorder, "measured")
    time.sleep(after_s)
    recorder.kill()
    told = [first, *(recorder.stdout or [])]
    recorder.wait()
    n_trials = int([line for line in told if line.startswith("measured") and line.endswith("\n")][-1].split()[1])
    recording = open_recording(tmp_path / "a.h5")
    assert recording.whole_trials.size >= n_trials - 1
    assert not recording.complete
    with xarray.open_dataset(tmp_path / "a.h5") as data:
        rows = data["response"].values[recording.whole_trials]
        assert np.isfinite(rows).all()
        assert data.attrs["simulated"] == 1
    with Bench.open(station) as bench:  # what SIGKILL left on, the next one makes safe
        assert bench.get("duffing_bias") == pytest.approx(0.15, abs=1e-4)
        assert bench.make_safe().ok
    assert outputs(own_sim) == SAFE


def long_excitation() -> Excitation:
    return Excitation.from_channels({"leaky_drive": np.full((20_000, 60), 0.5)}, dt_s=2e-4)


def test_killing_the_simulator_in_the_middle_keeps_what_was_measured_and_says_so(
    own_sim: SimulatedBench, tmp_path: Path
) -> None:
    station = write_demo_station(own_sim, tmp_path / "station.toml")
    bench = Bench.open(quick(station))
    blocks = bench.respond(long_excitation(), store=tmp_path / "a.h5", max_play_s=0.1)
    for _ in range(20):
        next(blocks)
    own_sim._process.kill()
    with pytest.raises(InstrumentFault, match=r"samples were measured and are readable in") as caught:
        collect(blocks)
    assert "OUTPUTS NOT KNOWN TO BE SAFE" in str(caught.value)
    for channel in ("leaky_drive", "duffing_drive", "duffing_bias"):
        assert f"{channel}: NOT SAFE" in str(caught.value)
    assert open_recording(tmp_path / "a.h5").whole_trials.size >= 20
    with pytest.raises(SafetyError, match="OUTPUTS NOT KNOWN TO BE SAFE"):
        bench.close()


@pytest.mark.parametrize("pulled", ["awg", "digitiser"])
def test_an_instrument_unplugged_in_the_middle_leaves_the_others_safe(
    shared_sim: SimulatedBench, demo_station: Path, tmp_path: Path, relay: Callable[[str], object], pulled: str
) -> None:
    cable = relay(shared_sim.addresses[pulled])
    text = demo_station.read_text()
    demo_station.write_text(text.replace(shared_sim.addresses[pulled], cable.address))  # type: ignore[attr-defined]
    bench = Bench.open(quick(demo_station))
    bench.set("duffing_bias", 0.1)
    blocks = bench.respond(long_excitation(), store=tmp_path / "a.h5", max_play_s=0.1)
    for _ in range(20):
        next(blocks)
    cable.pull(for_good=True)  # type: ignore[attr-defined]
    with pytest.raises(InstrumentFault, match="samples were measured and are readable in") as caught:
        collect(blocks)
    assert "duffing_bias" not in str(caught.value).replace("duffing_bias: safe", "")
    assert open_recording(tmp_path / "a.h5").whole_trials.size >= 20
    if pulled == "digitiser":
        assert "all outputs are safe" in str(caught.value)
        bench.close()
        assert outputs(shared_sim) == SAFE
    else:
        assert "leaky_drive: NOT SAFE" in str(caught.value)
        with pytest.raises(SafetyError):
            bench.close()
        assert bias(shared_sim) == SAFE["duffing_bias"]
        with Bench.open(_straight(demo_station, text)) as again:
            assert again.make_safe().ok


def _straight(station: Path, text: str) -> Path:
    station.write_text(text)
    return station


def test_a_connection_that_breaks_and_comes_back_is_healed_or_ends_the_recording_safely(
    shared_sim: SimulatedBench, demo_station: Path, tmp_path: Path, relay: Callable[[str], object]
) -> None:
    cable = relay(shared_sim.addresses["digitiser"])
    demo_station.write_text(
        demo_station.read_text().replace(shared_sim.addresses["digitiser"], cable.address)  # type: ignore[attr-defined]
    )
    excitation = Excitation.from_channels({"leaky_drive": np.full((300, 60), 0.5)}, dt_s=2e-4)
    with Bench.open(demo_station) as bench:
        blocks = bench.respond(excitation, store=tmp_path / "a.h5", max_play_s=0.1)
        for _ in range(20):
            next(blocks)
        cable.pull(for_good=False)  # type: ignore[attr-defined]
        try:
            recording = collect(blocks)
        except LabctlError as error:
            assert "all outputs are safe" in str(error)
            recording = open_recording(tmp_path / "a.h5")
    assert recording.whole_trials.size >= 20
    assert np.isfinite(recording.response[recording.whole_trials]).all()
    assert outputs(shared_sim) == SAFE


def test_a_first_clean_up_action_that_raises_leaves_the_other_outputs_safe(
    demo_station: Path, shared_sim: SimulatedBench
) -> None:
    bench = Bench.open(demo_station)
    bench.set("leaky_drive", 0.5)
    bench.set("duffing_bias", 0.1)
    broken = bench._outputs["leaky_drive"].set_point

    def refuse(value: float) -> None:
        raise RuntimeError("a driver with a mistake")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broken, "set_value", refuse)
        with pytest.raises(SafetyError, match=r"leaky_drive: NOT SAFE.*a driver with a mistake"):
            bench.close()
    left = outputs(shared_sim)
    assert left["duffing_bias"] == SAFE["duffing_bias"]
    assert left["leaky_drive"][0] == pytest.approx(0.5)
    with Bench.open(demo_station) as again:
        assert again.make_safe().ok
    assert outputs(shared_sim) == SAFE


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A directory on a disk of 300 kB (0: no further limit), or, without the right to mount, a limit for each file."""
    disk = tmp_path / "small"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    mounted = shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0
    yield disk, 0 if mounted else 300_000
    if mounted:
        subprocess.run(["umount", str(disk)], check=True)


FULL_DISK = """
import gc, os, resource, sys
import numpy as np
from labctl.bench import Bench
from labctl.errors import RecordingError
from labctl.excitation import Excitation

station, path, limit, action = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]

def limit_files(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

if action == "unreserved":  # a file system that promises space and then has none: HDF5 itself meets the full disk
    os.posix_fallocate = lambda *_: None
excitation = Excitation.from_channels({"leaky_drive": np.full((2000, 60), 0.5)}, dt_s=2e-4)
with Bench.open(station) as bench:
    bench.set("duffing_bias", 0.1)
    if limit:
        limit_files(limit)
    try:
        for block in bench.respond(excitation, store=path, max_play_s=0.05):
            if action == "late" and block.trial == 20:
                limit_files(os.path.getsize(path) - 400_000)
    except RecordingError as error:
        sys.stdout.write(str(error))
        if action == "uncaught":
            raise
    gc.collect()
gc.collect()
sys.exit(7)
"""


def run_on_full_disk(station: Path, path: Path, limit: int, action: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", FULL_DISK, str(station), str(path), str(limit), action]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("action", "code"), [("caught", 7), ("uncaught", 1), ("unreserved", 7)])
def test_a_full_disk_is_noticed_before_the_play_and_the_process_lives_to_make_outputs_safe(
    demo_station: Path, shared_sim: SimulatedBench, small_disk: tuple[Path, int], action: str, code: int
) -> None:
    disk, limit = small_disk
    done = run_on_full_disk(demo_station, disk / "a.h5", limit, action)
    assert done.returncode == code, done.stderr
    assert "no room for this recording of 3.1 MB" in done.stdout
    assert "nothing was played" in done.stdout
    assert not (disk / "a.h5").exists()
    assert outputs(shared_sim) == SAFE


def test_hdf5_failing_to_write_while_recording_does_not_kill_the_process_before_outputs_are_safe(
    demo_station: Path, shared_sim: SimulatedBench, tmp_path: Path
) -> None:
    done = run_on_full_disk(demo_station, tmp_path / "a.h5", 0, "late")
    assert done.returncode == 7, done.stderr
    assert "cannot be written any more (File too large)" in done.stdout
    assert "all outputs are safe" in done.stdout
    assert outputs(shared_sim) == SAFE
    recording = open_recording(tmp_path / "a.h5")
    assert recording.whole_trials.size > 20
    assert np.isfinite(recording.response[recording.whole_trials]).all()
    assert f"{recording.valid_samples.sum()} samples written before stay readable" in done.stdout
    assert "cannot be written any more" in recording.notes[-1]
    with xarray.open_dataset(tmp_path / "a.h5") as data:
        assert data.sizes["trial"] == 2000


def test_a_disk_that_fills_up_while_recording_leaves_outputs_safe_and_data_readable(
    demo_station: Path, shared_sim: SimulatedBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    original = store.RecordingWriter._write

    def full_after_a_while(self: store.RecordingWriter, blocks: object) -> None:
        if len(written) > 5:
            raise OSError(28, "No space left on device")
        written.append(1)
        original(self, blocks)  # type: ignore[arg-type]

    monkeypatch.setattr(store.RecordingWriter, "_write", full_after_a_while)
    with Bench.open(demo_station) as bench:
        bench.set("duffing_bias", 0.1)
        with pytest.raises(RecordingError, match=r"No space left on device.*all outputs are safe"):
            collect(bench.respond(long_excitation(), store=tmp_path / "a.h5", max_play_s=0.1))
        assert outputs_of(bench) == [0.0, 0.0, 0.0]
    assert open_recording(tmp_path / "a.h5").whole_trials.size > 5
    assert outputs(shared_sim) == SAFE


def outputs_of(bench: Bench) -> list[float]:
    return [bench.get(name) for name in ("leaky_drive", "duffing_drive", "duffing_bias")]
