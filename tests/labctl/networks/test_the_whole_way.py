"""From a file to the bench: described, checked, optimised on twins, applied with its trained conditions, measured."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.drive_ranges import allowed_ranges, check_conditions
from labctl.campaigns.network_files import load_network
from labctl.campaigns.optimise_network import optimise_network
from labctl.cli import main
from labctl.errors import CampaignError, Stopped
from labctl.network_file import load_network_file
from labctl.station import load_station
from labctl.store import open_recording
from twins import DeviceTwin, save_twin
from twins.ensemble import TwinEnsemble
from twins.ensemble_file import save_ensemble

NETWORK = """
task = "delayed_parity"

[layers.first]
nodes = { leaky = 2, duffing = 1 }

[layers.second]
nodes = ["duffing", "leaky"]
coupling_density = 0.5
gain_levels = { low = 0.5, high = 2.0, n = 4 }

[devices.duffing]
range = [-0.2, 0.2]
dac_bits = 6
dac_range = [-1.0, 1.0]

[conditions]
duffing_bias = { low = -0.1, high = 0.1, value = 0.05 }

[initial]
n_starts = 2

[optimiser]
n_iterations = 3
n_trials = 4
n_validation_trials = 4
n_validation_draws = 1
n_readout_trials = 8
n_readout_draws = 1

