"""What channels share of one instrument, and the measured channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from drivers.errors import DriverError, LineError
from drivers.roles import Meter
from labctl.errors import InstrumentFault
from labctl.station import Channel


class HasGeneration(Protocol):
    """A line, as far as this module looks at it."""

    @property
    def generation(self) -> int:
        """How often the line was reopened."""
        ...


@dataclass(slots=True)
class InstrumentState:
    """What all channels of one instrument share: its line, and how many faults it has had."""

    name: str
    line: HasGeneration
    timeout_s: float
    reconnect_s: float
    faults: int = 0


class InputChannel:
    """One measured channel."""

    def __init__(self, channel: Channel, meter: Meter, state: InstrumentState) -> None:
        self.channel = channel
        self._meter = meter
        self._state = state
        self._factor = channel.to_instrument

    def read(self) -> float:
        """Measure once, in the channel's unit; raises InstrumentFault."""
        try:
            return self._meter.read_value() / self._factor
        except DriverError as error:
            if isinstance(error, LineError):  # a refusal to measure says nothing about the outputs
                self._state.faults += 1
            raise InstrumentFault(f"{self.channel.name} ({self._state.name}): reading failed: {error}") from error
