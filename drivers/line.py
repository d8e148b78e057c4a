"""Line: one locked, self-healing way to talk to one instrument.

Any thread may use it; a question and its answer cannot be torn apart. After a fault it is cleaned, reopened if need be,
and shown to be in step with the instrument (*IDN? twice, same serial number) BEFORE the next command leaves, so a late
answer is never taken for the next one. Questions are repeated once after such a repair; commands never are.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from drivers.blocks import definite_header
from drivers.errors import BadAnswer, DriverError, LineClosed, LineLost, LineRefused, LineTimeout, WrongIdentity
from drivers.framing import Framing
from drivers.healing import OutOfStep, identify
from drivers.identity import UNKNOWN
from drivers.link import Link, LinkEnded, LinkFault, LinkNotOpened, LinkSilent

_log = logging.getLogger(__name__)
_FIRST_BACK_OFF_S = 0.05
_LONGEST_BACK_OFF_S = 1.0
_Received = TypeVar("_Received", str, bytes)


class Line:
    """See the module. Made by drivers.transport.open_line.

    address: where the instrument is. identity: who answered there. lock: held over question and answer.
    generation: how often the line has been reopened; when it changes, the instrument may have been switched off in
    between, so its state is unknown until it is read again.
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
        self.timeout_s = timeout_s
        self.lock = threading.RLock()
        self.identity = UNKNOWN
        self.generation = 0
        self._open_link = open_link
        self.read_termination = read_termination
        self.write_termination = write_termination
        self._probe = None if probe is None else self._encode(probe)
        self._expected_serial = expected_serial
        self._reconnect_s = reconnect_s
        self._hooks: list[Callable[[], None]] = []
        self._framing: Framing | None = None
        self._fault = ""
        self._healing = False
        self._closing = threading.Event()
        self._open_first()

    # ---- use -------------------------------------------------------------------------------------------------------

    def locked(self) -> AbstractContextManager[bool]:
        """`with line.locked():` keeps other threads out over several commands."""
        return self.lock

    def write(self, command: str) -> None:
        """Send a command: once or not at all. After LineLost or LineTimeout it may or may not have been carried out."""
        data = self._encode(command)
        with self.lock:
            self._send(data, command, self._ready(command))

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
        command = f"{command_prefix}<{len(payload)} bytes>{suffix}"
        with self.lock:
            self._send(data, command, self._ready(command))

    def write_bytes(self, data: bytes, *, answers_expected: bool = False) -> None:
        """Send bytes as they are. answers_expected: earlier answers have not been read yet, so leave them there."""
        command = data[:60].decode("latin-1").rstrip("\r\n")
        with self.lock:
            self._send(data, command, self._ready(command, answers_expected=answers_expected))

    def read(self, *, timeout_s: float | None = None) -> str:
        """One answer to something written earlier; hold locked() from the write on. For adapted drivers."""
        with self.lock:
            return self._receive("", Framing.receive_line, timeout_s)

    def read_bytes(self, count: int, *, timeout_s: float | None = None) -> bytes:
        """Exactly `count` bytes of an answer to something written earlier. For adapted drivers."""
        with self.lock:
            return self._receive("", lambda framing, limit_s: framing.receive_bytes(count, limit_s), timeout_s)

    def read_all(self, *, quiet_s: float, timeout_s: float | None = None) -> bytes:
        """Everything that comes until nothing has come for quiet_s. For adapted drivers that know no length."""
        with self.lock:
            return self._receive("", lambda framing, limit_s: framing.receive_all(limit_s, quiet_s), timeout_s)

    def discard_input(self) -> None:
        """Throw away what waits to be read now. After a fault, nothing: the next command repairs the line anyway."""
        with self.lock:
            if self._framing is not None and not self._fault:
                try:
                    self._framing.drain(0.0)
                except LinkFault as fault:
                    raise self._failed(fault, "", self.timeout_s) from fault

    def on_reconnect(self, hook: Callable[[], None]) -> None:
        """Call `hook` after every reopening, with the lock held: a driver re-applies its settings there."""
        self._hooks.append(hook)

    def clear(self) -> None:
        """Throw away whatever is in the buffers of both sides and show that question and answer are in step."""
        with self.lock:
            self._fault = "clear() was asked for"
            self._ready("")

    def reconnect(self) -> None:
        """Close the connection, open it again and re-apply the settings."""
        with self.lock:
            self._drop()
            self._ready("")

    def close(self) -> None:
        """Close for good. An answer being waited for in another thread ends with LineClosed."""
        self._closing.set()
        framing = self._framing
        if framing is not None:
            framing.link.interrupt()
        # a VISA read cannot be interrupted: it ends by its own timeout, so wait that long and then close all the same
        free = self.lock.acquire(timeout=self.timeout_s + 1.0)
        try:
            self._drop()
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
            framing = self._ready(command)
            try:
                self._send(data, command, framing)
                return self._receive(command, receive, timeout_s)
            except (LineTimeout, LineLost) as failure:
                if not idempotent or self._healing:
                    raise
                _log.warning("%s; asking once more after a repair", failure)
                framing = self._ready(command)
                self._send(data, command, framing)
                return self._receive(command, receive, timeout_s)

    def _send(self, data: bytes, command: str, framing: Framing) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: send %r", self.address, command[:200])
        try:
            framing.link.send(data, self.timeout_s)
        except LinkFault as fault:
            raise self._failed(fault, command, self.timeout_s) from fault

    def _receive(
        self, command: str, receive: Callable[[Framing, float], _Received], timeout_s: float | None
    ) -> _Received:
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        framing = self._framing
        if framing is None:
            raise LineLost(self.address, command, "the connection broke before the answer was read")
        try:
            answer = receive(framing, limit_s)
        except LinkFault as fault:
            raise self._failed(fault, command, limit_s) from fault
        except BadAnswer as error:
            self._fault = str(error)
            raise BadAnswer(f"{self.address}: {error} (command: {command!r})") from error
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: answer %r", self.address, answer[:200])
        return answer

    def _failed(self, fault: LinkFault, command: str, limit_s: float) -> DriverError:
        """The error to raise for a fault of the link, with the line marked as in need of repair."""
        if self._closing.is_set():
            return LineClosed(self.address, command, "the line was closed meanwhile")
        if isinstance(fault, LinkSilent):
            self._fault = str(fault)
            return LineTimeout(
                self.address,
                command,
                f"{fault} within {limit_s:g} s: is the instrument on, does it know this command, "
                "are its terminators those of the station file, does it need a longer timeout_s?",
            )
        self._drop()
        return LineLost(
            self.address, command, f"connection lost: {fault}. A command under way may have been carried out or not"
        )

    # ---- repair ----------------------------------------------------------------------------------------------------

    def _ready(self, command: str, *, answers_expected: bool = False) -> Framing:
        """The framing, fit for the next command: repaired if anything is wrong with it, before a byte leaves."""
        framing = self._framing
        if framing is not None and not self._fault and not self._closing.is_set():
            try:
                if answers_expected or not framing.unexpected():
                    return framing
                self._fault = "something was waiting to be read that nobody asked for"
            except LinkEnded as ended:
                _log.warning("%s: %s", self.address, ended)
                self._drop()
        if self._healing:
            raise LineLost(self.address, command, "the connection broke again while it was being repaired")
        self._healing = True
        try:
            return self._heal(command)
        finally:
            self._healing = False

    def _heal(self, command: str) -> Framing:
        if self._closing.is_set():
            raise LineClosed(self.address, command, "the line is closed")
        framing = self._framing
        if framing is not None and not framing.link.can_reopen_cheaply:
            try:
                framing.link.clear()
                self._identify(framing, after_fault=True)
                self._fault = ""
                return framing
            except LinkSilent as silent:
                raise self._failed(silent, command or "*IDN?", self.timeout_s) from silent
            except LinkFault as fault:
                _log.warning("%s: %s; reopening", self.address, fault)
        return self._reopen(command)

    def _reopen(self, command: str) -> Framing:
        """Open again with a growing pause between attempts, check who is there, re-apply the settings."""
        self._drop()
        give_up_s = time.monotonic() + self._reconnect_s
        pause_s = _FIRST_BACK_OFF_S
        while True:
            try:
                framing = self._open_and_identify(after_fault=True)
                break
            except (LinkNotOpened, LinkEnded, OutOfStep) as fault:
                if self._closing.is_set():
                    raise LineClosed(self.address, command, "the line was closed meanwhile") from fault
                if time.monotonic() + pause_s > give_up_s:
                    raise LineLost(
                        self.address, command, f"not reachable again within {self._reconnect_s:g} s: {fault}"
                    ) from fault
            except LinkSilent as silent:
                raise self._failed(silent, command or "*IDN?", self.timeout_s) from silent
            self._closing.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_BACK_OFF_S)
        self.generation += 1
        _log.warning("%s: reopened; the instrument's state is unknown until it is read", self.address)
        try:
            for hook in self._hooks:
                hook()
        except BaseException:
            self._fault = "its settings could not be re-applied"
            raise
        return framing

    def _open_first(self) -> None:
        try:
            self._open_and_identify(after_fault=False)
        except LinkNotOpened as fault:
            raise LineRefused(self.address, "", f"cannot be opened: {fault}") from fault
        except LinkSilent as silent:
            error = self._failed(silent, "" if self._probe is None else self._probe.decode().strip(), self.timeout_s)
            self._drop()
            raise error from silent
        except LinkFault as fault:
            raise LineRefused(self.address, "", f"opened, but {fault}") from fault

    def _open_and_identify(self, *, after_fault: bool) -> Framing:
        framing = Framing(self._open_link(), self.read_termination)
        self._framing = framing
        try:
            if self._closing.is_set():
                raise LinkEnded("the line is closed")
            self._identify(framing, after_fault=after_fault)
        except BaseException:
            self._drop()
            raise
        self._fault = ""
        return framing

    def _identify(self, framing: Framing, *, after_fault: bool) -> None:
        """Probe; compare with who was here before. Raises WrongIdentity and drops the connection if it is another."""
        if self._probe is None:
            if after_fault:
                # nothing can show that we are in step, so a whole timeout of silence has to do
                framing.drain(self.timeout_s)
            return
        known = None if self.identity is UNKNOWN else self.identity
        found = identify(framing, self._probe, timeout_s=self.timeout_s, known=known, after_fault=after_fault)
        if known is not None and not known.same_instrument(found):
            self._drop()
            raise WrongIdentity(f"{self.address}: {known} was here, now {found} answers: was the cable moved?")
        if self._expected_serial is not None and found.serial != self._expected_serial:
            self._drop()
            raise WrongIdentity(
                f"{self.address}: {found} answers, but serial number {self._expected_serial!r} is expected here: "
                "is the address right, or the serial number in the station file?"
            )
        self.identity = found

    def _drop(self) -> None:
        framing, self._framing = self._framing, None
        if framing is not None:
            framing.link.close()
