"""The whole way from an instrument to a trace, on the bundled bench of an oscillator behind an oscilloscope."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.cli import main
from labctl.excitation import Excitation
from labctl.plant import collect
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station
from labctl.store import open_recording

OFFSET_V, GAIN_V, DT_S = 0.05, 0.4, 2e-5


@pytest.fixture(scope="module")
def oscillator() -> Iterator[SimulatedBench]:
    """The bundled bench."""
    with SimulatedBench.start(bundled_bench("oscillator")) as sim:
        yield sim


def station(sim: SimulatedBench, folder: Path, *changes: tuple[str, str]) -> Path:
    """Its station file, with changes."""
    text = bundled_station("oscillator")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return sim.write_station(folder / "station.toml", text)


def bias(*levels_V: float, n_samples: int = 1500) -> Excitation:
    """One trial at each level."""
    drive = np.repeat(np.array(levels_V)[:, None, None], n_samples, axis=1)
    return Excitation(drive, ("bias",), DT_S)


def test_a_recording_shows_the_amplitude_and_the_frequency_of_each_bias(oscillator, tmp_path):
    levels_V = (0.1, 0.6, 0.8, 1.0, 1.2)
    with Bench.open(station(oscillator, tmp_path)) as bench:
        recording = collect(bench.respond(bias(*levels_V)))
    assert recording.simulated
    assert recording.notes == ()
    drive, response = recording.scored()
    assert np.allclose(drive[:, :, 0], np.array(levels_V)[:, None], atol=1e-3)
    assert np.abs(response[:, :20] - OFFSET_V).max() < 0.3  # it begins from thermal noise, whatever came before
    for level_V, volts in zip(levels_V[1:], response[1:, 700:, 0], strict=True):
        power = 2.0 * (level_V - 0.3)
        swing = volts - OFFSET_V
        assert np.sqrt(2 * np.mean(swing**2)) == pytest.approx(GAIN_V * np.sqrt(power), rel=0.1)
        spectrum = np.abs(np.fft.rfft(swing * np.hanning(swing.size), 1 << 16))
        # the phase diffuses: some 20 Hz in the 16 ms that are looked at
        assert np.fft.rfftfreq(1 << 16, DT_S)[spectrum.argmax()] == pytest.approx(2000 + 200 * power, abs=80)
    thermal = response[0, 700:, 0] - OFFSET_V
    assert thermal.std() < 0.1
    steps = (response - response.min()) / (1.6 / 256)
    assert np.allclose(steps, np.rint(steps), atol=1e-6)  # eight bits of ±0.8 V


def test_what_leaves_the_screen_is_noted_in_the_recording(oscillator, tmp_path):
    with Bench.open(station(oscillator, tmp_path, ("range = 0.8", "range = 0.4"))) as bench:
        recording = collect(bench.respond(bias(1.2)))
    assert "voltage reached its range of ±0.4 V" in recording.notes[0]
    assert np.abs(recording.response).max() == pytest.approx(0.4)


def test_the_command_records_it(oscillator, tmp_path):
    file = station(oscillator, tmp_path)
    arguments = ["--design", "random-steps", "--trials", "3", "--samples", "200", "--low", "0.4", "--high", "1.2"]
    assert main(["record", str(file), "--device", "oscillator", *arguments, "--out", str(tmp_path / "out")]) == 0
    recording = open_recording(tmp_path / "out" / "oscillator-random-steps.h5")
    assert recording.scored()[1].shape == (3, 200, 1)
    assert (recording.response_names, recording.response_units, recording.dt_s) == (("voltage",), ("V",), DT_S)
    assert "1204G" in str(recording.provenance["identities"])
