"""Text and bytes on real sockets and ptys, as instruments serve them."""

import contextlib
import os
import pty
import select
import socket
import threading
import tty
from collections.abc import Callable, Iterator


class Ended(Exception):  # noqa: N818
    """The other side has gone."""


class Port:
    """One connection: `until` and `exactly` read, `put` writes."""

    def __init__(self, read: Callable[[], bytes], put: Callable[[bytes], None]) -> None:
        self._read, self.put = read, put
        self._ahead = b""

    def _more(self) -> None:
        data = self._read()
        if not data:
            raise Ended
        self._ahead += data

    def until(self, mark: bytes) -> bytes:
        while mark not in self._ahead:
            self._more()
        found, self._ahead = self._ahead.split(mark, 1)
        return found

    def starts_with(self, count: int) -> bytes:
        while len(self._ahead) < count:
            self._more()
        return self._ahead[:count]

    def exactly(self, count: int) -> bytes:
        while len(self._ahead) < count:
            self._more()
        found, self._ahead = self._ahead[:count], self._ahead[count:]
        return found

    def block(self) -> bytes:
        assert self.exactly(1) == b"#"
        return self.exactly(int(self.exactly(int(self.exactly(1)))))


class Instrument:
    """Serves `handle(port)` for one message after another."""

    faults: set[str]

    def handle(self, port: Port) -> None:
        raise NotImplementedError

    def serve(self, port: Port) -> None:
        with contextlib.suppress(Ended, OSError):
            while True:
                self.handle(port)

    def tcp(self) -> str:
        server = socket.create_server(("127.0.0.1", 0))

        def accept() -> None:
            while True:
                connection, _ = server.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                port = Port(lambda c=connection: c.recv(1 << 16), connection.sendall)
                threading.Thread(target=self._connection, args=(port, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"TCPIP::127.0.0.1::{server.getsockname()[1]}::SOCKET"

    def _connection(self, port: Port, connection: socket.socket) -> None:
        self.serve(port)
        connection.close()

    def pty(self) -> str:
        master, slave = pty.openpty()
        tty.setraw(master)
        tty.setraw(slave)

        def read() -> bytes:
            select.select([master], [], [])
            return os.read(master, 1 << 16)

        port = Port(read, lambda data: _write_all(master, data))
        threading.Thread(target=self.serve, args=(port,), daemon=True).start()
        self._kept = slave  # else the master fails whenever nobody has the port open
        return f"ASRL{os.ttyname(slave)}::INSTR"


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def blocks(payload: bytes) -> bytes:
    """An IEEE 488.2 definite block."""
    length = str(len(payload)).encode()
    return b"#" + str(len(length)).encode() + length + payload


def fields(text: str) -> Iterator[tuple[str, str]]:
    """KEY,VALUE,KEY,VALUE …"""
    parts = text.split(",")
    return zip(parts[::2], parts[1::2], strict=False)
