"""open_line(): from an address of the station file to a Line. The only door to instruments.

TCPIP::192.168.0.7::5025::SOCKET          raw TCP, opened by pyvisa-py           -> socket_link
ASRL/dev/ttyUSB0::INSTR                   serial port or pty, also by symlink     -> serial_link
ASRLsocket://192.168.0.7:5028::INSTR      serial port behind a terminal server    -> serial_link
TCPIP::192.168.0.7::hislip0::INSTR        HiSLIP                                  -> visa_link
TCPIP::192.168.0.7::inst0::INSTR          VXI-11                                  -> visa_link
USB0::0x0957::0x2807::MY1::INSTR          USBTMC (needs pyusb or another library) -> visa_link
GPIB0::10::INSTR                          GPIB (needs a controller's library, or a Prologix as `gateway`)
"""

from collections.abc import Callable
from typing import Any

from drivers.line import Line
from drivers.link import Link
from drivers.paced_link import PacedLink
from drivers.serial_link import SerialLink, SerialSettings
from drivers.socket_link import SocketLink
from drivers.visa_link import VisaLink

__all__ = ["Line", "SerialSettings", "open_line"]


def open_line(
    address: str,
    *,
    timeout_s: float = 2.0,
    read_termination: str = "\n",
    write_termination: str = "\n",
    expected_serial: str | None = None,
    probe: str | None = "*IDN?",
    reconnect_s: float = 5.0,
    pause_s: float = 0.0,
    visa_library: str = "@py",
    gateway: str | None = None,
    **serial_settings: Any,
) -> Line:
    r"""Open the line to an instrument and learn who is there.

    timeout_s: longest wait for an answer. read_termination, write_termination: what ends an answer, a command.
    expected_serial: the serial number that must answer, else WrongIdentity. probe: the question that shows who answers
    and, after a fault, that questions and answers are in step; None for instruments without one (a fault then costs a
    timeout of silence, and another instrument in the same place goes unnoticed). reconnect_s: how long to try to reopen
    a lost line. pause_s: kept between an exchange and the next command, for instruments that lose what comes too soon.
    visa_library: "@py", "@ivi" or a path; sockets and serial ports do not depend on it.
    gateway: an interface to open first. serial_settings: baud_rate=9600, data_bits=8, parity="none", stop_bits=1,
    flow_control="none", for ASRL addresses.

    Raises LineRefused, LineTimeout, WrongIdentity; ValueError for settings that make no sense.

        with open_line("TCPIP::192.168.0.7::5025::SOCKET").locked(): …
    """
    kind = address.upper()
    is_serial, is_socket = kind.startswith("ASRL"), kind.startswith("TCPIP") and kind.endswith("::SOCKET")
    if timeout_s <= 0 or reconnect_s < 0 or pause_s < 0:
        raise ValueError(f"{address}: timeout_s must be positive, reconnect_s and pause_s not negative")
    if (is_serial or is_socket) and not read_termination:
        raise ValueError(f"{address}: sockets and serial ports need a read_termination such as '\\n'")
    if serial_settings and not is_serial:
        raise ValueError(f"{address}: {', '.join(serial_settings)}: only serial (ASRL) addresses have these settings")
    open_link: Callable[[], Link]
    if is_serial:
        try:
            settings = SerialSettings(**serial_settings)
        except TypeError as error:
            raise ValueError(f"{address}: unknown serial setting: {error}") from error
        open_link = lambda: SerialLink(address, settings)  # noqa: E731
    elif is_socket:
        open_link = lambda: SocketLink(address, timeout_s=timeout_s)  # noqa: E731
    else:
        open_link = lambda: VisaLink(  # noqa: E731
            address, timeout_s=timeout_s, visa_library=visa_library, gateway=gateway
        )
    return Line(
        address,
        open_link=(lambda: PacedLink(open_link(), pause_s)) if pause_s else open_link,
        timeout_s=timeout_s,
        read_termination=read_termination,
        write_termination=write_termination,
        probe=probe,
        expected_serial=expected_serial,
        reconnect_s=reconnect_s,
    )
