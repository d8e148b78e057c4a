"""The simulated bench as a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from labctl.errors import SimulationError
from labctl.simulation import SimulatedBench, write_demo_station
from labctl.station import load_station


def test_the_template_is_filled_with_the_addresses_of_the_running_bench(
    shared_sim: SimulatedBench, tmp_path: Path
) -> None:
    station = load_station(write_demo_station(shared_sim, tmp_path / "new" / "station.toml"))
    assert station.simulated
    assert {name: table.address for name, table in station.instruments.items()} == shared_sim.addresses
    assert all(",SIM-" in identity for identity in shared_sim.identities.values())


def test_an_address_that_the_simulator_lacks_is_told(shared_sim: SimulatedBench) -> None:
    with pytest.raises(SimulationError, match=r'address = "\{lockin\}"'):
        shared_sim.fill('[instruments.lockin]\naddress = "{lockin}"\n')


def test_a_bench_file_that_is_wrong_is_told_with_the_simulators_own_words(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('name = "bad"\n[devices.x]\nkind = "perpetuum mobile"\n')
    with pytest.raises(SimulationError, match=r"did not start \(exit status \d+\).*perpetuum mobile"):
        SimulatedBench.start(tmp_path / "bad.toml")


def test_stopping_ends_the_process_and_twice_does_no_harm() -> None:
    sim = SimulatedBench.start()
    assert sim.running
    sim.stop()
    assert not sim.running
    sim.stop()


def test_labctl_never_imports_the_simulator_nor_torch_nor_qt() -> None:
    script = (
        "import sys, labctl.bench, labctl.plant, labctl.simulation, labctl.store, labctl.designs, labctl.guard\n"
        "found = [name for name in ('sim_devices', 'torch', 'PySide6', 'twins.device') if name in sys.modules]\n"
        "sys.exit(repr(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
