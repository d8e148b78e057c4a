"""SCPI and IEEE 488.2: what every simulated instrument's parser has in common."""

from sim_devices.scpi.errors import ErrorQueue, ScpiError
from sim_devices.scpi.framing import MessageSplitter, MessageTooLongError
from sim_devices.scpi.instrument import ScpiInstrument
from sim_devices.scpi.parameters import INFINITY, Parameters
from sim_devices.scpi.tree import command

__all__ = [
    "INFINITY",
    "ErrorQueue",
    "MessageSplitter",
    "MessageTooLongError",
    "Parameters",
    "ScpiError",
    "ScpiInstrument",
    "command",
]
