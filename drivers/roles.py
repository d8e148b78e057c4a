"""The few roles that an instrument can play on a bench. All quantities are in the terminal's SI unit (V, A, Hz, s).

A terminal is a string: "1", "2" for numbered outputs and inputs, "output", or the name of a property.
A driver gives out role objects by terminal; asking for a role that the terminal lacks raises UnknownTerminal.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from drivers.identity import Identity


@runtime_checkable
class Instrument(Protocol):
    """Anything with an identity and an error queue."""

    def identity(self) -> Identity:
        """Who answers at this address (asked when the line was opened)."""
        ...

    def check_errors(self) -> None:
        """Drain the instrument's error queue; raise InstrumentReported if it held anything."""
        ...

    def describe_settings(self) -> dict[str, str]:
        """The instrument's present settings, read from it, for the provenance of a recording."""
        ...

    def close(self) -> None:
        """Close the line. Outputs stay as they are: making them safe is the bench's business."""
        ...


@runtime_checkable
class SetPoint(Protocol):
    """A quantity that is set and held: a voltage source, a magnet current, a heater."""

    @property
    def limits(self) -> tuple[float, float]:
        """The instrument's own (lowest, highest) value."""
        ...

    def set_value(self, value: float) -> None:
        """Set at once, without a ramp. Raises OutOfRange before a byte leaves."""
        ...

    def read_back(self) -> float:
        """The value that the instrument itself says it is set to."""
        ...

    def enable(self, on: bool) -> None:
        """Switch the output on or off."""
        ...

    def enabled(self) -> bool:
        """Whether the instrument says that its output is on."""
        ...


@runtime_checkable
class Meter(Protocol):
    """A quantity that is measured when asked."""

    def read_value(self) -> float:
        """Measure once. Raises BadAnswer on overflow or anything that is not a finite number."""
        ...


@runtime_checkable
class Player(Protocol):
    """Plays waveforms from the instrument's own memory, all terminals in step."""

    @property
    def terminals(self) -> tuple[str, ...]:
        """The terminals that can play."""
        ...

    @property
    def max_samples(self) -> int:
        """The longest waveform that fits."""
        ...

    def load(self, waveforms: Mapping[str, NDArray[np.float64]], *, sample_rate_Hz: float) -> None:
        """Put one waveform (time,) in volts into the memory of each terminal; equal lengths.

        The first and last sample should be the level at which the output rests: it waits there for the trigger and
        stays there after the play. Raises OutOfRange for values, lengths or rates that the instrument cannot play
        exactly, InstrumentReported if it complained.
        """
        ...

    def arm(self) -> None:
        """Make every loaded terminal wait for the trigger."""
        ...

    def trigger(self) -> None:
        """Start all armed terminals together."""
        ...

    def stop(self) -> None:
        """End the play and hold each output at the level it had before load()."""
        ...


@runtime_checkable
class Digitiser(Protocol):
    """Records samples into the instrument's own memory, all inputs in step."""

    @property
    def terminals(self) -> tuple[str, ...]:
        """The inputs that can be recorded."""
        ...

    @property
    def max_samples(self) -> int:
        """The longest record of one input."""
        ...

    def configure(self, inputs: Mapping[str, float], *, sample_rate_Hz: float, n_samples: int) -> None:
        """Record n_samples of these inputs (terminal -> full-scale range in volts).

        Raises OutOfRange if a range, the length or the rate cannot be set exactly.
        """
        ...

    def arm(self) -> None:
        """Wait for the trigger; sample 0 is taken at the trigger."""
        ...

    def samples_ready(self) -> int:
        """How many samples of every input can be fetched by now."""
        ...

    def fetch(self, terminal: str, start: int, count: int) -> NDArray[np.float64]:
        """Samples start … start+count-1 of one input, (count,) in volts."""
        ...

    def abort(self) -> None:
        """Stop waiting or recording."""
        ...


@runtime_checkable
class Driver(Instrument, Protocol):
    """An instrument that gives out its roles by terminal."""

    def set_point(self, terminal: str) -> SetPoint:
        """The terminal as something to set."""
        ...

    def meter(self, terminal: str) -> Meter:
        """The terminal as something to measure."""
        ...

    def player(self) -> Player:
        """The instrument as a player of waveforms."""
        ...

    def digitiser(self) -> Digitiser:
        """The instrument as a recorder of waveforms."""
        ...
