"""A simulated bench in a process of its own, and small stand-ins for instruments."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.simulation import SimulatedBench, write_demo_station


@pytest.fixture(scope="session")
def shared_sim() -> Iterator[SimulatedBench]:
    """One simulated bench for all tests that leave it as they found it."""
    with SimulatedBench.start() as sim:
        yield sim


@pytest.fixture
def demo_station(shared_sim: SimulatedBench, tmp_path: Path) -> Path:
    """The demo's station file, on the shared simulated bench."""
    return write_demo_station(shared_sim, tmp_path / "station.toml")


@pytest.fixture
def own_sim() -> Iterator[SimulatedBench]:
    """A simulated bench that a test may kill."""
    with SimulatedBench.start() as sim, port_numbers_kept(sim):
        yield sim


@contextlib.contextmanager
def port_numbers_kept(sim: SimulatedBench) -> Iterator[None]:
    """Keep the numbers of its serial ports taken: a dead bench's number would go to a bench of a test beside this one.

    Linux gives a pty's number away only when nobody has either of its ends open.
    """
    ports = [address.removeprefix("ASRL").split("::")[0] for address in sim.addresses.values()]
    held = [os.open(port, os.O_RDWR | os.O_NOCTTY) for port in ports if port.startswith("/dev/pts/")]
    try:
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


class FakeLine:
    """What channels look at of a line."""

    def __init__(self) -> None:
        self.generation = 0


class FakeSetPoint:
    """A set-point that remembers every value; `fail` is raised by the next calls until it is None again."""

    def __init__(self, level: float = 0.0, *, on: bool = True, limits: tuple[float, float] = (-10.0, 10.0)) -> None:
        self.limits = limits
        self.level = level
        self.on = on
        self.sent: list[float] = []
        self.fail: Exception | None = None
        self.before: Callable[[], None] = lambda: None

    def _may_fail(self) -> None:
        self.before()
        if self.fail is not None:
            raise self.fail

    def set_value(self, value: float) -> None:
        self._may_fail()
        self.sent.append(value)
        self.level = value

    def read_back(self) -> float:
        self._may_fail()
        return self.level

    def enable(self, on: bool) -> None:
        self._may_fail()
        self.on = on

    def enabled(self) -> bool:
        self._may_fail()
        return self.on


@pytest.fixture
def fake_set_point() -> type[FakeSetPoint]:
    return FakeSetPoint


@pytest.fixture
def fake_line() -> type[FakeLine]:
    return FakeLine


class Relay:
    """A cable that can be pulled: passes bytes between a port of its own and a simulated instrument's."""

    def __init__(self, address: str) -> None:
        _, host, port, kind = address.split("::")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"TCPIP::127.0.0.1::{self._listener.getsockname()[1]}::{kind}"
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.append(one)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            one.close()

    def pull(self, *, for_good: bool) -> None:
        """Break every connection; for_good: nobody can connect again."""
        if for_good:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def plug_in(self) -> None:
        """Whoever connects at the same address now is served again."""
        self._listener = socket.create_server(("127.0.0.1", int(self.address.split("::")[2])))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.pull(for_good=True)


@pytest.fixture
def relay() -> Iterator[Callable[[str], Relay]]:
    made: list[Relay] = []

    def make(address: str) -> Relay:
        made.append(Relay(address))
        return made[-1]

    yield make
    for one in made:
        one.close()
