"""Each instrument by itself: seen, lost, another one in its place, got back. And one output at a time, ramped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.bench import Bench
from labctl.cli import main
from labctl.errors import InstrumentFault, OutOfLimits, RampStopped, SafetyError, StationError, UnknownState
from labctl.limit_marks import mark_of
from labctl.readings import readings_of
from labctl.simulation import SimulatedBench
from labctl.station import load_station
from labctl.station_editing import edit_station

WAIT_S = 60.0


def with_address(station: Path, instrument: str, address: str) -> Path:
    edit_station(
        station, change={f"instruments.{instrument}.address": address, f"instruments.{instrument}.reconnect_s": 0.0}
    )
    return station


NOBODY = "TCPIP::127.0.0.1::1::SOCKET"


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_one_that_is_not_there_does_not_keep_from_seeing_the_others(demo_station: Path) -> None:
    with Bench.open_available(with_address(demo_station, "digitiser", NOBODY)) as bench:
        states = bench.instrument_states()
        assert [states[name].state for name in ("awg", "digitiser", "smu")] == ["simulated", "unreachable", "simulated"]
        assert "SIM-33522B-001" in states["awg"].identity
        assert "refused" in states["digitiser"].reason
        assert "switched on" in states["digitiser"].advice
        bench.set("duffing_bias", 0.01)
        readings = readings_of(bench)
        assert readings.values["duffing_bias"] == pytest.approx(0.01, abs=1e-6)
        assert "digitiser" in readings.channel_troubles["leaky_response"]
        with pytest.raises(SafetyError, match="digitiser is not connected"):
            bench.read("leaky_response")


def test_a_station_of_which_nothing_answers_is_not_opened(demo_station: Path) -> None:
    edit_station(demo_station, remove=["instruments.smu.baud_rate"])
    for port, name in enumerate(("awg", "digitiser", "smu"), start=1):
        with_address(demo_station, name, f"TCPIP::127.0.0.1::{port}::SOCKET")
    with pytest.raises(StationError, match="3 of 3 instruments cannot be used"):
        Bench.open_available(demo_station)


def test_one_that_was_missing_is_opened_later(demo_station: Path, relay: Callable, shared_sim: SimulatedBench) -> None:
    cable = relay(shared_sim.addresses["awg"])
    cable.pull(for_good=True)
    with Bench.open_available(with_address(demo_station, "awg", cable.address)) as bench:
        assert not bench.reconnect("awg").ok
        with pytest.raises(SafetyError, match="awg is not connected"):
            bench.set("leaky_drive", 0.1)
        assert not bench.make_safe().ok
        cable.plug_in()
        status = bench.reconnect("awg")
        assert status.state == "simulated"
        assert bench.complete
        bench.set("leaky_drive", 0.1)
        assert bench.get("leaky_drive") == pytest.approx(0.1, abs=1e-3)
        assert bench.make_safe().ok


def test_a_pulled_cable_is_told_and_got_back(demo_station: Path, relay: Callable, shared_sim: SimulatedBench) -> None:
    cable = relay(shared_sim.addresses["awg"])
    with Bench.open_available(with_address(demo_station, "awg", cable.address)) as bench:
        bench.set("leaky_drive", 0.1)
        cable.pull(for_good=False)
        assert bench.identify("awg").ok  # reopened at once
        assert bench.reconnect("awg").ok
        bench.set("leaky_drive", 0.2)  # read back by reconnect, so its state is known
        bench.make_safe()
        cable.pull(for_good=True)
        status = bench.identify("awg")
        assert status.state == "unreachable"
        assert "SIM-33522B-001" in status.identity
        assert bench.identify("smu").ok


def test_another_instrument_in_the_same_place_is_named_and_not_spoken_to(
    demo_station: Path, relay: Callable, shared_sim: SimulatedBench
) -> None:
    cable = relay(shared_sim.addresses["awg"])
    with Bench.open_available(with_address(demo_station, "awg", cable.address)) as bench:
        right, cable._target = cable._target, ("127.0.0.1", int(shared_sim.addresses["digitiser"].split("::")[2]))
        cable.pull(for_good=False)
        status = bench.identify("awg")
        assert status.state == "other"
        assert "SIM-L4532A-001" in status.reason
        assert "right instrument" in status.advice
        with pytest.raises((InstrumentFault, UnknownState)):
            bench.set("leaky_drive", 0.1)
        cable._target = right
        assert bench.reconnect("awg").state == "simulated"
        bench.set("leaky_drive", 0.1)


def test_one_that_another_program_uses_or_that_is_the_wrong_one_says_so(demo_station: Path) -> None:
    edit_station(demo_station, change={"instruments.digitiser.serial": "MY-7"})
    with Bench.open_available(demo_station) as bench:
        assert bench.identify("digitiser").state == "other"
        with pytest.raises(StationError, match="in use by"):
            Bench.open_available(demo_station)
        states = {}
        edit_station(demo_station, change={"instruments.digitiser.serial": "SIM-L4532A-001"})
        with Bench.open_available(demo_station) as second:
            states = second.instrument_states()
            assert states["digitiser"].ok
            assert states["awg"].reason.startswith("in use by process")
            assert "end that one" in states["awg"].advice


def test_a_ramp_tells_how_far_it_is_and_can_be_ended(demo_station: Path) -> None:
    edit_station(demo_station, change={"channels.duffing_bias.ramp_per_s": 0.02})
    with Bench.open(demo_station) as bench:
        assert bench.ramp_time_s("duffing_bias", 0.1) == pytest.approx(5.0, rel=1e-3)
        assert bench.ramp_under_way("duffing_bias") is None
        assert not bench.stop_ramp("duffing_bias")
        raised: list[BaseException] = []

        def ramp() -> None:
            try:
                bench.set("duffing_bias", 0.1)
            except RampStopped as error:
                raised.append(error)

        thread = threading.Thread(target=ramp)
        thread.start()
        wait_for(lambda: (now := bench.ramp_under_way("duffing_bias")) is not None and now.level > 0.0)
        now = bench.ramp_under_way("duffing_bias")
        assert now is not None
        assert 0.0 < now.fraction < 1.0
        assert 0.0 < now.seconds_left < 5.0
        assert bench.stop_ramp("duffing_bias")
        level = bench.get("duffing_bias")
        thread.join(WAIT_S)
        assert bench.get("duffing_bias") == level
        assert 0.0 < level < 0.1
        assert "on its way to 0.1 V" in str(raised[0])
        assert bench.ramp_under_way("duffing_bias") is None


def test_what_would_be_refused_is_known_before(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        bench.check_set("duffing_bias", 0.1)
        with pytest.raises(OutOfLimits, match=r"-0\.2\.\.0\.2 V"):
            bench.check_set("duffing_bias", 0.3)
        assert not bench.safe_states.armed


def test_one_output_goes_to_its_safe_value_and_the_other_stays(demo_station: Path) -> None:
    with Bench.open(demo_station) as bench:
        bench.set("duffing_bias", 0.05)
        bench.set("leaky_drive", 0.5)
        assert bench.set_safe("leaky_drive") == pytest.approx(0.0, abs=1e-6)
        assert bench.get("duffing_bias") == pytest.approx(0.05, abs=1e-6)


def test_values_near_a_limit_are_marked(demo_station: Path) -> None:
    channel = load_station(demo_station).channels["duffing_bias"]
    assert mark_of(channel, 0.0) is None
    grades = [mark.grade for value in (0.19, 0.2, -0.2, 0.3) if (mark := mark_of(channel, value))]
    assert grades == ["near", "at", "at", "beyond"]
    assert "the lower limit, -0.2 V" in mark_of(channel, -0.19).words


def test_values_and_hold_in_the_terminal(demo_station: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["station", "values", str(demo_station), "--watch", "--times", "2", "--every", "0.01"]) == 0
    said = capsys.readouterr().out
    assert "SIMULATED bench" in said
    assert said.count("duffing_bias") == 2
    assert main(["station", "hold", str(demo_station), "duffing_bias=0.2", "--seconds", "0.05"]) == 0
    assert "all outputs safe" in capsys.readouterr().out
    assert main(["station", "hold", str(demo_station), "duffing_bias=0.3"]) == 1
    assert "outside -0.2..0.2 V" in capsys.readouterr().err
    assert main(["station", "hold", str(demo_station), "duffing_bias"]) == 1
    assert "CHANNEL=VALUE" in capsys.readouterr().err


def test_check_tells_of_the_one_that_is_missing_and_of_the_others(
    demo_station: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["station", "check", str(with_address(demo_station, "digitiser", NOBODY))]) == 1
    said = capsys.readouterr().out
    assert "digitiser            PROBLEM: unreachable" in said
    assert "SIM-2400" in said
    assert "duffing_bias         +0 V" in said
