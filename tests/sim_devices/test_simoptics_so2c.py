"""The simulated camera and pump: what they refuse, what a frame holds, light, noise and drift."""

import struct
import zlib

import numpy as np
import pytest

from sim_devices.bench_file import parse_bench
from sim_devices.instruments.camera_optics import Lamp, Optics
from sim_devices.running import BenchThread

QUIET = {"shot_noise": False, "read_noise": 0.0, "monitor_noise": 0.0}


def tables(**optics):
    return {
        "name": "cell",
        "seed": 4,
        "devices": {"cell": {"kind": "gray_scott", "rows": 32, "columns": 48, "initial": "uniform"}},
        "instruments": {
            "pump": {"model": "simfluidics_sf2", "outputs": {"1": "cell.feed", "2": "cell.kill"}},
            "camera": {
                "model": "simoptics_so2c", "sees": "cell", "optics": {**QUIET, **optics}, "faults": {"runtime": True},
            },
        },
    }  # fmt: skip


@pytest.fixture
def begin(client):
    running = []

    def start(**optics):
        bench = BenchThread(parse_bench(tables(**optics)))
        running.append(bench.__enter__())
        return client(bench.addresses["camera"]), client(bench.addresses["pump"])

    yield start
    for bench in running:
        bench.__exit__(None, None, None)


def frame(camera, index, *, order=">"):
    """Header fields and counts (plane, row, column)."""
    block = camera.query_block(f"FRAM:DATA? {index}")
    fields = struct.unpack_from(order + "4sHHIIHHHHIdddI", block)
    magic, length, flags, acquisition, number, planes, rows, columns = fields[:8]
    saturated, at_s, _, light, check = fields[9:]
    assert (magic, length, number) == (b"SO2C", 56, index)
    assert check == zlib.crc32(block[56:])
    counts = np.frombuffer(block[56:], order + "u2").reshape(planes, rows, columns)
    return {"flags": flags, "acquisition": acquisition, "saturated": saturated, "at_s": at_s, "light": light}, counts


def take(camera, *commands):
    camera.write(*commands, "ARM", "*TRG")
    assert camera.query("*OPC?") == "1"
    assert camera.errors() == []


def codes(client):
    return [int(error.split(",")[0]) for error in client.errors()]


def test_counts_are_what_light_exposure_and_gain_make_of_the_concentrations(begin):
    camera, pump = begin()
    assert pump.query("*IDN?").split(",")[2].startswith("SIM-")
    take(camera, "ACQ:COUN 2", "ACQ:INT 10", "ACQ:EXP 0.01")
    _, counts = frame(camera, 0)
    assert counts.shape == (2, 32, 48)
    assert set(np.unique(counts)) == {round(100 + 0.3 * 5e5 * 0.01 * 0.55)}
    take(camera, "FORM:BORD SWAP", "IMAG:PLAN (@2)", "IMAG:REG 4,8,16,8", "IMAG:BINN 2", "LIGH OFF")
    header, dark = frame(camera, 1, order="<")
    assert dark.shape == (1, 4, 8)
    assert (dark == 100).all()
    assert header["light"] == 0.0
    assert header["at_s"] == 10.0


def test_the_cell_moves_on_in_virtual_time_with_what_the_pump_delivers(begin):
    camera, pump = begin()
    pump.write("PUMP1:RATE 0.05", "PUMP1 ON", "PUMP2:RATE 0.06", "PUMP2 ON")
    assert pump.errors() == []
    take(camera, "ACQ:COUN 3", "ACQ:INT 100")
    u, v = 0.5, 0.5
    for index in range(3):
        _, counts = frame(camera, index)
        np.testing.assert_allclose((counts - 100.0).mean(axis=(1, 2)) / 3000 - 0.05, (u, v), atol=3e-4)
        for _ in range(100):
            rate = u * v * v
            u, v = u - rate + 0.05 * (1 - u), v + rate - 0.11 * v


def test_an_injection_begins_anew_and_the_same_seed_gives_the_same_frames(begin):
    camera, pump = begin(shot_noise=True)
    seen = []
    for seed in (5, 6, 5):
        pump.write(f"INJ BLOC,{seed}")
        assert pump.query("*OPC?") == "1"
        take(camera, "ACQ:COUN 1")
        seen.append(frame(camera, 0)[1].astype(float))
    apart = [np.abs(seen[0] - other).mean() for other in seen[1:]]
    assert apart[1] < 40 < apart[0]  # shot noise is another one in each acquisition


def test_saturation_lost_and_late_frames_are_flagged(begin):
    camera, _ = begin()
    camera.write("SIM:FAUL lost_frame,2", "SIM:FAUL late_frame,3")
    take(camera, "ACQ:COUN 3", "ACQ:EXP 0.1", "ACQ:INT 4")
    headers = [frame(camera, index) for index in range(3)]
    assert [header["flags"] for header, _ in headers] == [2, 1, 6]
    assert headers[0][0]["saturated"] == headers[0][1].size
    assert (headers[0][1] == 4095).all()
    assert headers[1][1].size == 0
    assert [header["at_s"] for header, _ in headers] == [0.0, 4.0, 10.0]


def test_what_does_not_go_together_is_refused(begin):
    camera, pump = begin()
    camera.write("*TRG", "ACQ:EXP 2", "ACQ:INT 1", "ARM", "IMAG:BINN 3", "IMAG:REG 40,0,16,8", "IMAG:PLAN (@3)")
    assert codes(camera) == [-211, -221, -222, -222, -222]
    camera.write(
        "ACQ:EXP 0.1", "IMAG:REG 1,0,16,8", "IMAG:BINN 2", "ARM", "IMAG:BINN 1", "ACQ:COUN 100000", "IMAG:REG 0,0,48,32"
    )
    camera.write("ARM", "ACQ:COUN 2", "ARM", "ACQ:COUN 3", "FRAM:DATA? 0")
    assert codes(camera) == [-221, -221, -221, -230]
    camera.write("ABOR", "ACQ:COUN 3")
    pump.write("INJ BLOC,-1", "INJ ROSE,1", "PUMP1:RATE 0.3", "PUMP3:RATE 0.1")
    assert (codes(camera), codes(pump)) == ([], [-222, -224, -222, -114])


def test_shot_noise_vignetting_and_drift_are_as_large_as_they_say():
    optics = Optics(vignetting=0.4, drift=0.05, drift_time_s=100.0, monitor_noise=0.0, read_noise=0.0)
    generator = np.random.default_rng(0)
    light = optics.field(64, 64)
    assert light[31:33, 31:33].min() > 0.999
    assert light[0, 0] == pytest.approx(0.6, abs=0.02)
    counts, saturated = optics.counts(
        np.full((1, 400, 400), 0.95), exposure_s=0.01, light=np.ones((1, 400, 400)), binning=1, generator=generator
    )
    assert saturated == 0
    assert counts.mean() == pytest.approx(100 + 0.3 * 5000, rel=1e-3)
    assert counts.std() == pytest.approx(0.3 * np.sqrt(5000), rel=0.02)
    lamp = Lamp(optics, generator)
    log = np.log([lamp.after(10.0)[0] for _ in range(20_000)])
    assert log.std() == pytest.approx(0.05, rel=0.1)
    assert np.corrcoef(log[1:], log[:-1])[0, 1] == pytest.approx(np.exp(-0.1), abs=0.02)
