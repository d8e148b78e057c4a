"""Everything else that VISA opens: VXI-11, HiSLIP, USB, GPIB. These media mark the end of a message themselves."""

import contextlib
import logging
import select
import socket
import threading
from typing import Any

from drivers.link import Link, LinkEnded, LinkNotOpened, LinkSilent
from drivers.visa_manager import resource_manager

_log = logging.getLogger(__name__)
_gateways: dict[tuple[str, str], Any] = {}
_gateway_lock = threading.Lock()


class VisaLink(Link):
    """One pyvisa message-based session."""

    message_based = True

    def __init__(self, address: str, *, timeout_s: float, visa_library: str, gateway: str | None) -> None:
        """Open; gateway is an interface that must be open first, such as "PRLGX-TCPIP0::10.0.0.5::1234::INTFC"."""
        manager = resource_manager(visa_library)
        timeout_ms = max(1, round(timeout_s * 1000))
        try:
            if gateway is not None:
                _keep_open(manager, visa_library, gateway)
            self._resource = manager.open_resource(address, open_timeout=timeout_ms)
        except ValueError as error:
            raise LinkNotOpened(f"VISA library {visa_library!r} cannot open this kind of address: {error}") from error
        except Exception as error:  # pyvisa-py raises bare Exceptions and protocol errors of its own
            raise LinkNotOpened(f"{error}: is the instrument on, its address right, and the network up?") from error
        # pyvisa's defaults stay: no termination character, since END marks the end and a character would cut blocks
        self._timeout_s = -1.0
        self._broken = False
        self._use_timeout(timeout_s)

    def _use_timeout(self, timeout_s: float) -> None:
        if timeout_s != self._timeout_s:
            self._resource.timeout = max(1, round(timeout_s * 1000))
            self._timeout_s = timeout_s

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send one message."""
        try:
            self._use_timeout(timeout_s)
            self._resource.write_raw(data)
        except Exception as error:
            raise self._fault(error) from error

    def receive(self, most: int, timeout_s: float) -> bytes:
        """One whole message, taken in pieces of at most `most` bytes."""
        try:
            self._use_timeout(timeout_s)
            data = bytes(self._resource.read_raw(most))
        except Exception as error:
            raise self._fault(error) from error
        if not data:
            raise LinkSilent("an empty message")
        return data

    def unexpected(self) -> bool:
        """Never True: a late reply is dealt with by device clear. But pyvisa-py's sockets show whether the peer is gone,
        for which pyvisa-py itself would spin until the timeout."""
        for open_socket in self._sockets():
            if select.select([open_socket], [], [], 0)[0]:
                try:
                    ended = not open_socket.recv(1, socket.MSG_PEEK)
                except OSError as error:
                    raise self._fault(error) from error
                if ended:
                    self._broken = True
                    raise LinkEnded("the instrument closed the connection")
        return False

    def _sockets(self) -> list[socket.socket]:
        """The sockets of a VXI-11 or HiSLIP session of pyvisa-py; none for other media and libraries."""
        sessions = getattr(self._resource.visalib, "sessions", {})
        inner = getattr(sessions.get(getattr(self._resource, "_session", None)), "interface", None)
        found = [getattr(inner, name, None) for name in ("sock", "_sync", "_async")]
        return [entry for entry in found if isinstance(entry, socket.socket) and entry.fileno() >= 0]

    def clear(self) -> bool:
        """Device clear; False for media and libraries that do not support it."""
        from pyvisa.constants import StatusCode

        try:
            self._resource.clear()
        except Exception as error:
            unsupported = getattr(error, "error_code", None) == StatusCode.error_nonsupported_operation
            if unsupported or isinstance(error, NotImplementedError):
                return False
            raise self._fault(error) from error
        return True

    def interrupt(self) -> None:
        """Shut pyvisa-py's own sockets down; a read in another VISA library ends only with its timeout."""
        for open_socket in self._sockets():
            with contextlib.suppress(OSError):  # the peer may have closed it already
                open_socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the session, even one whose peer is gone."""
        with contextlib.suppress(LinkEnded):
            self.unexpected()
        if self._broken:
            self.interrupt()  # else pyvisa-py spins for seconds, waiting for an answer to its good-bye
        try:
            self._resource.close()
        except Exception as error:  # noqa: BLE001 - pyvisa-py raises of every kind when the peer is gone already
            _log.warning("closing %s: %s", self._resource, error)

    def _fault(self, error: Exception) -> LinkSilent | LinkEnded:
        """VisaIOError, InvalidSession, OSError, RuntimeError, TypeError … come from below: two kinds matter."""
        from pyvisa.constants import StatusCode

        if isinstance(error, TimeoutError) or getattr(error, "error_code", None) == StatusCode.error_timeout:
            return LinkSilent("no answer")
        self._broken = True
        return LinkEnded(f"{type(error).__name__}: {error}")


def _keep_open(manager: Any, visa_library: str, gateway: str) -> None:
    """Open an interface (a GPIB controller on the network) once and keep it for all lines behind it."""
    with _gateway_lock:
        if (visa_library, gateway) not in _gateways:
            _gateways[visa_library, gateway] = manager.open_resource(gateway)
