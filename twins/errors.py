# ruff: noqa: N818 - the names say what happened; "Error" would add nothing
"""What can go wrong with twins.

TwinError
├── TracesInvalid        (ValueError)  measured data of a wrong shape, with NaN, without units …
├── TracesMismatch       (ValueError)  data that cannot be used together, or not with this twin
├── OutsideFittedRange   (ValueError)  a drive beyond what the twin was fitted on
├── TwinNotFitted                      a twin was asked before it saw data
├── SolverRefused        (ValueError)  an equation and a scheme that do not fit, wrong shapes
├── EquationInvalid      (ValueError)  an equation of known form that is not well formed, or values that do not fit it
├── SeriesInvalid        (ValueError)  observed series of a wrong shape, or that do not fit the equation
├── GokuSpecInvalid      (ValueError)  choices for a GOKU network or its fit that are unknown or contradict each other
├── AutomatonInvalid     (ValueError)  choices for a cellular automaton, or states, that are unknown or do not fit
├── AutomatonDiverged                  training in which nothing stayed finite
├── FramesInvalid        (ValueError)  image sequences of a wrong shape, with NaN, or that do not fit an automaton
├── ExporterMissing                    an export was asked for whose package is not installed
├── SamplerMissing                     an optional sampler was asked for that is not installed
└── CheckpointInvalid    (ValueError)  a file that is not a twin, or not one this version can read
"""

from __future__ import annotations

import math


class TwinError(Exception):
    """Any error of the twins package."""


class TracesInvalid(TwinError, ValueError):
    """Measured data that cannot be right: shapes, NaN, sampling time, names."""


class TracesMismatch(TwinError, ValueError):
    """Data sets that differ in sampling time, channels or units, or do not fit the twin."""


class OutsideFittedRange(TwinError, ValueError):
    """A twin was asked about a drive beyond the range it was fitted on.

    Attributes: channel, value, lower, upper, unit.
    """

    def __init__(self, *, channel: str, value: float, lower: float, upper: float, unit: str) -> None:
        self.channel, self.value, self.lower, self.upper, self.unit = channel, value, lower, upper, unit
        if math.isnan(value):
            super().__init__(
                f"{channel} was to be driven with {value}, which is no number: a twin that it hears has diverged; fit that "
                "twin longer or on more data, or leave it out"
            )
            return
        super().__init__(
            f"{channel}: {value:.6g} {unit} lies outside the fitted range {lower:.6g}..{upper:.6g} {unit}; "
            "record and fit over a wider range, or pass check_range=False to extrapolate knowingly"
        )


class TwinNotFitted(TwinError):
    """A twin was asked to respond before it was fitted or loaded."""


class SolverRefused(TwinError, ValueError):
    """The equation, the scheme and the arguments do not fit together."""


class EquationInvalid(TwinError, ValueError):
    """An equation of known form that is not well formed, or states and parameters that do not fit it."""


class SeriesInvalid(TwinError, ValueError):
    """Observed series of a wrong shape, without times, or that do not fit the equation they are handed to."""


class GokuSpecInvalid(TwinError, ValueError):
    """Choices for a GOKU network or its fit that are unknown, or contradict each other."""


class AutomatonInvalid(TwinError, ValueError):
    """Choices for a cellular automaton that are unknown or contradict each other, or a state that does not fit it."""


class AutomatonDiverged(TwinError):
    """Training an automaton in which nothing stayed finite; the message says what to try."""


class FramesInvalid(TwinError, ValueError):
    """Image sequences of a wrong shape, with values that are not finite, or that do not fit what they are handed to."""


class TransportNotConverged(TwinError):
    """A transport problem was not solved to its tolerance within the iterations that it was allowed."""


class ExporterMissing(TwinError):
    """An export was asked for whose package is not installed."""


class SamplerMissing(TwinError):
    """An optional sampler was asked for that is not installed."""


class CheckpointInvalid(TwinError, ValueError):
    """A checkpoint that is damaged, foreign, or of another version."""
