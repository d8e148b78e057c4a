"""Errors as a person can act on them: what kind of thing went wrong, what exactly, and what lies beneath. No Qt here."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass

from labctl.errors import LabctlError

_HEADLINES = {
    "StationError": "The station file is wrong, or the bench is not the one it describes",
    "ExcitationError": "This drive cannot be played",
    "OutOfLimits": "A value outside the limits was refused; nothing was sent",
    "TooFast": "A change faster than allowed was refused; nothing was sent",
    "SafetyError": "An output is not known to be safe",
    "UnknownState": "The state of an output is unknown until it is read again",
    "MadeSafe": "The outputs were made safe in the middle of a play",
    "InstrumentFault": "An instrument failed",
    "RecordingError": "A recording cannot be written or read",
    "SimulationError": "The simulated bench did not start, or died",
    "CampaignError": "The campaign cannot do this",
    "UsageError": "That cannot be done now",
    "LineRefused": "An instrument cannot be reached",
    "LineTimeout": "An instrument does not answer",
    "LineLost": "The connection to an instrument broke",
    "WrongIdentity": "Another instrument answers than the one expected",
    "InstrumentReported": "An instrument reported an error of its own",
    "OutOfRange": "An instrument cannot take this value; nothing was sent",
    "ModuleNotFoundError": "A part of labctl is not installed",
    "OSError": "A file or a connection failed",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error in words: `headline` for all, `message` says what to do, `details` for those who want to know more."""

    headline: str
    message: str
    details: str


def trouble_of(error: BaseException, *, doing: str = "") -> Trouble:
    """Put an error into words; `doing` says what was being tried.

    What labctl raised on purpose needs no traceback; anything else is a fault in the program, and its traceback is what a
    developer will ask for.
    """
    names = [kind.__name__ for kind in type(error).__mro__]
    known = next((_HEADLINES[name] for name in names if name in _HEADLINES), None)
    headline = known or f"Something went wrong: {_in_words(names[0])}"
    details = _causes(error) if isinstance(error, LabctlError) else "".join(traceback.format_exception(error))
    message = str(error) or _in_words(names[0])
    return Trouble(f"{doing}: {headline[0].lower()}{headline[1:]}" if doing else headline, message, details.strip())


def _causes(error: BaseException) -> str:
    """The errors beneath, outermost first."""
    lines = []
    beneath = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while beneath is not None:
        lines.append(f"because of {type(beneath).__name__}: {beneath}")
        beneath = beneath.__cause__ or (None if beneath.__suppress_context__ else beneath.__context__)
    return "\n".join(lines)


def _in_words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
