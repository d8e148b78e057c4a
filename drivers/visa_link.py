"""Everything else that VISA opens: VXI-11, HiSLIP, USB, GPIB. These media mark the end of a message themselves."""

import logging
import threading
from typing import Any

from drivers.link import Link, LinkEnded, LinkNotOpened, LinkSilent
from drivers.visa_manager import resource_manager

CHUNK_BYTES = 1 << 20

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
        # END marks the end of an answer here; a termination character would cut binary blocks
        self._resource.read_termination = None
        self._resource.write_termination = ""
        self._resource.chunk_size = CHUNK_BYTES
        self._timeout_s = -1.0
        self._use_timeout(timeout_s)
        self._pending = b""

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
            raise _fault(error) from error

    def receive(self, most: int, timeout_s: float) -> bytes:  # noqa: ARG002
        """One whole message, however many bytes were asked for."""
        try:
            self._use_timeout(timeout_s)
            data = bytes(self._resource.read_raw(CHUNK_BYTES))
        except Exception as error:
            raise _fault(error) from error
        if not data:
            raise LinkSilent("an empty message")
        return data

    def unexpected(self) -> bool:
        """These media have no way to look without asking; device clear after a fault does the work instead."""
        return False

    def clear(self) -> None:
        """Device clear: the instrument empties its input and output buffers."""
        try:
            self._resource.clear()
        except Exception as error:
            raise _fault(error) from error

    def interrupt(self) -> None:
        """A VISA read cannot be woken from outside; it ends with its own timeout."""
        return

    def close(self) -> None:
        """Close the session, even one whose peer is gone."""
        try:
            self._resource.close()
        except Exception as error:  # noqa: BLE001 - pyvisa-py raises of every kind when the peer is gone already
            _log.warning("closing %s: %s", self._resource, error)


def _keep_open(manager: Any, visa_library: str, gateway: str) -> None:
    """Open an interface (a GPIB controller on the network) once and keep it for all lines behind it."""
    with _gateway_lock:
        if (visa_library, gateway) not in _gateways:
            _gateways[visa_library, gateway] = manager.open_resource(gateway)


def _fault(error: Exception) -> LinkSilent | LinkEnded:
    """pyvisa and pyvisa-py raise VisaIOError, InvalidSession, OSError, RuntimeError, TypeError …: two kinds matter."""
    from pyvisa.constants import StatusCode

    if isinstance(error, TimeoutError) or getattr(error, "error_code", None) == StatusCode.error_timeout:
        return LinkSilent("no answer")
    return LinkEnded(f"{type(error).__name__}: {error}")
