# ruff: noqa: N818 - the names say what happened; "Error" would add nothing
"""Everything labctl raises on purpose.

LabctlError
├── StationError            the station file is wrong, or the bench is not the one it describes
├── ExcitationError         a drive that cannot be played: wrong shape, NaN, wrong channels or sample rate
├── OutOfLimits             a value outside a channel's limits (a ValueError as well)
│   └── TooFast             a change faster than a channel's ramp_per_s or slew_per_s
├── SafetyError             an output is not known to be safe, or writing is blocked
│   ├── UnknownState        written to after a communication fault, before the channel was read again
│   ├── RampStopped         somebody ended a ramp on its way
│   └── MadeSafe            the outputs were made safe while something was still being played
├── InstrumentFault         an instrument failed in the middle of something; chained to the driver's error
├── RecordingError          a recording cannot be written, read or used
├── SimulationError         the simulated bench did not start, or died
├── PlantError              a plant cannot answer this drive
├── DeploymentError         a wiring cannot be played on this bench
│   └── GatesNotPassed      a twin that it was optimised on was not judged, or did not pass
├── NetworkFileError        the file that describes a network is wrong
├── CampaignError           a campaign was asked for something it cannot do
├── QueueError              the queue of jobs cannot be read, written, or changed as asked
└── UsageError              the command line was used wrongly
Stopped (a KeyboardInterrupt)   the user or a signal asked to stop; no `except Exception` swallows it
"""

from __future__ import annotations


class LabctlError(Exception):
    """Root of labctl's errors."""


class StationError(LabctlError):
    """The station file is wrong, or the opened bench is not the one it describes."""


class ExcitationError(LabctlError, ValueError):
    """A drive that cannot be played."""


class OutOfLimits(LabctlError, ValueError):
    """A value outside a channel's limits; nothing was sent."""


class TooFast(OutOfLimits):
    """A change faster than a channel's ramp_per_s or slew_per_s; nothing was sent."""


class SafetyError(LabctlError):
    """An output is not known to be safe, or writing is blocked."""


class UnknownState(SafetyError):
    """A write after a communication fault, before the channel was read again; nothing was sent."""


class RampStopped(SafetyError):
    """Somebody ended a ramp on its way; the output stands where it was then."""


class MadeSafe(SafetyError):
    """The outputs were made safe while something was still being played."""


class InstrumentFault(LabctlError):
    """An instrument failed in the middle of something; chained to the driver's error."""


class RecordingError(LabctlError):
    """A recording cannot be written, read or used."""


class SimulationError(LabctlError):
    """The simulated bench did not start, or died."""


class PlantError(LabctlError):
    """A plant cannot answer this drive."""


class DeploymentError(LabctlError):
    """A wiring cannot be played on this bench."""


class GatesNotPassed(DeploymentError):
    """Something optimised on a twin that was not judged on held-out inputs, or did not pass, was to be applied."""


class NetworkFileError(LabctlError):
    """The file that describes a network is wrong, or does not fit the twins or the station."""


class CampaignError(LabctlError):
    """A campaign was asked for something it cannot do."""


class QueueError(LabctlError):
    """The queue of jobs cannot be read, written, or changed as asked."""


class UsageError(LabctlError):
    """The command line was used wrongly."""


class Stopped(KeyboardInterrupt):
    """The user or a signal asked to stop.

    A KeyboardInterrupt, so that no `except Exception` takes it for an ordinary failure. `signal_number` is set where a
    signal asked.
    """

    def __init__(self, message: str = "stopped", *, signal_number: int | None = None) -> None:
        super().__init__(message)
        self.signal_number = signal_number
