"""`python -m sim_devices`: what it prints, how it ends, and big blocks through real sockets of a process of its own."""

import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

DEMO = str(Path(__file__).parents[2] / "sim_devices" / "benches" / "demo.toml")


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], check=False, capture_output=True, text=True, timeout=60)


def test_it_announces_itself_in_one_line_of_json_and_ends_on_sigterm(spawn, tmp_path):
    port_file = tmp_path / "ports.json"
    bench = spawn(DEMO, "--port-file", str(port_file))
    announced = bench.announcement()
    assert announced["bench"] == "demo bench"
    assert announced["simulated"] is True
    assert announced["pid"] == bench.process.pid
    assert announced["instruments"]["awg"]["address"].startswith("TCPIP::127.0.0.1::")
    assert announced["instruments"]["smu"]["address"].startswith("ASRL/dev/pts/")
    assert all(",SIM-" in entry["identity"] for entry in announced["instruments"].values())
    assert json.loads(port_file.read_text()) == announced
    bench.process.send_signal(signal.SIGTERM)
    assert bench.process.wait(timeout=10) == 0
    assert bench.process.stderr.read() == ""


def test_it_ends_on_sigterm_in_the_middle_of_a_long_play(spawn, client):
    bench = spawn(DEMO)
    instruments = bench.announcement()["instruments"]
    awg, digitiser = client(instruments["awg"]["address"]), client(instruments["digitiser"]["address"])
    awg.write("FORM:BORD SWAP", "OUTP2:LOAD INF")
    awg.write_block("SOUR2:DATA:ARB:DAC long,", bytes(2_000_000))
    awg.write(
        "SOUR2:FUNC:ARB long", "SOUR2:FUNC ARB", "SOUR2:FUNC:ARB:SRAT 1000", "TRIG2:SOUR BUS",
        "SOUR2:BURS:STAT ON", "OUTP2 ON", "*TRG",
    )  # fmt: skip
    assert awg.errors() == []
    assert awg.query("STAT:OPER:COND?") == "+16"
    digitiser.query("*IDN?")
    bench.process.send_signal(signal.SIGTERM)
    assert bench.process.wait(timeout=10) == 0


def test_it_ends_with_its_parent_where_told(spawn):
    bench = spawn(DEMO, "--exit-with-parent", stdin=subprocess.PIPE)
    bench.announcement()
    bench.process.stdin.close()
    bench.process.stdin = None
    assert bench.process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), ("x = 1", "[devices.NAME]"), ("[", "not valid TOML")]
)
def test_a_bad_file_is_one_line_on_standard_error_and_exit_status_2(tmp_path, content, words):
    path = tmp_path / "bench.toml"
    if content is not None:
        path.write_text(content)
    done = run("-m", "sim_devices", str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert str(path) in done.stderr
    assert words in done.stderr


def test_a_port_that_is_taken_is_said_and_ends_it(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path = tmp_path / "bench.toml"
        path.write_text(
            'name = "x"\n[devices.d]\nkind = "duffing"\n[instruments.awg]\nmodel = "keysight_33522b"\n'
            f"port = {taken.getsockname()[1]}\n"
        )
        done = run("-m", "sim_devices", str(path))
    assert done.returncode == 2
    assert "[instruments.awg] cannot listen" in done.stderr


def test_help_says_what_it_is_for():
    done = run("-m", "sim_devices", "--help")
    assert done.returncode == 0
    for word in ("BENCH.toml", "--port-file", "--exit-with-parent", "127.0.0.1", "SIGTERM"):
        assert word in done.stdout


def test_it_needs_nothing_but_numpy():
    foreign = {"torch", "pyvisa", "serial", "pymeasure", "pydantic", "labctl", "drivers", "twins", "gui"}
    code = f"import sys, sim_devices.__main__; print({foreign} & {{name.split('.')[0] for name in sys.modules}})"
    done = run("-c", code)
    assert done.stdout.strip() == "set()"


def test_a_million_points_go_in_and_out(spawn, client):
    instruments = spawn(DEMO).announcement()["instruments"]
    awg, digitiser = client(instruments["awg"]["address"]), client(instruments["digitiser"]["address"])
    awg.write_block("SOUR1:DATA:ARB big,", np.zeros(1_000_000, ">f4").tobytes())
    assert awg.query("DATA:VOL:FREE?") == "+0"
    digitiser.write("CONF:ACQ:SRAT 20e6", "CONF:ACQ:SCO 200000", "CONF:TRIG:SOUR IMM", "INIT")
    assert digitiser.query("*OPC?") == "1"
    assert len(digitiser.query_block("FETC:WAV:VOLT? (@1,2)")) == 1_600_000


def test_many_clients_of_one_instrument_each_get_their_own_answers(spawn, client):
    address = spawn(DEMO).announcement()["instruments"]["awg"]["address"]
    wrong = []

    def ask(number):
        own = client(address)
        header = f"SOUR{number % 2 + 1}:FUNC:ARB:SRAT"
        for _ in range(300):
            if own.query(f"{header}?;:DATA:VOL:CAT?") != '+4.000000000000000E+04;"EXP_RISE"':
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
