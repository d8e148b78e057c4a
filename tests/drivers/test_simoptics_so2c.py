"""The camera: strict before a byte leaves, every frame checked, every fault on the way healed or told."""

import json
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_instruments import block

from drivers.errors import (
    BadAnswer,
    BadOptions,
    DriverError,
    InstrumentReported,
    LineTimeout,
    OutOfRange,
    UnknownTerminal,
)
from drivers.keysight_dsox1204g import KeysightDSOX1204G
from drivers.roles import Camera, Driver, Filming, Region
from drivers.simoptics_so2c import SimOpticsSO2C
from drivers.transport import open_line

BENCH = """
name = "camera bench"
seed = 2
[devices.cell]
kind = "gray_scott"
rows = 24
columns = 32
[instruments.camera]
model = "simoptics_so2c"
sees = "cell"
[instruments.camera.faults]
runtime = true
"""
SETTINGS = {"exposure_s": 0.02, "interval_s": 8.0, "n_frames": 4}


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """A simulated camera in a process of its own."""
    file = tmp_path_factory.mktemp("bench") / "camera.toml"
    file.write_text(BENCH)
    process = subprocess.Popen(
        [sys.executable, "-m", "sim_devices", str(file), "--exit-with-parent"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["instruments"]["camera"]["address"]
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


@pytest.fixture
def driver(address) -> Iterator[SimOpticsSO2C]:
    """Its driver; faults are cleared afterwards."""
    line = open_line(address, timeout_s=0.4, reconnect_s=1.0)
    line.write("*RST")
    yield SimOpticsSO2C(line, {})
    line.close()
    with socket.create_connection(("127.0.0.1", int(address.split("::")[2]))) as plain:
        plain.sendall(b"SIM:FAUL:CLE\n")  # whatever the test had it do, such as answering nothing


def filmed(driver, **changes):
    """A finished acquisition: the role, and the format of its frames."""
    camera = driver.camera()
    form = camera.configure(changes.pop("planes", ("1", "2")), **{**SETTINGS, **changes})
    camera.arm()
    camera.trigger()
    give_up_s = time.monotonic() + 5.0
    while camera.frames_ready() < changes.get("n_frames", SETTINGS["n_frames"]):
        assert time.monotonic() < give_up_s
    return camera, form


def test_frames_come_with_size_time_and_counts(driver):
    assert isinstance(driver, Driver)
    assert isinstance(driver, Filming)
    camera, form = filmed(driver)
    assert isinstance(camera, Camera)
    assert camera.sensor_size == (24, 32)
    assert (form.rows, form.columns, form.n_planes, form.full_scale, form.black_level) == (24, 32, 2, 4095, 100.0)
    frame = camera.fetch(3)
    assert frame.counts is not None
    assert (frame.counts.shape, frame.counts.dtype) == ((24, 32, 2), np.uint16)
    assert (frame.index, frame.time_s, frame.saturated, frame.late) == (3, 24.0, 0, False)
    assert frame.counts[..., 0].mean() > 2 * frame.counts[..., 1].mean()  # fresh feed holds u and no v
    np.testing.assert_array_equal(camera.fetch(3).counts, frame.counts)
    settings = driver.describe_settings()
    assert settings["interval_s"] == "8 s"
    assert settings["planes"] == "(@1,2)"


def test_a_region_a_plane_and_binning_are_obeyed(driver):
    camera, form = filmed(driver, planes=("2",), binning=2, region=Region(4, 2, 8, 12), light=False)
    assert (form.rows, form.columns, form.n_planes) == (6, 4, 1)
    counts = camera.fetch(0).counts
    assert counts is not None
    assert counts.shape == (6, 4, 1)
    assert np.abs(counts - 100.0).max() < 30


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exposure_s": 1e-6}, "exposure_s: 1e-06 s is outside"),
        ({"exposure_s": 9.0}, "longer than the interval"),
        ({"interval_s": float("nan")}, "not a finite number"),
        ({"n_frames": 0}, "n_frames: 0 frames is outside 1"),
        ({"n_frames": 90_000}, "do not fit into the camera's memory; 83333 do"),
        ({"binning": 3}, "not one of 1, 2, 4, 8"),
        ({"region": Region(30, 0, 4, 4)}, "not within the sensor of 32 x 24"),
        ({"region": Region(1, 0, 4, 4), "binning": 2}, "no multiple of 2"),
        ({"planes": ("2", "1")}, "each once, in the order"),
    ],
)
def test_what_the_camera_cannot_do_is_refused_before_a_setting_is_sent(driver, changes, said):
    asked = {**SETTINGS, **changes}
    with pytest.raises(OutOfRange, match=said):
        driver.camera().configure(asked.pop("planes", ("1", "2")), **asked)
    driver.check_errors()
    assert driver.line.query("ACQ:COUN?") == "+1"


