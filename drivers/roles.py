"""The few roles that an instrument can play on a bench. All quantities are in the terminal's SI unit (V, A, Hz, s).

A terminal is a string: "1", "2" for numbered outputs and inputs, "output", or the name of a property.
A driver gives out role objects by terminal; asking for a role that the terminal lacks raises UnknownTerminal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

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


class Region(NamedTuple):
    """A part of a camera's sensor, in its pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """What the frames of an acquisition will be: pixels after binning, the largest count, the count without light."""

    rows: int
    columns: int
    n_planes: int
    full_scale: int
    black_level: float


@dataclass(frozen=True, slots=True)
class CameraFrame:
    """One frame as fetched.

    time_s: from the trigger to its exposure, by the camera's clock. counts: (y, x, plane), uint16; None where the camera
    says that it lost this frame. saturated: how many counts are at full scale. light: what the camera's lamp monitor read,
    relative; NaN without one. late: the camera says that it took it later than asked for.
    """

    index: int
    time_s: float
    counts: NDArray[np.uint16] | None
    saturated: int
    light: float
    late: bool


@runtime_checkable
class Camera(Protocol):
    """Takes a number of frames at equal times into a memory of its own, from where they can be fetched at leisure.

    A camera without a memory needs a driver that keeps the frames, so that whoever fetches them may be slow.
    """

    @property
    def planes(self) -> tuple[str, ...]:
        """The terminals: what can be seen (filters, colours)."""
        ...

    @property
    def sensor_size(self) -> tuple[int, int]:
        """(rows, columns) of the sensor."""
        ...

    @property
    def max_frames(self) -> int:
        """The most frames of an acquisition; the memory may allow fewer large ones."""
        ...

    def configure(
        self,
        planes: Sequence[str],
        *,
        exposure_s: float,
        interval_s: float,
        n_frames: int,
        binning: int = 1,
        region: Region | None = None,
        light: bool = True,
    ) -> FrameFormat:
        """Set up the next acquisitions. light=False takes frames without light, for a dark reference.

        Raises OutOfRange, before a setting is sent, for what the camera cannot do exactly; InstrumentReported.
        """
        ...

    def arm(self) -> None:
        """Forget the frames in memory and wait for the trigger."""
        ...

    def trigger(self) -> None:
        """Frame 0 is taken now, frame k so many intervals later."""
        ...

    def frames_ready(self) -> int:
        """How many frames can be fetched by now, lost ones counted."""
        ...

    def fetch(self, index: int) -> CameraFrame:
        """Frame `index` (from 0) of this acquisition, checked. Raises BadAnswer for another or a damaged one."""
        ...

    def abort(self) -> None:
        """Stop waiting or taking frames, and switch the camera's light off; frames taken can still be fetched."""
        ...

    def lit(self) -> bool:
        """Whether its light is on, as the camera itself says; False for a camera without one."""
        ...


@runtime_checkable
class Filming(Protocol):
    """An instrument that is, or may be, a camera; drivers without it are none."""

    def camera(self) -> Camera:
        """The instrument as a camera; raises UnknownTerminal if it is none."""
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
