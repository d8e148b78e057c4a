"""The bundled reaction cell, smaller, in a process of its own, with a camera that takes faults."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.transport import open_line
from labctl.simulation import SimulatedBench, bundled_bench, bundled_station

SAFE = [(0.0, "0"), (0.0, "0")]


@dataclass(frozen=True)
class SmallCell:
    """A running bench, and what its instruments say of themselves."""

    sim: SimulatedBench

    @property
    def addresses(self) -> dict[str, str]:
        return dict(self.sim.addresses)

    def write(self, folder: Path, *changes: tuple[str, str]) -> Path:
        """The bundled station file with these texts replaced."""
        text = bundled_station("reaction_cell")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (folder / "station.toml").unlink(missing_ok=True)
        return self.sim.write_station(folder / "station.toml", text)

    def ask(self, instrument: str, *commands: str) -> list[str]:
        """Questions to an instrument past every bench; what is no question is sent."""
        line = open_line(self.addresses[instrument])
        try:
            return [line.query(one) if one.endswith("?") else (line.write(one), "")[1] for one in commands]
        finally:
            line.close()

    def pumps(self) -> list[tuple[float, str]]:
        """(rate, on) of both."""
        answers = self.ask("pump", "PUMP1:RATE?", "PUMP1:STAT?", "PUMP2:RATE?", "PUMP2:STAT?")
        return [(float(answers[0]), answers[1]), (float(answers[2]), answers[3])]

    def dark(self) -> bool:
        """Whether the lamp is off."""
        return self.ask("camera", "LIGH?") == ["0"]

    def safe(self) -> bool:
        """Pumps at nothing and off, lamp off."""
        return self.pumps() == SAFE and self.dark()


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCell]:
    text = bundled_bench("reaction_cell").read_text()
    for old, new in (("rows = 64", "rows = 24"), ("columns = 64", "columns = 32")):
        assert old in text
        text = text.replace(old, new)
    file = tmp_path_factory.mktemp("cell") / "bench.toml"
    file.write_text(f"{text}\n[instruments.camera.faults]\nruntime = true\n")
    with SimulatedBench.start(file) as sim:
        yield SmallCell(sim)


@pytest.fixture
def station(cell: SmallCell, tmp_path: Path) -> Path:
    """Its station file, with little patience."""
    return cell.write(tmp_path, ('driver = "simoptics', 'timeout_s = 0.5\ndriver = "simoptics'))


@pytest.fixture
def fault(cell: SmallCell) -> Iterator[Callable[[str], None]]:
    """Have the camera do something wrong, until the test is over."""
    line = open_line(cell.addresses["camera"])
    yield lambda text: line.write(f"SIM:FAUL {text}")
    line.write("SIM:FAUL:CLE")
    line.close()
