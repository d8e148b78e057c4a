"""`labctl network cascade` on the simulated demo bench, up to a network that can be deployed. All data are SIMULATED."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labctl.campaigns.network_files import load_network
from labctl.cli import main

NETWORK = """
task = "narma10"
input_taps = [0, 1, 2]
coupling_delays = [0, 3]

[layers.first]
nodes = { leaky = 2 }

[layers.second]
nodes = { leaky = 2 }

[devices.leaky]
range = [-1.9, 1.9]

[initial]
n_starts = 1

[optimiser]
n_iterations = 3
n_trials = 8
n_steps = 30
n_validation_draws = 1
n_readout_trials = 6
n_readout_draws = 1

[sizes]
n_steps = 40
n_training_trials = 8
n_heldout_trials = 4
n_repeats = 2
n_reservoir_draws = 20
n_reservoir_trials = 4
"""


@pytest.fixture
def command(demo_station: Path, tmp_path: Path, spoilt: Any) -> list[str]:
    network = tmp_path / "network.toml"
    network.write_text(NETWORK)
    out = str(tmp_path / "out")
    twin = f"leaky={spoilt.twin}"
    return ["network", "cascade", str(demo_station), str(network), "--twin", twin, "--out", out, "--validation", "4"]


def test_what_is_there_is_not_overwritten_unasked_and_nothing_is_played(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--task", "narma10"]) == 1
    assert "give either NETWORK.toml" in capsys.readouterr().err
    (tmp_path / "out").mkdir()
    (tmp_path / "out/cascade.json").write_text("{}")
    assert main(command) == 1
    assert "cascade.json exists already" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.slow
def test_a_cascade_leaves_a_network_to_deploy(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["simulated"] is True and told["outputs_safe"] is True and len(told["layers"]) == 2
    network = load_network(tmp_path / "out/network")
    assert network.task == "narma10" and network.simulated and network.gates["leaky"]["passed"]
    assert len(network.wirings["optimised"].layers) == 2 and network.promised > 0
    assert network.plan.n_training_trials == 8
    first_run = (tmp_path / "out/outcome.json").read_text()
    assert main([*command, "--resume"]) == 1, "it is done"
    assert (tmp_path / "out/outcome.json").read_text() == first_run
