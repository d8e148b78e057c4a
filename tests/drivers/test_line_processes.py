"""Instruments in a process of their own that hangs, comes back, and dies; and a serial port behind a terminal server."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.errors import LineLost, LineTimeout
from drivers.transport import open_line


@pytest.fixture
def bench():
    """A simulated bench that a test may stop and kill."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sim_devices", "sim_devices/benches/demo.toml", "--exit-with-parent"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    announced = json.loads(process.stdout.readline())
    addresses = {name: instrument["address"] for name, instrument in announced["instruments"].items()}
    # Linux gives a pty's number away when nobody has either end open: a dead bench's would go to that of another test.
    port = os.open(addresses["smu"].removeprefix("ASRL").split("::")[0], os.O_RDWR | os.O_NOCTTY)
    yield process, addresses
    os.close(port)
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


@pytest.mark.parametrize("name", ["awg", "smu"])
def test_a_process_that_hangs_times_out_and_is_in_step_again_when_it_goes_on(bench, name):
    process, addresses = bench
    line = open_line(addresses[name], timeout_s=0.5)
    question = {"awg": "SOUR1:FUNC?", "smu": ":SOUR:FUNC?"}[name]
    expected = line.query(question)
    os.kill(process.pid, signal.SIGSTOP)
    for _ in range(2):
        with pytest.raises(LineTimeout):
            line.query(question)
    os.kill(process.pid, signal.SIGCONT)
    line.timeout_s = 5.0  # whatever was queued while it hung is answered first
    assert [line.query(question) for _ in range(20)] == [expected] * 20
    line.close()


@pytest.mark.parametrize("name", ["awg", "smu"])
def test_a_process_that_dies_is_lost(bench, name):
    process, addresses = bench
    line = open_line(addresses[name], timeout_s=0.5, reconnect_s=0.2)
    process.kill()
    process.wait()
    with pytest.raises(LineLost, match="not reachable again"):
        line.query("*IDN?")
    line.close()


def test_a_serial_port_behind_a_terminal_server(tcp_instrument):
    instrument = tcp_instrument(lambda command: command if command.endswith("?") and command != "*IDN?" else None)
    line = open_line(f"ASRLsocket://127.0.0.1:{instrument.port}::INSTR", timeout_s=1.0, reconnect_s=0.3)
    assert line.query("A?") == "A?"
    instrument.kill_connections()
    assert line.query("B?") == "B?"
    line.close()


@pytest.mark.parametrize(
    ("address", "options", "says"),
    [
        ("ASRL/dev/ttyX::INSTR", {"parity": "maybe"}, "parity.*none, even, odd"),
        ("ASRL/dev/ttyX::INSTR", {"baudrate": 9600}, "baudrate"),
        ("ASRL/dev/ttyX::INSTR", {"read_termination": ""}, "read_termination"),
        ("TCPIP::127.0.0.1::1::SOCKET", {"baud_rate": 9600}, "only serial"),
        ("TCPIP::127.0.0.1::1::SOCKET", {"timeout_s": 0}, "timeout_s"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_opening(address, options, says):
    with pytest.raises(ValueError, match=says):
        open_line(address, **options)
