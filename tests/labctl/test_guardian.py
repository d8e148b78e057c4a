"""The guardian, with an owner that is killed: outputs are asked for over sockets of the test's own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from labctl.bench import Bench
from labctl.guardian import guarded
from labctl.simulation import SimulatedBench

OWNER = """
import sys, time
from labctl.bench import Bench
from labctl.guardian import guarded
with Bench.open(sys.argv[1]) as bench, guarded(bench, reports=sys.argv[2]) as guardian:
    for channel in sys.argv[3:]:
        bench.set(channel, 0.02)
    print(guardian.pid, flush=True)
    time.sleep(600)
"""
LONG_S = 60.0


def awg_on(sim: SimulatedBench) -> list[str]:
    host, port = sim.addresses["awg"].split("::")[1:3]
    with socket.create_connection((host, int(port)), timeout=10) as line:
        file = line.makefile("rw")
        answers = []
        for number in (1, 2):
            file.write(f"OUTP{number}?\n")
            file.flush()
            answers.append(file.readline().strip())
        return answers


def killed_owner(station: Path, reports: Path, *channels: str) -> int:
    """The pid of the guardian of an owner that set these channels and was killed by SIGKILL; the station's file is gone."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(station), str(reports), *channels], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    guardian = int(owner.stdout.readline())
    station.unlink()
    owner.send_signal(signal.SIGKILL)
    owner.wait(LONG_S)
    owner.stdout.close()
    return guardian


def wait_until_gone(pid: int) -> None:
    began = time.monotonic()
    while time.monotonic() - began < LONG_S:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    raise AssertionError(f"the guardian {pid} lives on")


def test_an_owner_that_is_killed_leaves_its_outputs_to_the_guardian(own_sim: SimulatedBench, tmp_path: Path) -> None:
    station = own_sim.write_station(tmp_path / "station.toml")
    text = station.read_text()
    guardian = killed_owner(station, tmp_path / "reports", "leaky_drive", "duffing_bias")
    wait_until_gone(guardian)
    assert awg_on(own_sim) == ["0", "0"]
    (report,) = (tmp_path / "reports").glob("*_guardian_*.txt")
    told = report.read_text()
    assert "all outputs safe" in told and "duffing_bias: safe, 0 V read back" in told
    station.write_text(text)
    with Bench.open(station) as bench:  # nothing holds the serial port any more
        assert bench.get("duffing_bias") == 0.0


def test_outputs_that_were_never_written_to_are_left_as_found(own_sim: SimulatedBench, tmp_path: Path) -> None:
    station = own_sim.write_station(tmp_path / "station.toml")
    host, port = own_sim.addresses["awg"].split("::")[1:3]
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"OUTP1 ON\nOUTP1?\n")
        assert line.makefile().readline().strip() == "1"
    wait_until_gone(killed_owner(station, tmp_path / "reports"))
    assert awg_on(own_sim) == ["1", "0"]
    assert not (tmp_path / "reports").exists()


def test_the_guardian_ends_quietly_with_its_bench(demo_station: Path, tmp_path: Path) -> None:
    with Bench.open(demo_station) as bench, guarded(bench, reports=tmp_path / "reports") as guardian:
        bench.set("leaky_drive", 0.02)
    assert guardian.wait(LONG_S) == 0
    assert not (tmp_path / "reports").exists()
