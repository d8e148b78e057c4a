"""A dry run tells everything that stands against a recording, at once, and writes to no output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.bench.film_plan import FilmRequest
from labctl.campaign import run
from labctl.campaigns.record_designed import record_designed
from labctl.cli import main
from labctl.design_options import DESIGNS, Chirp, Design, FromFile, Pulse, RandomSteps
from labctl.designed import excitations_of
from labctl.dry_run import dry_run, dry_run_film
from labctl.errors import ExcitationError
from labctl.simulation import bundled_station
from labctl.station import Station, load_station, parse_station
from labctl.store import open_recording


@pytest.fixture
def station(demo: Path) -> Station:
    return load_station(demo)


def test_all_problems_are_told_at_once_with_channel_time_value_and_limit(station: Station, tmp_path: Path) -> None:
    design = RandomSteps(n_trials=4, n_samples=50, low=-3.0, high=3.0)
    found = dry_run(station, "leaky", design, seed=1, folder=tmp_path, conditions={"duffing_bias": 7.0, "nothing": 1.0})
    assert not found.ok
    bias, unknown, limit, rate = found.problems
    assert (bias.channel, bias.value, bias.limit, bias.unit) == ("duffing_bias", 7.0, 0.2, "V")
    assert "cannot be set" in unknown.text
    assert limit.channel == rate.channel == "leaky_drive"
    assert limit.value is not None and limit.limit is not None and limit.time_s is not None
    assert abs(limit.value) > abs(limit.limit) == 2.0
    assert limit.time_s >= 0.0
    assert rate.unit == "V/s" and rate.limit == 2.1e4
    assert all(problem.text in str(found) for problem in found.problems)
    assert "no instrument was asked" in found.checked


def test_what_a_dry_run_promises_is_what_the_recording_then_is(demo: Path, tmp_path: Path) -> None:
    design = RandomSteps(n_trials=5, n_samples=80)
    with Bench.open(demo) as bench:
        found = dry_run(bench.station, "leaky", design, seed=2, folder=tmp_path, bench=bench)
        assert not bench.safe_states.armed, "nothing was written to an output"
        assert bench.device_seconds == 0.0
        assert not list(tmp_path.iterdir())
        (path,) = run(record_designed(bench, "leaky", design, folder=tmp_path, seed=2))
    (part,) = found.parts
    recording = open_recording(path)
    assert found.ok
    assert part.path == path
    assert recording.header.shape == (part.n_trials, part.n_samples)
    assert recording.device_seconds == pytest.approx(found.device_s)
    assert 0.25 * part.file_bytes < path.stat().st_size < 1.5 * part.file_bytes, "changes of the code are kept, too"


def test_a_dry_run_finds_a_file_that_is_there_already_and_a_disk_that_is_too_small(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaky-pulse.h5").touch()
    monkeypatch.setattr("labctl.dry_run.free_bytes", lambda _: 1000)
    found = dry_run(station, "leaky", Pulse(), seed=0, folder=tmp_path)
    told = "\n".join(problem.text for problem in found.problems)
    assert "exists already" in told
    assert "are needed" in told


def test_the_instruments_are_asked_and_their_refusals_told(demo: Path, tmp_path: Path) -> None:
    text = demo.read_text().replace("range = 2.0", "range = 3.3")
    with Bench.open(parse_station(text, path=demo)) as bench:
        found = dry_run(bench.station, "leaky", RandomSteps(), seed=0, folder=tmp_path, bench=bench)
    assert len(found.problems) == 1, "the digitiser has no range of 3.3 V"
    assert "3.3" in found.problems[0].text


@pytest.mark.parametrize("kind", [kind for kind in DESIGNS.values() if kind is not FromFile])
def test_every_design_is_allowed_on_the_demo_bench_as_it_is_offered(
    station: Station, tmp_path: Path, kind: type[Design]
) -> None:
    found = dry_run(station, "duffing", kind(), seed=1, folder=tmp_path)
    assert found.ok, str(found)
    again = excitations_of(station, "duffing", kind(), seed=1)
    for name, excitation in excitations_of(station, "duffing", kind(), seed=1).items():
        np.testing.assert_array_equal(excitation.drive, again[name].drive)


def test_options_that_make_no_drive_are_problems_and_no_crash(station: Station, tmp_path: Path) -> None:
    for design, word in ((Chirp(end_Hz=1e6), "half the sample rate"), (RandomSteps(n_trials=0), "n_trials")):
        found = dry_run(station, "leaky", design, seed=0, folder=tmp_path)
        assert word in found.problems[0].text


def test_a_film_is_tried_dry_from_its_station_alone(tmp_path: Path) -> None:
    text = bundled_station("reaction_cell")
    names = {"{camera}": "TCPIP::127.0.0.1::1::SOCKET", "{pump}": "TCPIP::127.0.0.1::2::SOCKET"}
    for name, address in names.items():
        text = text.replace(name, address)
    station = parse_station(text)
    device = next(iter(station.devices))
    found = dry_run_film(station, FilmRequest(device=device, n_trials=2, n_frames=5), path=tmp_path / "film.h5")
    assert found.ok
    assert found.samples == 10
    bad = dry_run_film(station, FilmRequest(device=device, n_trials=0, n_frames=5), path=tmp_path / "film.h5")
    assert not bad.ok


def test_a_drive_from_a_csv_or_npz_file_is_played_as_it_stands(station: Station, tmp_path: Path) -> None:
    wave = np.linspace(-1.0, 1.0, 20)
    csv = tmp_path / "own.csv"
    rows = [f"{trial},{2e-4 * at:.7f},{value}" for trial in (0, 1) for at, value in enumerate(wave)]
    csv.write_text("\n".join(["trial,time_s,leaky_drive", *rows]))
    npz = tmp_path / "own.npz"
    np.savez(npz, leaky_drive=np.stack([wave, wave]), dt_s=2e-4)
    for path in (csv, npz):
        (excitation,) = excitations_of(station, "leaky", FromFile(path=path), seed=0).values()
        np.testing.assert_allclose(excitation.drive[:, :, 0], [wave, wave])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("volts\n1\n2\n", "is driven by leaky_drive"),
        ("leaky_drive\n1\nx\n", "row 3"),
        ("trial,leaky_drive\n0,1\n0,1\n1,1\n", "same number of rows"),
        ("time_s,leaky_drive\n0,1\n0.1,1\n", "sampling time is 0.1 s"),
        ("leaky_drive\n", "at least one row"),
        ("leaky_drive\nnan\n", "finite"),
    ],
)
def test_a_file_that_is_no_drive_is_refused_with_what_to_do(
    station: Station, tmp_path: Path, text: str, word: str
) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(ExcitationError, match=word):
        excitations_of(station, "leaky", FromFile(path=path), seed=0)


def test_the_command_tells_problems_and_its_status_says_so(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["record", str(demo), "--device", "leaky", "--design", "random-steps", "--dry-run"]
    assert main([*common, "--offline", "--high", "5"]) == 1
    told = capsys.readouterr().out
    assert "REFUSED" in told and "outside -2..2 V" in told
    assert main(common) == 0
    assert "no output was written to" in capsys.readouterr().out


def test_an_option_that_the_design_does_not_have_is_refused(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chirp = ["record", str(demo), "--device", "leaky", "--design", "chirp", "--dry-run", "--offline"]
    assert main([*chirp, "--trials", "3"]) != 0
    assert "--trials means nothing to the design chirp" in capsys.readouterr().err
    assert main([*chirp, "--repeats", "2"]) == 0
    assert "2 trials" in capsys.readouterr().out
    assert main([*chirp[:-2], "--offline"]) != 0, "--out is missing, and --offline goes with --dry-run"
