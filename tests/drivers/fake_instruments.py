"""Small fake instruments on real sockets and ptys, with every fault that a bench knows."""

import contextlib
import os
import re
import select
import socket
import threading
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

IDENTITY = "Fake Instruments,F-100,SN-1,1.0"
_BLOCK = re.compile(rb"#([1-9])")


@dataclass
class Held:
    """An answer that is sent only when the test sets the event."""

    answer: str
    release: threading.Event = field(default_factory=threading.Event)


class Hang:
    """No answer at all, and none to anything that follows on this connection."""


class Close:
    """The connection is closed instead of an answer."""


Reply = str | bytes | Held | Hang | Close | None


class FakeInstrument:
    """Answers through `respond(command)`; keeps what it received. Commands with a binary block arrive as bytes."""

    def __init__(self, respond: Callable[[str], Reply] | None = None, terminator: bytes = b"\n") -> None:
        self.respond = respond or (lambda command: None)
        self.terminator = terminator
        self.identity = IDENTITY
        self.received: list[str | bytes] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def commands(self) -> list[str | bytes]:
        """What was received apart from *IDN?."""
        return [command for command in self.received if command != "*IDN?"]

    def start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def serve(self, read: Callable[[], bytes], write: Callable[[bytes], None], close: Callable[[], None]) -> None:
        """One connection, until either side ends it."""
        buffer = b""
        with contextlib.suppress(OSError):
            while not self.stopping.is_set():
                command, buffer = _split(buffer, self.terminator)
                if command is None:
                    data = read()
                    if not data:
                        break
                    buffer += data
                    continue
                if not self._answer(command, write):
                    break
        close()

    def _answer(self, command: str | bytes, write: Callable[[bytes], None]) -> bool:
        self.received.append(command)
        reply = self.respond(command if isinstance(command, str) else command.decode("latin-1"))
        if command == "*IDN?" and reply is None:
            reply = self.identity
        if isinstance(reply, Close):
            return False
        if isinstance(reply, Hang):
            self.stopping.wait()
            return False
        if isinstance(reply, Held):
            reply.release.wait()
            reply = reply.answer
        if isinstance(reply, str):
            write(reply.encode() + self.terminator)
        elif reply is not None:
            write(reply)
        return True

    def stop(self) -> None:
        self.stopping.set()


def _split(buffer: bytes, terminator: bytes) -> tuple[str | bytes | None, bytes]:
    """The first whole command in the buffer (bytes if it carries a block), and the rest."""
    end = buffer.find(terminator)
    block = _BLOCK.search(buffer if end < 0 else buffer[: end + 1])
    if block is None:
        return (None, buffer) if end < 0 else (buffer[:end].decode(), buffer[end + len(terminator) :])
    digits = int(block[1])
    if len(buffer) < block.end() + digits:
        return None, buffer
    payload_end = block.end() + digits + int(buffer[block.end() : block.end() + digits])
    end = buffer.find(terminator, payload_end)
    return (None, buffer) if end < 0 else (buffer[:end], buffer[end + len(terminator) :])


class TcpInstrument(FakeInstrument):
    """A fake on a TCP port of 127.0.0.1."""

    def __init__(self, respond: Callable[[str], Reply] | None = None, port: int = 0, terminator: bytes = b"\n") -> None:
        super().__init__(respond, terminator)
        self._open: list[socket.socket] = []
        self.listen(port)

    def listen(self, port: int = 0) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self.port: int = self._server.getsockname()[1]
        self.address = f"TCPIP::127.0.0.1::{self.port}::SOCKET"
        self.start(self._accept, self._server)

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._open.append(connection)
                self.start(self.serve, lambda c=connection: c.recv(1 << 16), connection.sendall, connection.close)

    def kill_connections(self) -> None:
        """As when the instrument is switched off: every connection ends."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def send_unasked(self, data: bytes) -> None:
        """Something that nobody asked for."""
        self._open[-1].sendall(data)

    def refuse(self) -> None:
        """Close the listening port (shutdown wakes the accepting thread, which would keep it alive)."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def stop(self) -> None:
        super().stop()
        with contextlib.suppress(OSError):
            self.refuse()
        self.kill_connections()


class PtyInstrument(FakeInstrument):
    """A fake on a pty, reached through a symbolic link that survives a new pty."""

    def __init__(self, link: Path, respond: Callable[[str], Reply] | None = None, terminator: bytes = b"\n") -> None:
        super().__init__(respond, terminator)
        self._link = link
        self.address = f"ASRL{link}::INSTR"
        self.plug_in()

    def plug_in(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(slave)
        self._slave = slave  # kept open, else the master's read fails whenever no client is there
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(slave))
        master, (wake, self._wake) = self._master, os.pipe()
        self.connections += 1

        def read() -> bytes:
            ready, _, _ = select.select([master, wake], [], [])
            return b"" if wake in ready else os.read(master, 1 << 16)

        self.start(self.serve, read, lambda data: _write_all(master, data), lambda: os.close(master))

    def unplug(self) -> None:
        """The adapter leaves the machine: its device hangs up and disappears."""
        self._link.unlink(missing_ok=True)
        os.write(self._wake, b"x")
        self._threads[-1].join()
        os.close(self._slave)

    def stop(self) -> None:
        super().stop()
        with contextlib.suppress(OSError):
            self.unplug()


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


class Script(TcpInstrument):
    """Expects exactly these commands in this order: (sent, answered) pairs; answered None for no answer.

    finish(line) asserts that everything expected was sent and nothing else.
    """

    def __init__(self, *pairs: tuple[str | bytes, Reply]) -> None:
        self._expected = list(pairs)
        self.mismatches: list[str] = []
        super().__init__(self._next)

    def _next(self, command: str) -> Reply:
        if command == "*IDN?":
            return None
        sent = self.received[-1]
        if not self._expected:
            self.mismatches.append(f"nothing more was expected, {sent!r} came")
            return None
        expected, answer = self._expected.pop(0)
        if sent != expected:
            self.mismatches.append(f"{expected!r} was expected, {sent!r} came")
        return answer

    def finish(self, line: object) -> None:
        """Wait until the instrument has seen everything, then compare."""
        line.query("*IDN?")  # type: ignore[attr-defined]
        assert self.mismatches == []
        assert self._expected == []


def block(payload: bytes) -> bytes:
    """An IEEE 488.2 definite block with its terminator, as an instrument sends it."""
    length = str(len(payload)).encode()
    return b"#" + str(len(length)).encode() + length + payload + b"\n"
