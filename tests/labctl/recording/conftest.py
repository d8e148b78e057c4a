"""Simulated benches for recordings that are paused, counted and tried dry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.simulation import SimulatedBench, bundled_bench, bundled_station, write_demo_station


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The demo's station, played from memory."""
    with SimulatedBench.start() as sim:
        yield write_demo_station(sim, tmp_path_factory.mktemp("demo") / "station.toml")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A station of devices that are driven sample by sample in real time."""
    with SimulatedBench.start(bundled_bench("closed_loop")) as sim:
        yield sim.write_station(tmp_path_factory.mktemp("slow") / "station.toml", bundled_station("closed_loop"))
