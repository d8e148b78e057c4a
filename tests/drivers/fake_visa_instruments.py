"""Fake instruments that speak VXI-11, HiSLIP and Prologix GPIB-over-TCP, just enough for pyvisa-py."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from fake_instruments import FakeInstrument, Reply, TcpInstrument


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return data


class _MessageInstrument(TcpInstrument):
    """Commands come as messages; answers are kept until they are read."""

    def __init__(self, respond: Callable[[str], Reply] | None = None) -> None:
        self.waiting: list[bytes] = []
        self.new_answer = threading.Condition()
        self.clears = 0
        super().__init__(respond)

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._open.append(connection)
                self.start(self._run, connection)

    def _run(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self.converse(connection)
        connection.close()

    def converse(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def take(self, message: bytes) -> None:
        """One command; its answer joins those that wait."""
        kept: list[bytes] = []
        command = message.rstrip(b"\n").decode("latin-1")
        if not self._answer(command, kept.append):
            return
        with self.new_answer:
            self.waiting += kept
            self.new_answer.notify_all()


class Vxi11Instrument(_MessageInstrument):
    """VXI-11 core channel on a port of its own, without a portmapper."""

    def __init__(self, respond: Callable[[str], Reply] | None = None) -> None:
        super().__init__(respond)
        self.address = f"TCPIP::127.0.0.1,{self.port}::inst0::INSTR"

    def converse(self, connection: socket.socket) -> None:
        while True:
            (mark,) = struct.unpack("!I", receive_exactly(connection, 4))
            call = receive_exactly(connection, mark & 0x7FFFFFFF)
            xid, _, _, _, _, procedure = struct.unpack("!6I", call[:24])
            result = self._procedure(procedure, call[40:])
            reply = struct.pack("!6I", xid, 1, 0, 0, 0, 0) + result
            connection.sendall(struct.pack("!I", 0x80000000 | len(reply)) + reply)

    def _procedure(self, procedure: int, arguments: bytes) -> bytes:
        if procedure == 10:  # create_link
            return struct.pack("!iIII", 0, 7, 0, 1 << 20)
        if procedure == 11:  # device_write
            (length,) = struct.unpack("!I", arguments[16:20])
            self.start(self.take, arguments[20 : 20 + length])
            return struct.pack("!iI", 0, length)
        if procedure == 12:  # device_read
            return self._read(*struct.unpack("!III", arguments[:12])[1:])
        if procedure == 15:  # device_clear
            self.clears += 1
            self.waiting.clear()
        return struct.pack("!i", 0)

    def _read(self, most: int, timeout_ms: int) -> bytes:
        with self.new_answer:
            if not self.new_answer.wait_for(lambda: self.waiting, timeout_ms / 1000):
                return struct.pack("!iiI", 15, 0, 0)
            answer, rest = self.waiting[0][:most], self.waiting[0][most:]
            if rest:
                self.waiting[0] = rest
            else:
                self.waiting.pop(0)
        return struct.pack("!iiI", 0, 0 if rest else 4, len(answer)) + answer + bytes(-len(answer) % 4)


class HislipInstrument(_MessageInstrument):
    """HiSLIP 1.0 with a synchronous and an asynchronous channel."""

    def __init__(self, respond: Callable[[str], Reply] | None = None) -> None:
        super().__init__(respond)
        self.address = f"TCPIP::127.0.0.1::hislip0,{self.port}::INSTR"

    def converse(self, connection: socket.socket) -> None:
        def send(kind: int, parameter: int = 0, payload: bytes = b"") -> None:
            connection.sendall(struct.pack("!2sBBIQ", b"HS", kind, 0, parameter, len(payload)) + payload)

        message = b""
        while True:
            _, kind, _, parameter, length = struct.unpack("!2sBBIQ", receive_exactly(connection, 16))
            payload = receive_exactly(connection, length)
            if kind == 0:  # Initialize
                send(1, 0x0100_0001)
            elif kind == 17:  # AsyncInitialize
                send(18)
            elif kind == 15:  # AsyncMaxMsgSize
                send(16, 0, struct.pack("!Q", 1 << 20))
            elif kind == 19:  # AsyncDeviceClear
                self.clears += 1
                send(23)
            elif kind == 8:  # DeviceClearComplete
                self.waiting.clear()
                send(9)
            elif kind in (6, 7):  # Data, DataEnd
                message += payload
                if kind == 7:
                    command, message = message, b""
                    self.start(self._take_and_send, command, parameter, send)

    def _take_and_send(self, command: bytes, message_id: int, send: Callable[..., None]) -> None:
        with contextlib.suppress(OSError):
            self.take(command)
            with self.new_answer:
                answers, self.waiting = self.waiting, []
            for answer in answers:
                send(7, message_id, answer)


class PrologixInstrument(FakeInstrument):
    """A GPIB instrument behind a Prologix GPIB-Ethernet controller: ++ commands are the controller's."""

    def __init__(self, respond: Callable[[str], Reply] | None = None) -> None:
        super().__init__(respond)
        self.waiting: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.gateway = f"PRLGX-TCPIP0::127.0.0.1::{self._server.getsockname()[1]}::INTFC"
        self.address = "GPIB0::10::INSTR"
        self.start(self._run)

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._server.accept()
            for line in connection.makefile("rb"):
                command = line.rstrip(b"\n").replace(b"\x1b", b"").decode()
                if command.startswith("++read"):
                    if self.waiting:
                        connection.sendall(self.waiting.pop(0))
                elif command and not command.startswith("++"):
                    self._answer(command, self.waiting.append)

    def stop(self) -> None:
        super().stop()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
