"""The command line as a user types it; the bench is simulated, in a process of its own."""

import json
from pathlib import Path

import pytest

from labctl.cli import OUR_COMMANDS, main
from labctl.safety import SafeReport
from labctl.simulation import SimulatedBench, write_demo_station
from labctl.store import open_recording

QUICK = ["--trials", "6", "--samples", "120", "--inputs", "2", "--repeats", "4"]


@pytest.fixture(scope="module")
def bench_folder(shared_sim: SimulatedBench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a station file, recordings of both devices and their twins, made by the commands themselves."""
    folder = tmp_path_factory.mktemp("bench")
    station = str(write_demo_station(shared_sim, folder / "station.toml"))
    for device in ("leaky", "duffing"):
        record = [
            "record",
            station,
            "--device",
            device,
            "--condition",
            "duffing_bias=0.05",
            "--out",
            str(folder / "recordings"),
        ]
        assert main([*record, *QUICK]) == 0
        files = [str(folder / "recordings" / f"{device}-{part}.h5") for part in ("training", "heldout")]
        fit = [
            "twin",
            "fit",
            files[0],
            "--heldout",
            files[1],
            "--name",
            device,
            "--plain",
            "--seconds",
            "2",
            "--out",
            str(folder / "twins"),
        ]
        assert main(fit) == 0
    return folder


@pytest.mark.parametrize("command", OUR_COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert command in capsys.readouterr().out


def test_wrong_usage_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explode"])
    assert ended.value.code == 2
    assert "explode" in capsys.readouterr().err


def test_station_check_lists_instruments_and_safe_values(
    demo_station: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["station", "check", str(demo_station)]) == 0
    told = capsys.readouterr().out
    assert "SIMULATED" in told
    assert "SIM-33522B-001" in told
    assert "limits -2..2, safe 0 (ramp)" in told


def test_station_check_tells_what_is_wrong_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "station.toml"
    path.write_text('[station]\nname = "x"\nsimulatedd = true\n')
    assert main(["station", "check", "--offline", str(path)]) == 1
    told = capsys.readouterr().err
    assert "simulatedd" in told
    assert f"{path}:3" in told


def test_station_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["station", "schema"]) == 0
    assert "channels" in json.loads(capsys.readouterr().out)["properties"]


def test_record_writes_recordings_that_carry_condition_and_seed_of_the_design(bench_folder: Path) -> None:
    recording = open_recording(bench_folder / "recordings" / "duffing-training.h5")
    assert recording.complete
    assert recording.simulated
    assert recording.n_trials == 6
    assert recording.conditions["duffing_bias"] == pytest.approx(0.05, abs=1e-3)
    assert recording.provenance["seed"] == 0


def test_record_refuses_a_condition_that_is_no_number(
    demo_station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["record", str(demo_station), "--device", "leaky", "--condition", "bias", "--out", str(tmp_path)]
    assert main(arguments) == 1
    assert "CHANNEL=VALUE" in capsys.readouterr().err


def test_record_refuses_a_drive_beyond_the_limits(
    demo_station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["record", str(demo_station), "--device", "leaky", "--high", "3", "--out", str(tmp_path), *QUICK]
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "leaky_drive" in told
    assert "-2..2" in told


@pytest.mark.parametrize("design", ["random-steps", "multisine", "prbs", "noise"])
def test_record_knows_its_designs(design: str, demo_station: Path, tmp_path: Path) -> None:
    arguments = ["record", str(demo_station), "--device", "leaky", "--design", design, "--out", str(tmp_path)]
    assert main([*arguments, "--trials", "2", "--samples", "50"]) == 0
    assert open_recording(tmp_path / f"leaky-{design}.h5").complete


def test_runs_lists_the_recordings(bench_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(bench_folder)]) == 0
    told = capsys.readouterr().out
    assert "leaky_drive -> leaky_response" in told
    assert "SIMULATED" in told
    assert main(["runs", str(bench_folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 4


def test_twin_check_prints_calibration_and_ends_with_3_where_gates_are_not_passed(
    bench_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heldout = str(bench_folder / "recordings" / "leaky-heldout.h5")
    assert main(["twin", "check", str(bench_folder / "twins" / "leaky"), heldout]) == 3
    figures = json.loads(capsys.readouterr().out)[heldout]
    assert 0.6 < figures["coverage_90"] <= 1.0
    assert figures["n_inputs"] == 2
    assert figures["gates_passed"] is False
    few = next(gate for gate in figures["gates"] if gate["name"] == "held_out_inputs")
    assert (few["value"], few["passed"]) == (2.0, False)


def test_a_twin_is_not_checked_on_what_it_was_fitted_to(bench_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = str(bench_folder / "recordings" / "leaky-training.h5")
    assert main(["twin", "check", str(bench_folder / "twins" / "leaky"), training]) == 1
    assert "was trained on all of" in capsys.readouterr().err


def test_twin_diagnose_tells_what_was_found_and_what_follows_with_reasons(
    bench_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recordings = [str(bench_folder / "recordings" / f"leaky-{part}.h5") for part in ("training", "heldout")]
    assert main(["twin", "diagnose", recordings[0]]) == 0
    told = capsys.readouterr().out
    assert told.startswith("SIMULATED")
    assert "process noise" in told
    assert "phases = " in told
    assert "because:" in told
    assert main(["twin", "diagnose", "--json", recordings[0]]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["diagnosis"]["channels"][0]["name"] == "leaky_response"
    assert found["recommendation"]["reasons"]


def test_twin_fit_as_diagnosed_says_why_and_leaves_a_report(
    bench_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(bench_folder / "recordings" / f"leaky-{part}.h5") for part in ("training", "heldout")]
    out = ["--out", str(tmp_path), "--name", "seen", "--seconds", "2", "--ensemble", "2"]
    assert main(["twin", "fit", files[0], "--heldout", files[1], *out]) == 0
    told = capsys.readouterr()
    outcome = json.loads(told.out)
    assert outcome["gates_passed"] is False
    assert Path(outcome["ensemble"]).exists()
    assert "asked for: ensemble 2" in outcome["reasons"]
    assert all(reason in told.err for reason in outcome["reasons"])
    page = Path(outcome["report"]).read_text(encoding="utf-8")
    for part in ("SIMULATED", "GATES NOT PASSED", "Limits of this judgement", "Diagnosis of the recordings"):
        assert part in page
    assert page.count("<img") >= 4
    assert "://" not in page.replace("http://www.w3.org", "").partition("<h2>Provenance")[0]  # base64 has no colon


def test_twin_compare_puts_twins_side_by_side(bench_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twin, heldout = str(bench_folder / "twins" / "leaky"), str(bench_folder / "recordings" / "leaky-heldout.h5")
    assert main(["twin", "compare", twin, twin, "--on", heldout]) == 0
    told = capsys.readouterr().out
    assert "cannot be told apart on these 2 inputs" in told
    assert "SIMULATED" in told
    assert main(["twin", "compare", twin, twin, "--on", heldout, "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert [one["beyond_chance"] for one in compared["twins"]] == [False, False]
    assert compared["twins"][0]["device_seconds"] > 0.0
    assert main(["twin", "compare", twin, "--on", heldout]) == 1
    assert "at least two twins" in capsys.readouterr().err


def test_a_twin_that_is_no_twin_gets_a_clear_error(
    bench_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.json").write_text("{}")
    heldout = str(bench_folder / "recordings" / "leaky-heldout.h5")
    assert main(["twin", "check", str(tmp_path / "bad"), heldout]) == 1
    assert "bad.json" in capsys.readouterr().err


def test_a_foreign_file_as_recording_gets_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.h5").write_text("not HDF5")
    assert main(["twin", "fit", str(tmp_path / "notes.h5"), "--out", str(tmp_path)]) == 1
    assert "no HDF5 file" in capsys.readouterr().err


def test_safe_reads_every_output_back(demo_station: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["safe", str(demo_station)]) == 0
    told = capsys.readouterr().out
    assert "all outputs safe" in told
    assert "duffing_bias: safe, 0 V read back" in told


def test_a_network_is_optimised_and_deployed(
    bench_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = [f"--twin={name}={bench_folder / 'twins' / name}" for name in ("leaky", "duffing")]
    station, network = str(bench_folder / "station.toml"), tmp_path / "network"
    optimise = [
        "network",
        "optimise",
        *twins,
        "--task",
        "narma10",
        "--station",
        station,
        "--seconds",
        "1",
        "--out",
        str(network),
    ]
    assert main(optimise) == 0
    assert {path.name for path in network.iterdir()} >= {"network.json", "optimised.json", "optimised.safetensors"}
    capsys.readouterr()
    deploy = ["deploy", station, str(network), "--no-rivals", "--repeats", "1", "--out", str(tmp_path / "measured")]
    assert main(deploy) == 1  # two held-out inputs are too few to judge its twins
    told = capsys.readouterr().err
    assert "was not judged, so did not pass its gates: nothing is judged: there are 2 held-out inputs" in told
    assert not (tmp_path / "measured").exists()
    deploy += ["--override-gates", "a test of the command line"]
    assert main(deploy) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["simulated"] is True
    assert outcome["outputs_safe"] is True
    assert outcome["clearance"]["passed"] is False
    assert outcome["clearance"]["override"] == "a test of the command line"
    play = open_recording(tmp_path / "measured" / "measured-optimised" / "layer0-play0.h5")
    assert play.provenance["extra"]["clearance"]["override"] == "a test of the command line"
    assert 0.0 < outcome["optimised"]["measured_mean"] < 1.5
    assert json.loads((tmp_path / "measured" / "deployment.json").read_text()) == outcome
    assert main(deploy) == 1
    assert f"{tmp_path / 'measured' / 'deployment.json'} exists already" in capsys.readouterr().err
    monkeypatch.setattr(SafeReport, "ok", property(lambda self: False))
    assert main([*deploy, "--out", str(tmp_path / "unsafe")]) == 1
    told = capsys.readouterr()
    outcome = json.loads(told.out)
    assert outcome["outputs_safe"] is False
    assert json.loads((tmp_path / "unsafe" / "deployment.json").read_text()) == outcome
    assert "OUTPUTS NOT KNOWN TO BE SAFE" in told.err


def test_deploy_without_a_network_says_what_to_run(
    demo_station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", str(demo_station), str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "labctl network optimise" in capsys.readouterr().err


def test_a_task_that_is_unknown_is_refused_with_those_there_are(
    bench_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = f"--twin=leaky={bench_folder / 'twins' / 'leaky'}"
    assert main(["network", "optimise", twin, "--task", "chess", "--out", str(tmp_path)]) == 1
    assert "narma10" in capsys.readouterr().err
