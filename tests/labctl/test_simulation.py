"""The simulated bench as a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from labctl.bench import Bench
from labctl.errors import SimulationError
from labctl.simulation import BUNDLED, SimulatedBench, bundled_bench, bundled_station, write_demo_station
from labctl.station import load_station


def test_the_template_is_filled_with_the_addresses_of_the_running_bench(
    shared_sim: SimulatedBench, tmp_path: Path
) -> None:
    station = load_station(write_demo_station(shared_sim, tmp_path / "new" / "station.toml"))
    assert station.simulated
    assert {name: table.address for name, table in station.instruments.items()} == shared_sim.addresses
    assert all(",SIM-" in identity for identity in shared_sim.identities.values())


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_bench_has_a_station_that_fits_it(name: str, tmp_path: Path) -> None:
    with SimulatedBench.start(bundled_bench(name)) as sim:
        path = sim.write_station(tmp_path / "station.toml", bundled_station(name))
        with Bench.open(path) as bench:
            for device in bench.station.devices:
                assert bench.way_of(device).split()[0] in ("buffered", "stepped", "filmed")


def test_a_bench_that_is_not_bundled_is_told() -> None:
    with pytest.raises(SimulationError, match=r"'optics'.*demo, closed_loop"):
        bundled_bench("optics")


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