def test_another_plane_or_role_is_refused(driver):
    with pytest.raises(UnknownTerminal, match="'3' cannot be filmed"):
        driver.camera().configure(("3",), **SETTINGS)
    with pytest.raises(UnknownTerminal, match="it offers camera"):
        driver.digitiser()
    with pytest.raises(BadOptions, match="unknown key 'bits'"):
        SimOpticsSO2C(driver.line, {"bits": 12})
    with pytest.raises(UnknownTerminal, match="cannot be filmed"):
        KeysightDSOX1204G(driver.line, {}).camera()
    with pytest.raises(DriverError, match="configure"):
        driver.camera().arm()


@pytest.mark.parametrize("fault", ["cut_after", "close_after", "half_reply_after", "flip_after", "wrong_answer_after"])
def test_a_frame_that_is_damaged_on_the_way_is_fetched_once_more(driver, fault):
    camera, _ = filmed(driver)
    whole = camera.fetch(2)
    driver.line.write(f"SIM:FAUL {fault},1")
    again = camera.fetch(2)
    np.testing.assert_array_equal(again.counts, whole.counts)
    assert camera.fetch(3).time_s == 24.0


def test_an_instrument_that_answers_no_more_is_told(driver):
    camera, _ = filmed(driver)
    driver.line.timeout_s = 0.2
    driver.line.write("SIM:FAUL hang_after,1")
    with pytest.raises(LineTimeout):
        camera.fetch(0)


def test_a_lost_frame_is_told_as_lost_and_a_late_one_as_late(driver):
    driver.line.write("SIM:FAUL lost_frame,2")
    driver.line.write("SIM:FAUL late_frame,4")
    camera, _ = filmed(driver)
    frames = [camera.fetch(index) for index in range(4)]
    assert [frame.counts is None for frame in frames] == [False, True, False, False]
    assert [(frame.late, frame.time_s) for frame in frames] == [(False, 0.0), (False, 8.0), (False, 16.0), (True, 28.0)]


def test_saturation_is_counted(driver):
    camera, _ = filmed(driver, exposure_s=0.2)
    frame = camera.fetch(0)
    assert frame.counts is not None
    assert frame.saturated == int((frame.counts == 4095).sum()) > 100


def test_frames_of_another_acquisition_are_refused(driver, address):
    camera, _ = filmed(driver)
    other = open_line(address)
    for command in ("ARM", "*TRG"):
        other.write(command)
    assert other.query("*OPC?") == "1"
    other.close()
    with pytest.raises(BadAnswer, match="armed by somebody else"):
        camera.fetch(0)


def test_a_frame_that_is_not_there_is_refused_by_the_instrument(driver):
    camera = driver.camera()
    camera.configure(("1",), **SETTINGS)
    camera.arm()
    driver.line.timeout_s = 0.2
    with pytest.raises(InstrumentReported, match="frame 1 is not in memory"):
        camera.fetch(1)
    camera.abort()
    with pytest.raises(OutOfRange, match="frame 4 of an acquisition of 4"):
        camera.fetch(4)


HEADER = struct.Struct("<4sHHIIHHHHIdddI")


def raw_frame(*, magic=b"SO2C", index=0, shape=(1, 2, 2), n_bytes=8, time_s=0.0):
    data = bytes(n_bytes)
    return HEADER.pack(magic, 56, 0, 1, index, *shape, 12, 0, time_s, 0.02, 1.0, zlib.crc32(data)) + data


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"12", "no frame"),
        (raw_frame(magic=b"WHAT"), "does not begin as a frame"),
        (raw_frame(index=3), "frame 3 of 1 came"),
        (raw_frame(shape=(1, 2, 3), n_bytes=12), "2 x 3 pixels in 1 planes came"),
        (raw_frame(n_bytes=6), "6 bytes of counts"),
        (raw_frame(time_s=float("nan")), "damaged on the way"),
    ],
)
def test_a_frame_that_is_not_what_was_asked_for_is_refused(tcp_instrument, payload, said):
    numbers = iter(["+0", "+1"])
    answers = {
        "SENS:SIZE?": lambda: "2,2",
        "SENS:BITS?": lambda: "+12",
        "SENS:BLAC?": lambda: "+100",
        "SYST:ERR?": lambda: '+0,"No error"',
        "ACQ:NUMB?": lambda: next(numbers),
        "FRAM:DATA? 0": lambda: block(payload),
        "*IDN?": lambda: "SimOptics,SO-2C,SIM-1,1.0",
    }
    fake = tcp_instrument(lambda command: answers[command]() if command in answers else None)
    camera = SimOpticsSO2C(open_line(fake.address, timeout_s=0.5, reconnect_s=0.3), {}).camera()
    camera.configure(("1",), **SETTINGS)
    camera.arm()
    with pytest.raises(BadAnswer, match=said):
        camera.fetch(0)
