"""Fixtures that make fake instruments and end them with the test."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the test folders are no packages
from fake_instruments import PtyInstrument, Reply, Script, TcpInstrument


@pytest.fixture
def tcp_instrument() -> Iterator[Callable[..., TcpInstrument]]:
    """Make fake instruments on TCP; all end with the test."""
    made: list[TcpInstrument] = []

    def make(respond: Callable[[str], Reply] | None = None, **options: object) -> TcpInstrument:
        made.append(TcpInstrument(respond, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for instrument in made:
        instrument.stop()


@pytest.fixture
def pty_instrument(tmp_path: Path) -> Iterator[Callable[..., PtyInstrument]]:
    """Make fake instruments on ptys; all end with the test."""
    made: list[PtyInstrument] = []

    def make(respond: Callable[[str], Reply] | None = None, **options: object) -> PtyInstrument:
        made.append(PtyInstrument(tmp_path / f"tty{len(made)}", respond, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for instrument in made:
        instrument.stop()


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    """Make instruments that expect exactly (sent, answered) pairs; all end with the test."""
    made: list[Script] = []

    def make(*pairs: tuple[str | bytes, Reply]) -> Script:
        made.append(Script(*pairs))
        return made[-1]

    yield make
    for instrument in made:
        assert instrument.mismatches == []
        instrument.stop()


@pytest.fixture(scope="session")
def demo_bench() -> Iterator[dict[str, str]]:
    """Addresses of a simulated bench in a process of its own."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "sim_devices", "sim_devices/benches/demo.toml", "--exit-with-parent"],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        announced = json.loads(process.stdout.readline())
        yield {name: instrument["address"] for name, instrument in announced["instruments"].items()}
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()
