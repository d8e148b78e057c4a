"""The stations of docs/generic-scpi.md, on instruments of other makes that run in a process of their own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "generic-scpi.md"
WHO = {"box": "pebble", "supply": "polar", "generator": "vela", "scope": "orion", "daq": "lyra"}
"""Which of the instruments stands for which one of the document."""


class Instruments:
    """The process; `fault("orion", "short")` makes one misbehave from then on."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "bench.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addresses: dict[str, str] = json.loads(self.process.stdout.readline())

    def fault(self, name: str, kind: str) -> None:
        self.process.stdin.write(f"{name} {kind}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def on(self, text: str) -> str:
        """The text of a station file with the addresses of these instruments."""
        for name, stands_in in WHO.items():
            text = re.sub(
                rf'(\[instruments\.{name}\]\ndriver = "scpi"\naddress = )"[^"]*"',
                lambda found, address=self.addresses[stands_in]: f'{found[1]}"{address}"',
                text,
            )
        return text

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(scope="session")
def shared_instruments() -> Iterator[Instruments]:
    instruments = Instruments()
    yield instruments
    instruments.stop()


@pytest.fixture
def own_instruments() -> Iterator[Instruments]:
    """Instruments that a test may break."""
    instruments = Instruments()
    yield instruments
    instruments.stop()


@pytest.fixture(scope="session")
def document() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def stations(document: str) -> dict[str, str]:
    """The station files of the document by their first word: slow, fast, combined."""
    texts = re.findall(r"```toml\n(.*?)```", document, flags=re.DOTALL)
    return {re.search(r'name = "(\w+) bench"', text)[1]: text for text in texts}


@pytest.fixture
def write_station(tmp_path: Path, stations: dict[str, str]) -> Callable[..., Path]:
    """write_station("fast", instruments, old=new …): a station file of the document, with some of its text replaced."""

    def write(name: str, instruments: Instruments, *replaced: tuple[str, str]) -> Path:
        text = instruments.on(stations[name])
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
