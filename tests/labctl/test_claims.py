"""One owner for each instrument: a second labctl is refused, `safe` acts all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.bench import Bench
from labctl.bench.claims import claim
from labctl.errors import StationError

HOLDER = """
import sys, time
from labctl.bench.claims import claim
held = claim(sys.argv[1])
sys.stdout.write("held\\n")
sys.stdout.flush()
time.sleep(60)
"""


def test_an_address_has_one_owner_until_it_is_released() -> None:
    first = claim("TCPIP::claimed::1::SOCKET")
    with pytest.raises(StationError, match=rf"in use by process {os.getpid()} \("):
        claim("tcpip::claimed::1::socket ")
    claim("TCPIP::claimed::2::SOCKET").release()
    first.release()
    first.release()
    claim("TCPIP::claimed::1::SOCKET").release()


def test_the_death_of_a_process_releases_what_it_claimed() -> None:
    address = "TCPIP::claimed::3::SOCKET"
    with subprocess.Popen([sys.executable, "-c", HOLDER, address], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StationError, match=f"process {holder.pid}"):
            claim(address)
        holder.kill()
        holder.wait()
    claim(address).release()


def test_a_second_bench_on_the_same_instruments_is_refused_until_the_first_is_closed(demo_station: Path) -> None:
    with Bench.open(demo_station), pytest.raises(StationError, match=rf"(?s)awg.*in use by process {os.getpid()}"):
        Bench.open(demo_station)
    with Bench.open(demo_station) as bench:
        assert bench.get("duffing_bias") == 0.0


def test_safety_overrides_the_owner_and_says_so(demo_station: Path) -> None:
    with Bench.open(demo_station), Bench.open_for_safety(demo_station) as bench:
        report = bench.make_safe()
        safe = {one.channel: one for one in report.channels}
        assert safe["leaky_drive"].ok
        assert safe["duffing_drive"].ok
        assert not safe["duffing_bias"].ok  # the system lets nobody else at a serial port
        assert f"in use by process {os.getpid()}" in safe["duffing_bias"].message
        assert any(
            remark.startswith("awg: in use by process") and "acted on all the same" in remark
            for remark in bench.remarks
        )
        assert "Esc in its window" in safe["duffing_bias"].message, "what to do"
