"""Line: one locked, self-healing way to talk to one instrument.

Any thread may use it; a question and its answer cannot be torn apart. After a fault it is cleaned, reopened if need be,
and shown to be in step with the instrument (*IDN? twice, same serial number) BEFORE the next command leaves, so a late
answer is never taken for the next one. Questions are repeated once after such a repair; commands never are.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from drivers.blocks import definite_header
from drivers.connection import Connection
from drivers.errors import BadAnswer, LineLost, LineTimeout
from drivers.framing import Framing
from drivers.healing import Doorkeeper
from drivers.identity import Identity
from drivers.link import Link, LinkFault

_log = logging.getLogger(__name__)
_UNFINISHED = "an exchange was interrupted half way"
"""The fault that stands while something is under way: Ctrl-C or a signal in the middle leaves it standing, and the next
use repairs the line first. Otherwise the answer, when it comes, would be taken for the next one."""
_Received = TypeVar("_Received", str, bytes)


class Line:
    """See the module. Made by drivers.transport.open_line.

    address: where the instrument is. lock: held over question and answer.
    """

    def __init__(
        self,
        address: str,
        *,
        open_link: Callable[[], Link],
        timeout_s: float,
        read_termination: str,
        write_termination: str,
        probe: str | None,
        expected_serial: str | None,
        reconnect_s: float,
    ) -> None:
        """Open and identify at once; raises LineRefused, LineTimeout or WrongIdentity and then leaves nothing open."""
        self.address = address
        self.lock = threading.RLock()
        self.read_termination = read_termination
        self.write_termination = write_termination
        door = Doorkeeper(
            address=address,
            open_link=open_link,
            read_termination=read_termination,
            timeout_s=timeout_s,
            probe=None if probe is None else self._encode(probe),
            expected_serial=expected_serial,
        )
        self._connection = Connection(door, probe=probe or "", reconnect_s=reconnect_s)

    @property
    def timeout_s(self) -> float:
        """Longest wait for an answer; may be changed."""
        return self._connection.door.timeout_s

    @timeout_s.setter
    def timeout_s(self, timeout_s: float) -> None:
        self._connection.door.timeout_s = timeout_s

    @property
    def identity(self) -> Identity:
        """Who answers at this address; UNKNOWN for a line without a probe."""
        return self._connection.door.identity

    @property
    def generation(self) -> int:
        """How often the line has been reopened. When it changes, the instrument may have been switched off in between,
        so its state is unknown until it is read again."""
        return self._connection.generation

    # ---- use -------------------------------------------------------------------------------------------------------

    def locked(self) -> AbstractContextManager[bool]:
        """`with line.locked():` keeps other threads out over several commands."""
        return self.lock

    def write(self, command: str) -> None:
        """Send a command: once or not at all. After LineLost or LineTimeout it may or may not have been carried out."""
        self._write(self._encode(command), command)

    def query(self, command: str, *, idempotent: bool = True, timeout_s: float | None = None) -> str:
        """Ask, and return the answer without its terminator.

        idempotent=False for questions that change something (SYST:ERR? pops its queue): they are never repeated.
        """
        return self._ask(self._encode(command), command, Framing.receive_line, idempotent, timeout_s)

    def query_block(self, command: str, *, idempotent: bool = True, timeout_s: float | None = None) -> bytes:
        """Ask for a binary block and return its payload. timeout_s is for each piece, not for the whole block."""
        return self._ask(self._encode(command), command, Framing.receive_block, idempotent, timeout_s)

    def write_block(self, command_prefix: str, payload: bytes, suffix: str = "") -> None:
        """Send prefix, payload as a definite block, suffix and terminator as one command."""
        start = command_prefix.encode("ascii") + definite_header(len(payload))
        data = b"".join((start, payload, (suffix + self.write_termination).encode("ascii")))
        self._write(data, f"{command_prefix}<{len(payload)} bytes>{suffix}")

    def write_bytes(self, data: bytes, *, answers_expected: bool = False) -> None:
        """Send bytes as they are. answers_expected: earlier answers have not been read yet, so leave them there."""
        self._write(data, data[:60].decode("latin-1").rstrip("\r\n"), answers_expected=answers_expected)

    def read(self, *, timeout_s: float | None = None) -> str:
        """One answer to something written earlier; hold locked() from the write on. For adapted drivers."""
        return self._read(Framing.receive_line, timeout_s)

    def read_bytes(self, count: int, *, timeout_s: float | None = None) -> bytes:
        """Exactly `count` bytes of an answer to something written earlier. For adapted drivers."""
        return self._read(lambda framing, limit_s: framing.receive_bytes(count, limit_s), timeout_s)

    def read_all(self, *, quiet_s: float, timeout_s: float | None = None) -> bytes:
        """Everything that comes until nothing has come for quiet_s. For adapted drivers that know no length."""
        return self._read(lambda framing, limit_s: framing.receive_all(limit_s, quiet_s), timeout_s)

    def discard_input(self) -> None:
        """Throw away what waits to be read now. Nothing after a fault, when the next command repairs the line anyway, and
        nothing on media that keep answers apart as messages."""
        with self.lock:
            framing = self._connection.framing
            if framing is not None and not self._connection.fault and not framing.link.message_based:
                try:
                    framing.drain(0.0)
                except LinkFault as fault:
                    raise self._connection.failed(fault, "", self.timeout_s, framing) from fault

    def on_reconnect(self, hook: Callable[[], None]) -> None:
        """Call `hook` after every reopening, with the lock held: a driver re-applies its settings there."""
        self._connection.hooks.append(hook)

    def clear(self) -> None:
        """Throw away whatever is in the buffers of both sides and show that question and answer are in step."""
        with self.lock:
            self._connection.fault = "clear() was asked for"
            self._connection.ready("")

    def identify(self) -> Identity:
        """Ask again who is there; settings stay. UNKNOWN for a line without a probe.

        Raises WrongIdentity if another instrument answers than before; LineTimeout, LineLost.
        """
        with self.lock:
            framing = self._connection.ready("")
            self._connection.fault = _UNFINISHED
            self._connection.verify(framing)
            self._connection.fault = ""
            return self.identity

    def reconnect(self) -> None:
        """Close the connection, open it again and re-apply the settings."""
        with self.lock:
            self._connection.drop(self._connection.framing)
            self._connection.ready("")

    def close(self) -> None:
        """Close for good. An answer being waited for in another thread ends with LineClosed."""
        self._connection.closing.set()
        framing = self._connection.framing
        if framing is not None:
            framing.link.interrupt()
        # a VISA read cannot be interrupted: it ends by its own timeout, so wait that long and then close all the same
        free = self.lock.acquire(timeout=self.timeout_s + 1.0)
        try:
            self._connection.drop(self._connection.framing)
        finally:
            if free:
                self.lock.release()

    # ---- asking ----------------------------------------------------------------------------------------------------

    def _encode(self, command: str) -> bytes:
        if "\n" in command or "\r" in command:
            raise ValueError(f"{self.address}: one command at a time, without line ends: {command!r}")
        return (command + self.write_termination).encode("ascii")

    def _ask(
        self,
        data: bytes,
        command: str,
        receive: Callable[[Framing, float], _Received],
        idempotent: bool,
        timeout_s: float | None,
    ) -> _Received:
        with self.lock:
            framing = self._connection.ready(command)
            try:
                self._connection.fault = _UNFINISHED
                self._send(data, command, framing)
                answer = self._receive(command, framing, receive, timeout_s)
            except (LineTimeout, LineLost) as failure:
                if not idempotent or self._connection.healing:
                    raise
                _log.warning("%s; asking once more after a repair", failure)
                framing = self._connection.ready(command)
                self._connection.fault = _UNFINISHED
                self._send(data, command, framing)
                answer = self._receive(command, framing, receive, timeout_s)
            self._connection.fault = ""
            return answer

    def _write(self, data: bytes, command: str, *, answers_expected: bool = False) -> None:
        with self.lock:
            framing = self._connection.ready(command, answers_expected=answers_expected)
            self._connection.fault = _UNFINISHED
            self._send(data, command, framing)
            self._connection.fault = ""

    def _read(self, receive: Callable[[Framing, float], _Received], timeout_s: float | None) -> _Received:
        with self.lock:
            framing = self._connection.framing
            if framing is None or self._connection.fault:
                raise LineLost(
                    self.address, "", f"there is no answer to read: {self._connection.fault or 'the connection broke'}"
                )
            self._connection.fault = _UNFINISHED
            answer = self._receive("", framing, receive, timeout_s)
            self._connection.fault = ""
            return answer

    def _send(self, data: bytes, command: str, framing: Framing) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: send %r", self.address, command[:200])
        try:
            framing.link.send(data, self.timeout_s)
        except LinkFault as fault:
            raise self._connection.failed(fault, command, self.timeout_s, framing) from fault

    def _receive(
        self,
        command: str,
        framing: Framing,
        receive: Callable[[Framing, float], _Received],
        timeout_s: float | None,
    ) -> _Received:
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        try:
            answer = receive(framing, limit_s)
        except LinkFault as fault:
            raise self._connection.failed(fault, command, limit_s, framing) from fault
        except BadAnswer as error:
            raise BadAnswer(f"{self.address}: {error} (command: {command!r})") from error
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: answer %r", self.address, answer[:200])
        return answer
