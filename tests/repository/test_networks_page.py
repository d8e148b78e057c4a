"""What docs/networks.md shows is what works: its commands parse, its files are valid, its example runs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labctl.campaigns.network_files import load_network
from labctl.cli import parser
from labctl.network_file import load_network_file, parse_network_file
from labctl.network_schema import NetworkFile
from labctl.station import Station, load_station
from twins import DeviceTwin, DeviceTwinSpec, Traces, fit, save_twin

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
DEMO = (ROOT / "labctl" / "stations" / "demo.toml").read_text(encoding="utf-8")
QUICK = """
[initial]
n_starts = 1

[optimiser]
n_iterations = 2
n_trials = 4
n_steps = 24
n_validation_trials = 4
n_validation_draws = 1
n_readout_trials = 6
n_readout_draws = 1

[sizes]
n_steps = 30
n_training_trials = 3
n_heldout_trials = 3
n_reservoir_draws = 20
n_reservoir_trials = 4
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def lag_twin(name: str) -> DeviceTwin:
    """A twin that is cheap to have: of a device that follows its drive with a lag."""
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.uniform(-1.0, 1.0, size=(8, 20, 1)), 3, axis=1)
    drive[:, :6] = 0.0
    response = np.zeros_like(drive)
    for k in range(drive.shape[1] - 1):
        response[:, k + 1] = 0.7 * response[:, k] + 0.3 * drive[:, k] + 0.02 * rng.normal(size=(8, 1))
    channels = ((f"{name}_drive",), ("V",), (f"{name}_response",), ("V",))
    traces = Traces(drive, response, 2e-4, *channels, n_prepare=6)
    twin = DeviceTwin(DeviceTwinSpec.for_traces(traces, response_delays=0, drive_delays=0, hidden=(4,)))
    for _ in fit(twin, [traces], seed=0, max_epochs=2):
        pass
    return twin


@pytest.fixture
def station(tmp_path: Path) -> Station:
    """The demo's station, without its instruments."""
    text = DEMO
    for number, name in enumerate(("awg", "digitiser", "smu")):
        text = text.replace(f"{{{name}}}", f"TCPIP::127.0.0.1::{number + 1}::SOCKET")
    (tmp_path / "station.toml").write_text(text.replace("baud_rate = 57600\n", ""), encoding="utf-8")
    return load_station(tmp_path / "station.toml")


def test_its_commands_parse() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) == 12
    for line in lines:
        parser().parse_args(shlex.split(line)[1:])


def test_its_files_are_valid(station: Station) -> None:
    first, ring = blocks("toml")
    description = parse_network_file(first)
    description.check(station=station)
    plan = description.plan(dt_s=2e-4, station=station)
    assert len(first.splitlines()) <= 10
    assert [plan.n_nodes, plan.task.name] == [12, "narma10"]
    assert parse_network_file(ring).recurrent == ("ring",)
    assert parse_network_file(ring).plan(dt_s=0.04).architecture.recurrent


def test_the_example_file_is_valid(station: Station) -> None:
    description = load_network_file(ROOT / "examples" / "two_layers.toml")
    description.check(station=station)
    plan = description.plan(dt_s=2e-4, station=station)
    assert plan.n_nodes == 12
    assert plan.device_options["leaky"].of("leaky_drive").levels is not None


def test_every_key_stands_on_the_page() -> None:
    schema = NetworkFile.model_json_schema()
    tables = ["LayerTable", "DeviceTable", "InitialTable", "SizesTable"]
    keys = [*schema["properties"], *(key for table in tables for key in schema["$defs"][table]["properties"])]
    for key in keys:
        if key not in ("name", "description", "layers", "devices"):
            assert re.search(rf"\b{key}\b", PAGE), key


def test_its_example_runs(station: Station, tmp_path: Path) -> None:
    text = parse_network_file(blocks("toml")[0]).text.replace("leaky = 4, duffing = 2", "leaky = 1, duffing = 1")
    (tmp_path / "network.toml").write_text(text + QUICK, encoding="utf-8")
    (tmp_path / "fitted").mkdir()
    for name in ("leaky", "duffing"):
        save_twin(lag_twin(name), tmp_path / "fitted" / name, provenance={"simulated": True})
    (block,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "promised on simulated devices" in done.stdout
    network = load_network(tmp_path / "net")
    assert network.plan.n_nodes == 4
    assert network.wirings["optimised"].port("duffing").drive_ranges[0] == pytest.approx((-0.3, 0.3), rel=1e-5)


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
