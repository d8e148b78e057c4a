"""What a stranger does with instruments that nobody has written a driver for, by the generic driver alone."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.cli import main
from labctl.errors import ExcitationError, InstrumentFault, OutOfLimits, StationError
from labctl.excitation import Excitation
from labctl.plant import collect
from labctl.store import open_recording

ROOT = Path(__file__).parents[3]


def steps(dt_s, levels, hold, channel="drive", n_trials=1):
    drive = np.repeat(np.asarray(levels, dtype=float), hold)
    return Excitation.from_channels({channel: np.tile(drive, (n_trials, 1))}, dt_s=dt_s)


# ---- the document ---------------------------------------------------------------------------------------------------


def test_the_key_tables_of_the_document_are_those_of_the_driver(document):
    tables = runpy.run_path(str(ROOT / "scripts" / "generic_scpi_keys.py"))["key_tables"]()
    assert document.endswith("## Every key\n\n" + tables), "python scripts/generic_scpi_keys.py prints the new ones"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("slow", ["box *cannot say who it is", "bias .* set", "response .*measured", "slow .*stepped"]),
        ("fast", ["generator *Vela", r"drive .*set, played", r"response .*not measured singly.* recorded", "buffered"]),
        ("combined", ["SIMULATED", "daq *Lyra", "drive .*set, played", "response .*measured, recorded", "buffered"]),
    ],
)
def test_every_station_of_the_document_is_checked_without_a_problem(
    write_station, shared_instruments, capsys, name, says
):
    assert main(["station", "check", str(write_station(name, shared_instruments))]) == 0
    said = capsys.readouterr().out
    for pattern in says:
        assert re.search(pattern, said), pattern
    assert "station and instruments agree" in said


# ---- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("slow", 'probe = "" ', "timeout_s = 0.2 ", r"box .*Perhaps it does not know \*IDN\?.*probe = \"\""),
        ("slow", "initial = 0.0", "", r"drive.*no `get`.*`initial`"),
        ("slow", 'number_pattern = "([-+0-9.]+)V"', "", r"bias.*'\+0\.0000V', which is not a number"),
        (
            "slow",
            "simulated = false",
            "simulated = true",
            r"box: .*cannot be asked.*simulated = true under \[instruments.box\]",
        ),
        ("slow", "safe = { value = 0.0, how", "safe = { value = 3.0, how", r"slow.toml:\d+: .*safe value 3 is outside"),
        ("slow", 'error_query = ""\nnumber', "number", r"supply +PROBLEM: .*write error_query = \"\""),
        ("fast", "labelled = true", "labeled = true", r"digitiser\.data\.labeled.*did you mean .*labelled"),
        ("fast", 'trigger = "C{terminal}', 'trigger = "C{channel}', r"player\.trigger.*\{channel\}.*\{terminal\}"),
        (
            "fast",
            "range = 2.0 ",
            "# ",
            r"fast +PROBLEM: cannot be played from memory: response has no range; response cannot",
        ),
        (
            "combined",
            'terminals = ["ao"]',
            'terminals = ["a1"]',
            r"stepped \(daq plays no waveforms on terminal ao of drive\)",
        ),
        ("combined", 'get = "ao"', 'get = "a0"', r"drive.*'ERR a0'"),
        ("combined", 'probe = "who"', 'probe = "who"\nserial = "7"', "serial number '7' is expected"),
    ],
)
def test_station_check_says_what_is_wrong(write_station, shared_instruments, capsys, name, old, new, says):
    path = write_station(name, shared_instruments, (old, new))
    code = main(["station", "check", str(path)])
    said = "".join(capsys.readouterr())
    assert re.search(says, said), said
    assert code == (0 if "agree" in said else 1)


def test_two_tables_for_one_instrument_are_refused(write_station, shared_instruments):
    path = write_station("slow", shared_instruments)
    path.write_text(
        path.read_text().replace(shared_instruments.addresses["polar"], shared_instruments.addresses["pebble"])
    )
    with pytest.raises(StationError, match=r"slow.toml:\d+: instruments.supply.address: .* of 'box' already"):
        Bench.open(path)


# ---- stepped --------------------------------------------------------------------------------------------------------


def test_a_serial_box_and_a_supply_are_set_read_and_left_safe(write_station, shared_instruments):
    with Bench.open(write_station("slow", shared_instruments)) as bench:
        with pytest.raises(OutOfLimits, match=r"bias: 201 mV .*slow.toml:\d+"):
            bench.set("bias", 201.0)
        bench.set("bias", 150.0)
        assert bench.get("bias") == pytest.approx(150.0)
        bench.set("drive", 1.5)
        assert bench.get("drive") == 1.5
        recording = collect(bench.respond(steps(0.01, [0.0, 1.0, -1.0, 0.0], 5), prepare=False))
        report = bench.make_safe()
    assert report.ok, report
    assert [outcome.read_back for outcome in report.channels] == [0.0, 0.0]
    assert recording.complete
    assert recording.conditions == {"bias": pytest.approx(150.0)}
    assert recording.response[0, 10, 0] > 0.2 > -0.2 > recording.response[0, 15, 0]


def test_several_drive_channels_are_characterised_together(write_station, shared_instruments, tmp_path, capsys):
    path = write_station(
        "slow", shared_instruments, ('drive = ["drive"]', 'drive = ["drive", "bias"]'), ('conditions = ["bias"]', "")
    )
    common = ["record", str(path), "--device", "slow", "--trials", "2", "--samples", "8"]
    for design in ("random-steps", "noise"):
        low_high = ["--low=-0.1", "--high=0.1"]
        assert main([*common, "--design", design, *low_high, "--out", str(tmp_path / "out")]) == 0
        recording = open_recording(tmp_path / "out" / f"slow-{design}.h5")
        assert recording.drive_names == ("drive", "bias")
        assert recording.complete
    capsys.readouterr()


# ---- buffered -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fast", "combined"])
def test_a_waveform_is_played_and_its_response_recorded_in_step(write_station, shared_instruments, tmp_path, name):
    excitation = steps(2e-4, [0.0, 1.0, 1.0, -1.0, 0.0], 25, n_trials=3)
    with Bench.open(write_station(name, shared_instruments)) as bench:
        bench.set("drive", 0.25)
        recording = collect(bench.respond(excitation, store=tmp_path / "one.h5"))
        assert bench.get("drive") == pytest.approx(0.0)
        report = bench.make_safe()
    assert report.ok, report
    assert recording.complete
    assert open_recording(tmp_path / "one.h5").n_trials == 3
    assert recording.n_prepare == (51 if name == "fast" else 26)
    drive, response = recording.scored()
    assert drive.shape == response.shape == (3, 125, 1)
    mean = response[:, :, 0].mean(axis=0)
    assert abs(mean[25] - mean[20:25].mean()) < 0.1  # the step at sample 25 shows from sample 26 on
    assert mean[26] - mean[25] > 0.1
    assert mean[70] > 0.6
    assert mean[95] < -0.4


def test_a_rate_that_the_oscilloscope_rounds_is_refused_before_anything_is_played(write_station, shared_instruments):
    path = write_station("fast", shared_instruments, ("sample_rate_Hz = 5000.0", "sample_rate_Hz = 4000.0"))
    with (
        Bench.open(path) as bench,
        pytest.raises(InstrumentFault, match=r"4000 Hz was asked for, the instrument took 5000 Hz.*nothing was played"),
    ):
        collect(bench.respond(steps(2.5e-4, [0.0, 1.0, 0.0], 20)))


def test_instruments_without_a_trigger_line_are_stepped_where_the_station_says_so(write_station, shared_instruments):
    path = write_station(
        "combined", shared_instruments, ("sample_rate_Hz = 5000.0", 'sample_rate_Hz = 100.0\nmode = "stepped"')
    )
    with Bench.open(path) as bench:
        assert bench.way_of("core") == "stepped (as the station says)"
        recording = collect(bench.respond(steps(1e-2, [0.0, 1.0, 0.0], 4), prepare=False))
        with pytest.raises(ExcitationError, match="unknown"):
            bench.respond(steps(1e-2, [0.0], 4), mode="stept")
    assert recording.provenance["extra"]["mode"] == "stepped"
    assert recording.response[0, 8, 0] > 0.5


PLAY_ONLY = [
    ('set = "C{terminal}:BSWV WVTP,DC,OFST,{value:.6g}"\n', ""),
    ('get = "C{terminal}:BSWV?"', "rest_level = 0.0"),
]


def test_an_output_that_can_only_be_played_ends_at_its_rest_level(write_station, shared_instruments):
    with Bench.open(write_station("fast", shared_instruments, *PLAY_ONLY)) as bench:
        recording = collect(bench.respond(steps(2e-4, [0.0, 1.0, 0.0], 25)))
        with pytest.raises(OutOfLimits, match="can only be played"):
            bench.set("drive", 0.5)
        assert bench.make_safe().ok
    assert recording.scored()[1].max() > 0.5


def test_a_safe_value_where_a_play_only_output_cannot_stand_is_refused_on_opening(write_station, shared_instruments):
    path = write_station("fast", shared_instruments, *PLAY_ONLY, ("safe = { value = 0.0", "safe = { value = 0.5"))
    with pytest.raises(StationError, match=r"fast.toml:\d+: drive: its safe value is 0.5 V.*stands at 0 V otherwise"):
        Bench.open(path)


# ---- faults in the middle -------------------------------------------------------------------------------------------


def test_half_a_curve_is_an_error_that_says_so_and_the_outputs_are_safe(write_station, own_instruments):
    with Bench.open(write_station("fast", own_instruments)) as bench:
        collect(bench.respond(steps(2e-4, [0.0, 1.0, 0.0], 25)))
        own_instruments.fault("orion", "short")
        with pytest.raises(InstrumentFault, match=r"7 came.*sample_count.*all outputs are safe"):
            collect(bench.respond(steps(2e-4, [0.0, 1.0, 0.0], 25)))
        assert bench.safe_report.ok


def test_text_instead_of_numbers_is_an_error_that_shows_it(write_station, own_instruments):
    with Bench.open(write_station("combined", own_instruments)) as bench:
        own_instruments.fault("lyra", "nonsense")
        with pytest.raises(InstrumentFault, match=r"response.*reading failed.*'ai = nothing'"):
            bench.read("response")
        with pytest.raises(InstrumentFault, match=r"ai = nothing.*ai data.*data\.format.*all outputs are safe"):
            collect(bench.respond(steps(2e-4, [0.0, 1.0, 0.0], 25)))


@pytest.mark.parametrize("name", ["slow", "combined"])
def test_what_was_measured_before_the_bench_was_switched_off_is_on_disk(write_station, own_instruments, tmp_path, name):
    replaced = [('kind = "sense"', 'kind = "sense"')]
    if name == "slow":
        replaced.append(("ramp_per_s = 2000.0", "ramp_per_s = 1e6"))
    path = write_station(name, own_instruments, *replaced)
    path.write_text(path.read_text().replace('driver = "scpi"\n', 'driver = "scpi"\nreconnect_s = 0.1\n'))
    dt_s = 0.01 if name == "slow" else 2e-4
    bench = Bench.open(path)
    blocks = bench.respond(steps(dt_s, [0.0, 1.0, 0.0], 25, n_trials=40), store=tmp_path / "cut.h5", max_play_s=0.05)
    for _ in range(3):
        next(blocks)
    own_instruments.stop()
    with pytest.raises(InstrumentFault, match=r"samples were measured and are readable in .*cut.h5; .*NOT"):
        collect(blocks)
    bench.safe_states.disarm()
    cut = open_recording(tmp_path / "cut.h5")
    assert not cut.complete
    assert cut.valid_samples.sum() > 0


def test_an_instrument_that_falls_silent_makes_its_output_not_known_to_be_safe(write_station, own_instruments, capsys):
    path = write_station(
        "combined", own_instruments, ('probe = "who"', 'probe = "who"\ntimeout_s = 0.2\nreconnect_s = 0.1')
    )
    assert main(["safe", str(path)]) == 0
    assert "drive: safe, 0 V read back" in capsys.readouterr().out
    own_instruments.fault("lyra", "mute")
    assert main(["safe", str(path)]) == 1
    assert "no answer" in capsys.readouterr().out


# ---- the loop -------------------------------------------------------------------------------------------------------


def test_the_command_line_records_and_fits_a_twin(write_station, shared_instruments, tmp_path, capsys):
    path, out = write_station("combined", shared_instruments), tmp_path / "out"
    sizes = ["--trials", "12", "--samples", "60", "--inputs", "2", "--repeats", "6"]
    assert main(["record", str(path), "--device", "core", *sizes, "--out", str(out)]) == 0
    training, heldout = out / "core-training.h5", out / "core-heldout.h5"
    fit = ["twin", "fit", str(training), "--heldout", str(heldout), "--out", str(out / "twins"), "--seconds", "3"]
    capsys.readouterr()
    assert main([*fit, "--name", "core"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert 0.5 < figures["coverage_90"] <= 1.0
