"""Simulated benches to talk to: in a thread of this process, or as a process of its own; and a plain socket client."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import serial

from sim_devices.bench_file import parse_bench
from sim_devices.running import BenchThread


class Client:
    """A raw socket that writes lines and reads answers; nothing is hidden."""

    def __init__(self, address: str, *, timeout_s: float = 10.0) -> None:
        host, port = address.split("::")[1:3]
        self.socket = socket.create_connection((host, int(port)), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def write(self, *commands: str) -> None:
        for command in commands:
            self.socket.sendall(command.encode() + b"\n")

    def read(self) -> str:
        line = self.file.readline()
        assert line.endswith(b"\n"), f"cut off: {line!r}"
        return line[:-1].decode()

    def query(self, command: str) -> str:
        self.write(command)
        return self.read()

    def write_block(self, prefix: str, data: bytes) -> None:
        length = str(len(data))
        self.socket.sendall(f"{prefix}#{len(length)}{length}".encode() + data + b"\n")

    def query_block(self, command: str) -> bytes:
        self.write(command)
        assert self.file.read(1) == b"#"
        digits = int(self.file.read(1))
        data = self.file.read(int(self.file.read(digits)))
        assert self.file.read(1) == b"\n"
        return data

    def errors(self) -> list[str]:
        found = []
        while not (error := self.query("SYST:ERR?")).startswith("+0,"):
            found.append(error)
        return found

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class SerialClient:
    """The same on a serial line."""

    def __init__(self, address: str, *, terminator: bytes = b"\r") -> None:
        self.port = serial.Serial(address.removeprefix("ASRL").removesuffix("::INSTR"), 57600, timeout=10)
        self.terminator = terminator

    def write(self, *commands: str) -> None:
        for command in commands:
            self.port.write(command.encode() + self.terminator)

    def query(self, command: str) -> str:
        self.write(command)
        line = self.port.readline()
        assert line.endswith(b"\n"), f"cut off: {line!r}"
        return line[:-1].decode()

    def close(self) -> None:
        self.port.close()


def bench_tables(**changes: Any) -> dict[str, Any]:
    """A bench file as tables; `changes` replace or add entries by path, as in instruments__awg__port=5025."""
    tables: dict[str, Any] = {
        "name": "test bench",
        "seed": 3,
        "devices": {"leaky": {"kind": "leaky_integrator"}, "duffing": {"kind": "duffing"}},
        "instruments": {
            "awg": {
                "model": "keysight_33522b",
                "outputs": {"1": "leaky.drive", "2": "duffing.drive"},
                "faults": {"runtime": True},
            },
            "digitiser": {
                "model": "keysight_l4532a",
                "inputs": {"1": "leaky.response", "2": "duffing.response"},
                "trigger": "awg",
            },
            "smu": {"model": "keithley_2400", "output": "duffing.bias", "sense": "duffing.response"},
        },
    }
    for name, value in changes.items():
        node = tables
        *path, last = name.split("__")
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return tables


@pytest.fixture
def tables() -> Callable[..., dict[str, Any]]:
    """A bench file as tables, with changes."""
    return bench_tables


@pytest.fixture
def client() -> Iterator[Callable[[str], Client]]:
    """Plain socket clients by address; closed with the test."""
    clients: list[Client] = []

    def connect(address: str) -> Client:
        clients.append(Client(address))
        return clients[-1]

    yield connect
    for entry in clients:
        entry.close()


class Rig:
    """A running bench and clients of its instruments; `awg`, `digitiser` and `smu` are opened when first used."""

    def __init__(self, **changes: Any) -> None:
        self.bench = BenchThread(parse_bench(bench_tables(**changes)))
        self.bench.__enter__()
        self._clients: list[Any] = []

    @property
    def addresses(self) -> dict[str, str]:
        return self.bench.addresses

    def connect(self, name: str, **options: Any) -> Any:
        """Another client of an instrument."""
        address = self.addresses[name]
        client = (SerialClient if address.startswith("ASRL") else Client)(address, **options)
        self._clients.append(client)
        return client

    @cached_property
    def awg(self) -> Client:
        return self.connect("awg")

    @cached_property
    def digitiser(self) -> Client:
        return self.connect("digitiser")

    @cached_property
    def smu(self) -> SerialClient:
        return self.connect("smu")

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.bench.__exit__(None, None, None)

    def prepare_play(
        self, volts: np.ndarray, *, channel: int = 1, amplitude_Vpp: float = 4.0, rate_Hz: float = 5000
    ) -> None:
        """Load a waveform (V) and make the channel wait for *TRG; the sync output follows the channel."""
        awg, ch = self.awg, channel
        awg.write(
            f"SOUR{ch}:BURS:STAT OFF", f"OUTP{ch} OFF", f"SOUR{ch}:DATA:VOL:CLE", f"OUTP{ch}:LOAD INF", "FORM:BORD SWAP"
        )
        awg.write_block(f"SOUR{ch}:DATA:ARB play,", (volts / (amplitude_Vpp / 2)).astype("<f4").tobytes())
        awg.write(
            f"SOUR{ch}:FUNC:ARB play", f"SOUR{ch}:FUNC ARB", f"SOUR{ch}:VOLT {amplitude_Vpp}", f"SOUR{ch}:VOLT:OFFS 0",
            f"SOUR{ch}:FUNC:ARB:SRAT {rate_Hz}", f"SOUR{ch}:FUNC:ARB:FILT OFF", f"SOUR{ch}:BURS:MODE TRIG",
            f"SOUR{ch}:BURS:NCYC 1", f"TRIG{ch}:SOUR BUS", f"SOUR{ch}:BURS:STAT ON", f"OUTP{ch} ON",
            f"OUTP:SYNC:SOUR CH{ch}",
        )  # fmt: skip
        assert awg.errors() == []

    def prepare_record(self, n_samples: int, *, rate_Hz: int = 5000, range_V: float = 2.0, source: str = "EXT") -> None:
        """Set up a record and arm."""
        self.digitiser.write(
            "ABOR", "FORM:BORD SWAP", f"CONF:ACQ:SRAT {rate_Hz}", f"CONF:ACQ:SCO {n_samples}",
            f"CONF:CHAN:RANG (@1,2),{range_V}", f"CONF:TRIG:SOUR {source}", "INIT",
        )  # fmt: skip
        assert self.digitiser.errors() == []

    def fetch(self, channel: int) -> np.ndarray:
        """Wait for the end and take the volts of one channel."""
        assert self.digitiser.query("*OPC?") == "1"
        return np.frombuffer(self.digitiser.query_block(f"FETC:WAV:VOLT? (@{channel})"), "<f4").astype(float)

    def play(self, volts: np.ndarray, *, channel: int = 1, **options: Any) -> np.ndarray:
        """One buffered play on one channel, and its response."""
        self.prepare_play(volts, channel=channel, **options)
        self.prepare_record(-(-len(volts) // 4) * 4)
        self.awg.write("*TRG")
        return self.fetch(channel)


@pytest.fixture
def start() -> Iterator[Callable[..., Rig]]:
    """Start benches in threads of this process: start(devices__leaky__noise_scale=0.0)."""
    running: list[Rig] = []

    def begin(**changes: Any) -> Rig:
        rig = Rig(**changes)
        running.append(rig)
        return rig

    yield begin
    for rig in running:
        rig.close()


class BenchProcess:
    """`python -m sim_devices` as a child; killed by the fixture."""

    def __init__(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sim_devices", *arguments],
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def announcement(self, *, timeout_s: float = 30.0) -> dict[str, Any]:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout_s)
        assert ready, "nothing was announced"
        announced: dict[str, Any] = json.loads(self.process.stdout.readline())
        return announced

    def stop(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=30)


@pytest.fixture
def spawn() -> Iterator[Callable[..., BenchProcess]]:
    """Start benches as processes."""
    running: list[BenchProcess] = []

    def begin(*arguments: str, **options: Any) -> BenchProcess:
        bench = BenchProcess(*arguments, **options)
        running.append(bench)
        return bench

    yield begin
    for bench in running:
        bench.stop()
