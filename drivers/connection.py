"""The connection below a line: what state it is in, and how it is repaired before its next use."""

import logging
import threading
from collections.abc import Callable

from drivers.errors import DriverError, LineClosed, LineLost, LineRefused, LineTimeout, WrongIdentity
from drivers.framing import Framing
from drivers.healing import Doorkeeper
from drivers.link import LinkEnded, LinkFault, LinkNotOpened, LinkSilent

_log = logging.getLogger(__name__)


class Connection:
    """Used with the line's lock held, except for interrupt().

    fault: why the connection must be repaired before its next use; "" while all is well. generation: how often it has
    been reopened. hooks: called after every reopening. closing: set when the line is closed for good.
    """

    def __init__(self, door: Doorkeeper, *, probe: str, reconnect_s: float) -> None:
        """Open at once; raises LineRefused, LineTimeout or WrongIdentity and then leaves nothing open."""
        self.door = door
        self.fault = ""
        self.generation = 0
        self.hooks: list[Callable[[], None]] = []
        self.healing = False
        self.closing = threading.Event()
        self.framing: Framing | None = None
        self._address = door.address
        self._probe = probe
        self._reconnect_s = reconnect_s
        self._open_first()

    def failed(self, fault: LinkFault, command: str, limit_s: float, framing: Framing | None) -> DriverError:
        """The error to raise for a fault of the link, with the line marked as in need of repair."""
        if self.closing.is_set():
            return LineClosed(self._address, command, "the line was closed meanwhile")
        if isinstance(fault, LinkSilent):
            self.fault = str(fault)
            return LineTimeout(
                self._address,
                command,
                f"{fault} within {limit_s:g} s: is the instrument on, does it know this command, "
                "are its terminators those of the station file, does it need a longer timeout_s?",
            )
        self.drop(framing)
        return LineLost(
            self._address, command, f"connection lost: {fault}. A command under way may have been carried out or not"
        )

    def ready(self, command: str, *, answers_expected: bool = False) -> Framing:
        """The framing, fit for the next command: repaired if anything is wrong with it, before a byte leaves."""
        framing = self.framing
        if framing is not None and not self.fault and not self.closing.is_set():
            try:
                if answers_expected or not framing.unexpected():
                    return framing
                self.fault = "something was waiting to be read that nobody asked for"
            except LinkEnded as ended:
                _log.warning("%s: %s", self._address, ended)
                self.drop(framing)
        if self.healing:
            raise LineLost(self._address, command, "the connection broke again while it was being repaired")
        self.healing = True
        try:
            return self._heal(command)
        finally:
            self.healing = False

    def verify(self, framing: Framing) -> None:
        """Ask an open connection who is there; raises WrongIdentity or a LineError, and is repaired before its next use."""
        try:
            self.door.check(framing, after_fault=False)
        except WrongIdentity:
            self.drop(framing)
            raise
        except LinkFault as fault:
            raise self.failed(fault, self._probe, self.door.timeout_s, framing) from fault

    def _heal(self, command: str) -> Framing:
        if self.closing.is_set():
            raise LineClosed(self._address, command, "the line is closed")
        framing = self.framing
        if framing is not None and not framing.link.can_reopen_cheaply:
            try:
                self.door.check(framing, after_fault=True)
                self.fault = ""
                return framing
            except WrongIdentity:
                self.drop(framing)
                raise
            except LinkSilent as silent:
                raise self.failed(silent, command or self._probe, self.door.timeout_s, framing) from silent
            except LinkFault as fault:
                _log.warning("%s: %s; reopening", self._address, fault)
        return self._reopen(command)

    def _reopen(self, command: str) -> Framing:
        """Open again, check who is there, re-apply the settings."""
        self.drop(self.framing)
        try:
            framing = self.framing = self.door.reopen(within_s=self._reconnect_s, closing=self.closing)
        except LinkSilent as silent:
            raise self.failed(silent, command or self._probe, self.door.timeout_s, None) from silent
        except LinkFault as fault:
            if self.closing.is_set():
                raise LineClosed(self._address, command, "the line was closed meanwhile") from fault
            raise LineLost(
                self._address, command, f"not reachable again within {self._reconnect_s:g} s: {fault}"
            ) from fault
        if self.closing.is_set():
            self.drop(framing)
            raise LineClosed(self._address, command, "the line was closed meanwhile")
        self.fault = ""
        self.generation += 1
        _log.warning("%s: reopened; the instrument's state is unknown until it is read", self._address)
        try:
            for hook in self.hooks:
                hook()
        except BaseException:
            self.fault = "its settings could not be re-applied"
            raise
        return framing

    def _open_first(self) -> None:
        try:
            self.framing = self.door.open(after_fault=False)
        except LinkNotOpened as fault:
            raise LineRefused(self._address, "", f"cannot be opened: {fault}") from fault
        except LinkSilent as silent:
            raise self.failed(silent, self._probe, self.door.timeout_s, None) from silent
        except LinkFault as fault:
            raise LineRefused(self._address, "", f"opened, but {fault}") from fault

    def drop(self, framing: Framing | None) -> None:
        """Close one connection; a newer one, opened in between by a signal handler, say, stays."""
        if framing is not None:
            framing.link.close()
            if self.framing is framing:
                self.framing = None
