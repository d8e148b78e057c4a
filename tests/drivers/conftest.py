"""Fixtures that make fake instruments and end them with the test."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the test folders are no packages
from fake_instruments import PtyInstrument, Reply, TcpInstrument


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
