"""The command line where something is wrong: what it does all the same, what it says, and its exit code."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labctl.bench import Bench
from labctl.cli import main
from labctl.errors import InstrumentFault, SafetyError
from labctl.safety import SafeReport
from labctl.simulation import SimulatedBench, write_demo_station
from labctl.store import open_recording

QUICK = ["--trials", "6", "--samples", "120", "--inputs", "2", "--repeats", "4"]


def unplug(station: Path, address: str) -> None:
    """Put an address there that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    station.write_text(station.read_text().replace(address, f"TCPIP::127.0.0.1::{port}::SOCKET"))


def test_safe_acts_on_what_answers_and_lists_the_rest(
    shared_sim: SimulatedBench, demo_station: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bench.open(demo_station) as bench:
        bench.set("duffing_bias", 0.1)
        bench.safe_states.disarm()  # as kill -9 leaves it
    unplug(demo_station, shared_sim.addresses["awg"])
    assert main(["safe", str(demo_station)]) == 1
    told = capsys.readouterr().out
    assert "SIMULATED" in told
    assert "duffing_bias: safe, 0 V read back" in told
    assert "leaky_drive: NOT SAFE" in told
    assert "Connection refused" in told


def test_safe_without_an_instrument_that_drives_nothing_makes_all_outputs_safe_and_still_ends_with_1(
    shared_sim: SimulatedBench, demo_station: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unplug(demo_station, shared_sim.addresses["digitiser"])
    assert main(["safe", str(demo_station)]) == 1
    told = capsys.readouterr().out
    assert "all outputs safe" in told
    assert "drives no output: digitiser" in told


def test_record_tells_its_files_also_where_an_output_does_not_end_safe(
    demo_station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SafeReport, "ok", property(lambda self: False))
    out = tmp_path / "out"
    assert main(["record", str(demo_station), "--device", "leaky", "--out", str(out), *QUICK]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [str(out / "leaky-training.h5"), str(out / "leaky-heldout.h5")]
    assert "SIMULATED" in told.err
    assert "error: OUTPUTS NOT KNOWN TO BE SAFE" in told.err


def test_what_went_wrong_is_told_beside_outputs_that_are_not_safe(
    demo_station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SafeReport, "ok", property(lambda self: False))
    with pytest.raises(SafetyError, match=r"(?s)the coolant ran out.*OUTPUTS NOT KNOWN TO BE SAFE") as caught:  # noqa: SIM117
        with Bench.open(demo_station) as bench:
            bench.set("duffing_bias", 0.01)
            raise InstrumentFault("the coolant ran out")
    assert isinstance(caught.value.__cause__, InstrumentFault)


def test_a_make_safe_that_failed_just_now_is_not_repeated_unless_something_was_written_since(
    demo_station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SafeReport, "ok", property(lambda self: False))
    for write_again, times in ((False, 1), (True, 2)):
        with pytest.raises(SafetyError):  # noqa: SIM117
            with Bench.open(demo_station) as bench:
                bench.set("duffing_bias", 0.01)
                bench.make_safe()
                if write_again:
                    bench.set("duffing_bias", 0.02)
        assert bench.safe_states.epoch == times


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_stop_tells_outputs_and_file_and_the_exit_code_its_signal(
    shared_sim: SimulatedBench, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    station, out = write_demo_station(shared_sim, tmp_path / "station.toml"), tmp_path / "out"
    arguments = ["record", str(station), "--device", "leaky", "--trials", "20000", "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-m", "labctl.cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        journal = out / "journal.jsonl"
        for _ in range(600):
            if journal.exists() and '"Progress"' in journal.read_text():
                break
            time.sleep(0.05)
        process.send_signal(number)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert f"stopped by {number.name}" in told
    assert f"readable in {out / 'leaky-training.h5'}; all outputs are safe" in told
    last = json.loads(journal.read_text().splitlines()[-1])
    assert (last["event"], last["error"]) == ("Failed", "Stopped")
    assert "all outputs are safe" in last["message"]
    assert not open_recording(out / "leaky-training.h5").complete


@pytest.mark.parametrize(
    "arguments",
    [
        ["record", "s.toml", "--device", "leaky", "--out", "o", "--trials", "-3"],
        ["record", "s.toml", "--device", "leaky", "--out", "o", "--seed", "-1"],
        ["record", "s.toml", "--device", "leaky", "--out", "o", "--samples", "many"],
        ["deploy", "s.toml", "network", "--out", "o", "--repeats", "0"],
        ["demo", "--out", "o", "--seed", "-1"],
    ],
)
def test_numbers_out_of_range_are_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "argument --" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["", "sub"])
def test_a_file_as_out_folder_is_refused_before_anything_is_opened(
    below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    out = str(tmp_path / "file" / below)
    for arguments in (["record", "none.toml", "--device", "leaky", "--out", out], ["demo", "--out", out]):
        assert main(arguments) == 1
        assert "is a file" in capsys.readouterr().err


def test_a_second_recording_into_the_same_folder_is_refused_before_anything_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "leaky-heldout.h5").touch()
    assert main(["record", "none.toml", "--device", "leaky", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert f"{tmp_path / 'leaky-heldout.h5'} exists already" in told
    assert "another --out" in told


def test_a_station_file_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["sim", "--station", str(tmp_path / "file" / "sub" / "station.toml")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'file' / 'sub'}: Not a directory\n"


def test_a_reader_that_wants_no_more_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "labctl.cli", "runs", str(tmp_path)],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