[sizes]
n_training_trials = 6
n_heldout_trials = 4
n_repeats = 1
n_reservoir_draws = 20
n_reservoir_trials = 4
"""
OVERRIDE = ["--override-gates", "twins of a test, fitted to no device"]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "network.toml"
    path.write_text(NETWORK, encoding="utf-8")
    return path


def test_from_a_file_to_what_the_device_did(
    network: Path, twin_files: Callable[..., list[str]], demo_station: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    station = ["--station", str(demo_station)]
    assert main(["network", "check", str(network), *twin_files(), *station]) == 0
    assert "5 nodes, 15 features" in capsys.readouterr().out
    assert main(["network", "optimise", str(network), *twin_files(), *station, "--out", str(tmp_path / "net")]) == 0
    said = json.loads(capsys.readouterr().out)
    bias = said["trained_conditions"]["duffing_bias"]
    assert -0.1 < bias < 0.1 and bias != 0.05, "it was trained"
    stored = load_network(tmp_path / "net")
    wiring = stored.wirings["optimised"]
    assert wiring.conditions == {"duffing_bias": bias}
    assert set(wiring.layers[1].gain) <= {0.5, 1.0, 1.5, 2.0}
    assert stored.wirings["unoptimised"].conditions == {"duffing_bias": pytest.approx(0.05, abs=1e-6)}
    assert json.loads((tmp_path / "net" / "network.json").read_text())["network_file"] == NETWORK

    out = tmp_path / "measured"
    assert (
        main(["deploy", str(demo_station), str(tmp_path / "net"), "--out", str(out), "--repeats", "1", *OVERRIDE]) == 0
    )
    outcome = json.loads((out / "deployment.json").read_text())
    assert outcome["outputs_safe"] and outcome["simulated"]
    assert outcome["conditions"]["duffing_bias"] == bias
    assert outcome["optimised"]["measured_mean"] > 0
    for who, one in stored.wirings.items():
        recording = open_recording(out / f"measured-{who}" / "layer1-play0.h5")
        assert recording.conditions["duffing_bias"] == pytest.approx(one.conditions["duffing_bias"], abs=1e-3)
    drive, _ = open_recording(out / "measured-optimised" / "layer0-play0.h5").scored()
    played = drive[
        ..., open_recording(out / "measured-optimised" / "layer0-play0.h5").drive_names.index("duffing_drive")
    ]
    levels = (played + 1.0) / (2.0 / 63)
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-6)
    assert np.abs(played).max() <= 0.2


def test_the_same_from_python_on_ensembles(network: Path, fitted: dict[str, DeviceTwin]) -> None:
    description = load_network_file(network)
    twins = {name: TwinEnsemble([one, one]) for name, one in fitted.items()}
    description.check(twins=twins)
    plan = description.plan(dt_s=2e-4)
    ranges = allowed_ranges(twins, None, options=plan.device_options)
    assert ranges["duffing"] == (-0.2, 0.2)
    campaign = optimise_network(
        twins, plan, ranges=ranges, conditions=description.held_conditions, seed=0, examples_seed=1
    )
    outcome = run(campaign, on_event=lambda event: None)
    assert np.isfinite(outcome.promise.mean)
    assert -0.1 < outcome.reservoir.conditions["duffing_bias"] < 0.1


def test_ensembles_are_taken_from_files(
    network: Path, fitted: dict[str, DeviceTwin], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = []
    for name, one in fitted.items():
        save_twin(one, tmp_path / name, provenance={"simulated": True})
        save_ensemble(TwinEnsemble([one]), tmp_path / f"{name}-ensemble", provenance={"simulated": True})
        arguments += ["--twin", f"{name}={tmp_path / name}-ensemble"]
    assert main(["network", "check", str(network), *arguments]) == 0
    assert "condition duffing_bias: trained within -0.1..0.1" in capsys.readouterr().out


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 1
    return capsys.readouterr().err


def test_drives_that_may_be_too_fast_are_told_before_training(
    network: Path, twin_files: Callable[..., list[str]], demo_station: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    text = demo_station.read_text(encoding="utf-8")
    demo_station.write_text(text.replace("slew_per_s = 2.1e4", "slew_per_s = 5e2"), encoding="utf-8")
    station = ["--station", str(demo_station)]
    assert main(["network", "check", str(network), *station]) == 0
    assert "leaky_drive: from one step to the next" in capsys.readouterr().err
    assert main(["network", "check", str(network), *twin_files(), *station]) == 0
    told = capsys.readouterr().err
    assert "leaky_drive: from one step to the next" in told and "slew_per_s = 500 V/s" in told
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "unfinished.json").write_text("{}")  # so that it ends before it trains
    assert main(["network", "optimise", str(network), *twin_files(), *station, "--out", str(tmp_path / "net")]) == 1
    assert "leaky_drive: from one step to the next" in capsys.readouterr().err


def test_an_interrupted_optimisation_says_how_to_go_on(
    network: Path, twin_files: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "net"

    def interrupted(*_: object, **__: object) -> None:
        out.mkdir()
        (out / "unfinished.json").write_text("{}")
        raise Stopped("stopped by a test")

    monkeypatch.setattr("labctl.campaign.run", interrupted)
    assert main(["network", "optimise", str(network), *twin_files(), "--out", str(out)]) == 130
    assert "the same command with --resume goes on from there" in capsys.readouterr().err


def test_what_the_station_cannot_hold_is_refused_before_training(
    network: Path, twin_files: Callable[..., list[str]], demo_station: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    narrow = demo_station.read_text(encoding="utf-8").replace("limits = [-0.2, 0.2]", "limits = [-0.2, 0.08]")
    demo_station.write_text(narrow, encoding="utf-8")
    optimise = ["network", "optimise", str(network), *twin_files(), "--station", str(demo_station)]
    told = refused([*optimise, "--out", str(tmp_path / "net")], capsys)
    assert "network.toml:18: conditions.duffing_bias: -0.1..0.1 V goes beyond the limits -0.2..0.08 V" in told
    assert not (tmp_path / "net").exists()


def test_a_plan_of_ones_own_is_refused_alike(demo_station: Path) -> None:
    station = load_station(demo_station)
    check_conditions({"duffing_bias": 0.1}, {}, station)
    with pytest.raises(CampaignError, match=r"trained within -0\.3\.\.0\.1 V, the station allows -0\.2\.\.0\.2"):
        check_conditions({"duffing_bias": 0.0}, {"duffing_bias": (-0.3, 0.1)}, station)
    with pytest.raises(CampaignError, match="field cannot be set on this station; its set channels are duffing_bias"):
        check_conditions({}, {"field": (0.0, 1.0)}, station)


def test_twins_that_do_not_fit_are_refused(
    network: Path, twin_files: Callable[..., list[str]], fitted: dict[str, DeviceTwin], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    check = ["network", "check", str(network)]
    assert "there is no twin of duffing; there are leaky" in refused([*check, *twin_files("leaky")], capsys)
    needless = [*check, *twin_files(), "--twin", f"ring={tmp_path / 'twins' / 'leaky'}"]
    assert "the network has no node on ring; it has nodes on leaky, duffing" in refused(needless, capsys)
    twice = [*check, *twin_files(), *twin_files("leaky")]
    assert "a twin of leaky was given already" in refused(twice, capsys)
    save_twin(fitted["leaky"], tmp_path / "plain", provenance={"simulated": True, "conditions": {"duffing_bias": 0.05}})
    plain = [*check, "--twin", f"leaky={tmp_path / 'plain'}", *twin_files("duffing")]
    assert "cannot be trained: twins were recorded at duffing_bias = 0.05 alone" in refused(plain, capsys)
    unknowing = [*check, *twin_files("leaky"), "--twin", f"duffing={tmp_path / 'twins' / 'leaky'}"]
    assert "network.toml:18: conditions.duffing_bias: no twin knows duffing_bias" in refused(unknowing, capsys)


def test_options_of_an_output_need_a_twin_of_that_output(
    network: Path, make_twin: Callable[..., DeviceTwin], twin_files: Callable[..., list[str]], demo_station: Path,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    save_twin(make_twin("other", biased=True), tmp_path / "other", provenance={"simulated": True})
    arguments = [*twin_files("leaky"), "--twin", f"duffing={tmp_path / 'other'}", "--station", str(demo_station)]
    told = refused(["network", "check", str(network), *arguments], capsys)
    assert (
        "network.toml:12: devices.duffing: its twin is driven by other_drive, the station drives it by duffing_drive"
        in told
    )


def test_what_is_missing_on_the_command_line_is_told(
    network: Path, twin_files: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "give --station, or --twin of every device" in refused(["network", "check", str(network)], capsys)
    optimise = ["network", "optimise", *twin_files(), "--out", str(tmp_path / "net")]
    assert "give either NETWORK.toml" in refused(optimise, capsys)
    both = ["network", "optimise", str(network), "--task", "narma10", *twin_files(), "--out", str(tmp_path / "net")]
    assert "give either NETWORK.toml" in refused(both, capsys)


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["network", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "NetworkFile"
