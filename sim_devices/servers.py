"""Lines to instruments: TCP sockets on 127.0.0.1 and pseudo-terminals, on one asyncio loop."""

import asyncio
import contextlib
import os
import re
import socket
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sim_devices.faults import FaultyLine
from sim_devices.scpi import MessageSplitter, MessageTooLongError, ScpiError, ScpiInstrument

HOST = "127.0.0.1"
_PTY_BACKLOG_BYTES = 16 * 1024 * 1024


class Session:
    """One conversation: bytes in, messages obeyed one after another, replies out.

    Args:
        instrument: who obeys.
        line: the faults of its line.
        latency_s: time from the end of a message to its reply.
        send: writes bytes to the other side.
        close: hangs up.
        serial: CR ends messages too.
    """

    def __init__(
        self, *, instrument: ScpiInstrument, line: FaultyLine, latency_s: float,
        send: Callable[[bytes], None], close: Callable[[], None], serial: bool = False,
    ) -> None:  # fmt: skip
        self._instrument = instrument
        self._line = line
        self._latency_s = latency_s
        self._send = send
        self._close = close
        self._splitter = MessageSplitter(carriage_return_ends=serial)
        self._begin()

    def _begin(self) -> None:
        self._messages: asyncio.Queue[bytes] = asyncio.Queue()
        self._task = asyncio.ensure_future(self._obey())
        self._task.add_done_callback(self._failed)

    def _failed(self, task: asyncio.Task[None]) -> None:
        """An error in the simulator itself: say so and hang up, instead of leaving the client to wait."""
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "simulated instrument failed", "exception": error})
            self._close()

    def received(self, data: bytes) -> None:
        """Bytes came in."""
        if self._instrument.device_clear_characters:
            *forgotten, data = re.split(b"[" + re.escape(self._instrument.device_clear_characters) + b"]", data)
            if forgotten:
                self._clear()
        self._splitter.feed(data)
        try:
            while (message := self._splitter.next_message()) is not None:
                self._messages.put_nowait(message)
        except MessageTooLongError:
            self._instrument.report(ScpiError(-363))

    def end(self) -> None:
        """The other side is gone: whatever it waited for is given up."""
        self._task.cancel()

    def _clear(self) -> None:
        self._splitter.clear()
        self._task.cancel()
        self._begin()

    async def _obey(self) -> None:
        while True:
            message = await self._messages.get()
            reply = self._control(message)
            if reply is None:
                reply = await self._instrument.execute(message)
                if self._latency_s:
                    await asyncio.sleep(self._latency_s)
                if reply is not None:
                    await self._answer(message, reply)
            elif reply:
                self._send(reply + self._instrument.terminators)

    def _control(self, message: bytes) -> bytes | None:
        try:
            return self._line.control(message)
        except ValueError as error:
            self._instrument.report(ScpiError(-224, detail=str(error)))
            return b""

    async def _answer(self, message: bytes, reply: bytes) -> None:
        fate = self._line.fate(message, reply, self._instrument.terminators)
        if fate.delay_s:
            await asyncio.sleep(fate.delay_s)
        if fate.send:
            self._send(fate.send)
        if fate.close:
            self._close()


class LineServer(Protocol):
    """A line that is being served."""

    @property
    def address(self) -> str:
        """VISA resource name."""
        ...

    async def close(self) -> None:
        """Hang up and stop."""
        ...


class _Connection(asyncio.Protocol):
    def __init__(self, server: "TcpServer") -> None:
        self._server = server
        self._session: Session | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._session = self._server.new_session(self, transport)

    def data_received(self, data: bytes) -> None:
        if self._session is not None:
            self._session.received(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        if self._session is not None:
            self._session.end()
        self._server.connections.discard(self)


class TcpServer:
    """Any number of clients on a TCP port of 127.0.0.1, each with its own input buffer."""

    def __init__(self, *, instrument: ScpiInstrument, line: FaultyLine, latency_s: float, port: int) -> None:
        self._instrument = instrument
        self._line = line
        self._latency_s = latency_s
        self._port = port
        self._server: asyncio.Server | None = None
        self._replug: asyncio.Task[None] | None = None
        self.connections: set[_Connection] = set()

    async def start(self) -> None:
        """Listen; OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), HOST, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        """VISA resource name."""
        return f"TCPIP::{HOST}::{self._port}::SOCKET"

    def new_session(self, connection: _Connection, transport: asyncio.Transport) -> Session:
        """A client came."""
        self.connections.add(connection)
        return Session(
            instrument=self._instrument, line=self._line, latency_s=self._latency_s,
            send=transport.write, close=lambda: self._hang_up(transport),
        )  # fmt: skip

    def _hang_up(self, transport: asyncio.Transport) -> None:
        unplugged_s = self._line.faults.unplugged_s
        if not unplugged_s:
            transport.abort()
            return
        if self._server is not None:
            self._server.close()  # first, so that nobody comes back too early
        for connection in tuple(self.connections):
            if connection.transport is not None:
                connection.transport.abort()
        self._replug = asyncio.ensure_future(self._plug_in_again(unplugged_s))

    async def _plug_in_again(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self.start()

    async def close(self) -> None:
        """Hang up on everybody and stop listening."""
        if self._replug is not None:
            self._replug.cancel()
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            if connection.transport is not None:
                connection.transport.abort()


class PtyServer:
    """A serial line: a pseudo-terminal whose far end is kept open here, so that clients may come and go."""

    def __init__(self, *, instrument: ScpiInstrument, line: FaultyLine, latency_s: float, link: str) -> None:
        self._instrument = instrument
        self._line = line
        self._latency_s = latency_s
        self._link = Path(link) if link else None
        self._master = self._slave = -1
        self._path = ""
        self._unsent = bytearray()
        self._session: Session | None = None
        self._replug: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the terminal pair; OSError when the link cannot be made."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._path = os.ttyname(self._slave)
        if self._link is not None:
            if self._link.is_symlink():
                self._link.unlink()
            self._link.symlink_to(self._path)
        self._session = Session(
            instrument=self._instrument, line=self._line, latency_s=self._latency_s,
            send=self._write, close=self._hang_up, serial=True,
        )  # fmt: skip
        asyncio.get_running_loop().add_reader(self._master, self._read)

    @property
    def address(self) -> str:
        """VISA resource name: the link where there is one, else the terminal."""
        return f"ASRL{self._link or self._path}::INSTR"

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._master, 65536)
            if data and self._session is not None:
                self._session.received(data)

    def _write(self, data: bytes) -> None:
        if len(self._unsent) + len(data) > _PTY_BACKLOG_BYTES:
            return  # nobody reads; a real line would have lost it long ago
        self._unsent += data
        self._flush()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._unsent:
                del self._unsent[: os.write(self._master, self._unsent[:65536])]
        except BlockingIOError:
            loop.add_writer(self._master, self._flush)
        else:
            loop.remove_writer(self._master)

    def _hang_up(self) -> None:
        """Unplug the cable and, after a while, put in another: clients see the line die."""
        self._release()
        self._replug = asyncio.ensure_future(self._plug_in_again(self._line.faults.unplugged_s))

    async def _plug_in_again(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self.start()

    def _release(self) -> None:
        if self._master < 0:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        loop.remove_writer(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self._unsent.clear()
        if self._session is not None:
            self._session.end()

    async def close(self) -> None:
        """Hang up and remove the link."""
        if self._replug is not None:
            self._replug.cancel()
        self._release()
        if self._link is not None and self._link.is_symlink():
            self._link.unlink()
