"""A serial port (ASRL…), opened and set up by pyserial, read and written through its file descriptor.

Not through pyvisa-py, which reads byte by byte (0.16 MB/s against 84 MB/s). POSIX only.
"""

import os
import select
import time
from dataclasses import dataclass

import serial

from drivers.link import Link, LinkEnded, LinkNotOpened, LinkSilent


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialSettings:
    """How bits travel. The instrument's menu must show the same."""

    baud_rate: int = 9600
    data_bits: int = 8
    parity: str = "none"
    stop_bits: float = 1
    flow_control: str = "none"

    def __post_init__(self) -> None:
        """Raises ValueError for a setting that no port has."""
        for name, allowed in _ALLOWED.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {getattr(self, name)!r}: allowed are {', '.join(map(str, allowed))}")
        if self.baud_rate <= 0:
            raise ValueError(f"baud_rate = {self.baud_rate}: must be positive")


_PARITY_LETTERS = {"none": "N", "even": "E", "odd": "O", "mark": "M", "space": "S"}


_ALLOWED: dict[str, tuple[object, ...]] = {
    "data_bits": (5, 6, 7, 8),
    "parity": tuple(_PARITY_LETTERS),
    "stop_bits": (1, 1.5, 2),
    "flow_control": ("none", "xon_xoff", "rts_cts", "dtr_dsr"),
}


def port_of(address: str) -> str:
    """The port inside a VISA serial address: ASRL/dev/ttyUSB0::INSTR, ASRLsocket://host:port::INSTR, ASRL3::INSTR."""
    inside = address[len("ASRL") :]
    if inside.upper().endswith("::INSTR"):
        inside = inside[: -len("::INSTR")]
    return f"/dev/ttyS{inside}" if inside.isdigit() else inside


class SerialLink(Link):
    """One open serial port."""

    def __init__(self, address: str, settings: SerialSettings) -> None:
        """Open the port (following symbolic links) and throw away what an earlier user left in it."""
        port = port_of(address)
        try:
            self._port = serial.serial_for_url(
                port,
                baudrate=settings.baud_rate,
                bytesize=settings.data_bits,
                parity=_PARITY_LETTERS[settings.parity],
                stopbits=settings.stop_bits,
                xonxoff=settings.flow_control == "xon_xoff",
                rtscts=settings.flow_control == "rts_cts",
                dsrdtr=settings.flow_control == "dtr_dsr",
                timeout=0,
                # another process on the same port would read half of our answers (POSIX lock; ignored elsewhere)
                exclusive=True,
            )
            self._descriptor: int = self._port.fileno()
            self._port.reset_input_buffer()
        except (serial.SerialException, ValueError, OSError) as error:
            if "exclusively lock" in str(error):
                raise LinkNotOpened(f"{port} is in use, by another program or by another instrument table") from error
            raise LinkNotOpened(
                f"{error}: is the cable in, the path right, and may this user read it (group dialout)?"
            ) from error
        os.set_blocking(self._descriptor, False)
        self._wake_reader, self._wake_writer = os.pipe()
        self._closed = False

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all; the time limit is for each piece, since 9600 baud moves one byte a millisecond."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                writable = select.poll()
                writable.register(self._descriptor, select.POLLOUT)
                if not writable.poll(timeout_s * 1000):
                    raise LinkSilent("the port takes no more data (flow control?)") from None
            except OSError as error:
                raise LinkEnded(_reason(error)) from error

    def _readable(self) -> select.poll:
        # a new one each time: a signal handler that uses the line must not meet one that is in use
        readable = select.poll()
        readable.register(self._descriptor, select.POLLIN)
        readable.register(self._wake_reader, select.POLLIN)
        return readable

    def receive(self, most: int, timeout_s: float) -> bytes:
        """Whatever has arrived, at most `most` bytes."""
        deadline = time.monotonic() + timeout_s
        while True:
            events = self._readable().poll(max(0.0, deadline - time.monotonic()) * 1000)
            # closed: by a signal handler that repaired the line meanwhile; the numbers may belong to a new port by now
            if self._closed or any(descriptor == self._wake_reader for descriptor, _ in events):
                raise LinkEnded("interrupted")
            if not events:
                raise LinkSilent("no answer")
            try:
                data = os.read(self._descriptor, most)
            except BlockingIOError:
                continue
            except OSError as error:
                raise LinkEnded(_reason(error)) from error
            if not data:
                raise LinkEnded("the port hung up")
            return data

    def unexpected(self) -> bool:
        """A poll without waiting; a hung-up port is an end."""
        events = self._readable().poll(0)
        if not events:
            return False
        if any(flags & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, flags in events):
            raise LinkEnded("the port hung up")
        return True

    def interrupt(self) -> None:
        """Wake a receive() in another thread through a pipe of our own."""
        if not self._closed:
            os.write(self._wake_writer, b"x")

    def close(self) -> None:
        """Close the port and the wake pipe."""
        if not self._closed:
            self._closed = True
            self._port.close()
            os.close(self._wake_reader)
            os.close(self._wake_writer)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
