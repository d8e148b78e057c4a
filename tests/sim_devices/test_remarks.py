"""A device that is asked for more than it knows says so through the instruments that see it."""

import logging
import re

import pytest

from sim_devices.bench_file import BenchFileError, load_bench, parse_bench
from sim_devices.running import BenchThread


class Doubtful:
    """Gives back its drive, and remarks on every play above 1 V."""

    ports, observables, steps_per_s = ("drive",), ("response",), 5000.0

    def __init__(self, *, errors=True):
        self.remarks_are_errors, self.level, self.remarks, self.plays = errors, 0.0, [], 0

    def observe(self):
        return {"response": self.level}

    def begin_play(self, generator):
        self.plays += 1
        self.forget_remarks()

    def forget_remarks(self):
        self.remarks.clear()

    def take_remarks(self):
        taken, self.remarks = self.remarks, []
        return taken

    def advance(self, ports, *, step_s, generator):
        self.level = float(ports["drive"][-1])
        if ports["drive"].max() > 1.0:
            self.remarks.append("drive went beyond 1 V")
        return {"response": ports["drive"].copy()}


@pytest.fixture
def played(tables, client):
    def play(device, peak):
        spec = parse_bench(
            tables(devices={"leaky": {"kind": "leaky_integrator"}}, instruments={
                "awg": {"model": "keysight_33522b", "outputs": {"1": "leaky.drive"}},
                "digitiser": {"model": "keysight_l4532a", "inputs": {"1": "leaky.response"}, "trigger": "awg"},
            })
        )  # fmt: skip
        spec.devices["leaky"] = device
        with BenchThread(spec) as bench:
            awg, digitiser = client(bench.addresses["awg"]), client(bench.addresses["digitiser"])
            digitiser.write("CONF:ACQ:SRAT 5000", "CONF:ACQ:SCO 64", "CONF:ARM:SOUR IMM", "CONF:TRIG:SOUR EXT", "INIT")
            assert digitiser.query("STAT:OPER:COND?") == "+32"
            points = ",".join(["0", *["1"] * 30, "0"])
            awg.write(
                "OUTP1:LOAD INF", f"DATA:ARB up,{points}", "FUNC:ARB up", "FUNC:ARB:SRAT 5000", "FUNC:ARB:FILT OFF",
                f"VOLT {2 * peak}", "FUNC ARB", "BURS:MODE TRIG", "BURS:NCYC 1", "TRIG1:SOUR BUS", "BURS:STAT ON",
                "OUTP1 ON", "OUTP:SYNC:SOUR CH1", "*TRG",
            )  # fmt: skip
            assert awg.query("*OPC?") in ("1", "+1")
            assert digitiser.query("*OPC?") in ("1", "+1")
            return awg.errors(), digitiser.errors()

    return play


def test_a_remark_during_a_play_is_an_error_of_the_instrument_that_records_it(played, caplog):
    device = Doubtful()
    with caplog.at_level(logging.WARNING, "sim_devices"):
        awg, digitiser = played(device, 1.5)
    assert awg == []
    assert digitiser == ['-222,"Data out of range; leaky: drive went beyond 1 V"']
    assert "leaky: drive went beyond 1 V" in caplog.text
    assert device.plays == 1


def test_a_device_may_want_its_remarks_in_the_log_only(played, caplog):
    with caplog.at_level(logging.WARNING, "sim_devices"):
        assert played(Doubtful(errors=False), 1.5) == ([], [])
    assert "leaky: drive went beyond 1 V" in caplog.text


def test_within_what_it_knows_nothing_is_said(played, caplog):
    assert played(Doubtful(), 0.5) == ([], [])
    assert caplog.text == ""


def test_a_twin_file_that_is_missing_is_an_error_of_the_bench_file(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(
        'name = "b"\n[devices.one]\nkind = "exported_twin"\npath = "gone.exported.json"\nhold = { T = "4" }\n'
    )
    with pytest.raises(BenchFileError, match="hold must be a table of numbers"):
        load_bench(path)
    path.write_text(path.read_text().replace('"4"', "4"))
    beside = re.escape(str(tmp_path / "gone.exported.json"))
    with pytest.raises(BenchFileError, match=rf"\[devices.one\]: {beside} cannot be read"):
        load_bench(path)
