"""What can be played to a device, as plain data: one frozen class a design, its fields with defaults and words for people.

    excitations = excitations_of(station, "leaky", Multisine(n_trials=8), seed=1)     # {"multisine": Excitation}

`DESIGNS` has them by name, in the order in which they are offered. Numbers of samples are of the device's sampling time; low
and high are in the drive channel's unit, None for the channel's own limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

OF_ALL = {
    "n_trials": "Trials: so many different drives, each begins with the device's preparation",
    "n_samples": "Samples of a trial, preparation not counted",
    "low": "Lowest drive, in the channel's unit; empty: the channel's lower limit",
    "high": "Highest drive, in the channel's unit; empty: the channel's upper limit",
    "n_repeats": "How often each trial is played: repeats show the noise",
    "path": "CSV or NPZ file of the drive",
}


def _words(name: str) -> dict[str, str]:
    return {"help": OF_ALL[name]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Characterise:
    """Training trials of random steps and held-out repeats of other inputs, in two files: what a twin needs."""

    name: ClassVar[str] = "characterise"
    title: ClassVar[str] = "Characterise (training and held-out)"

    n_trials: int = field(default=60, metadata={"help": "Training trials"})
    n_samples: int = field(default=600, metadata=_words("n_samples"))
    holds: tuple[int, ...] = field(
        default=(2, 3, 5, 15),
        metadata={"help": "Samples for which a level is held; trial after trial takes the next one"},
    )
    n_inputs: int = field(default=16, metadata={"help": "Held-out inputs, which training never sees"})
    n_repeats: int = field(default=25, metadata={"help": "Repeats of each held-out input: they show the noise"})
    n_heldout_samples: int = field(default=200, metadata={"help": "Samples of a held-out trial"})
    low: float | None = field(default=None, metadata=_words("low"))
    high: float | None = field(default=None, metadata=_words("high"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSteps:
    """Levels anywhere in the range, each held for a while: shows transients and the settled device."""

    name: ClassVar[str] = "random-steps"
    title: ClassVar[str] = "Random steps"

    n_trials: int = field(default=60, metadata=_words("n_trials"))
    n_samples: int = field(default=600, metadata=_words("n_samples"))
    holds: tuple[int, ...] = field(
        default=(2, 3, 5, 15),
        metadata={"help": "Samples for which a level is held; trial after trial takes the next one"},
    )
    n_repeats: int = field(default=1, metadata=_words("n_repeats"))
    low: float | None = field(default=None, metadata=_words("low"))
    high: float | None = field(default=None, metadata=_words("high"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Multisine:
    """Equal sines of random phase, all at once: shows the frequency response."""

    name: ClassVar[str] = "multisine"
    title: ClassVar[str] = "Multisine"

    n_trials: int = field(default=60, metadata=_words("n_trials"))
    n_samples: int = field(default=600, metadata=_words("n_samples"))
    lowest_Hz: float | None = field(default=None, metadata={"help": "Lowest frequency; empty: one period a trial"})
    highest_Hz: float | None = field(default=None, metadata={"help": "Highest; empty: a fifth of the sample rate"})
    odd_only: bool = field(default=False, metadata={"help": "Only odd harmonics: even ones then show nonlinearity"})
    n_repeats: int = field(default=1, metadata=_words("n_repeats"))
    low: float | None = field(default=None, metadata=_words("low"))
    high: float | None = field(default=None, metadata=_words("high"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prbs:
    """Pseudo-random binary sequence: lowest or highest drive, switched at random."""

    name: ClassVar[str] = "prbs"
    title: ClassVar[str] = "PRBS"

    n_trials: int = field(default=60, metadata=_words("n_trials"))
    n_samples: int = field(default=600, metadata=_words("n_samples"))
    hold: int = field(default=15, metadata={"help": "Samples of one bit"})
    n_repeats: int = field(default=1, metadata=_words("n_repeats"))
    low: float | None = field(default=None, metadata=_words("low"))
    high: float | None = field(default=None, metadata=_words("high"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Gaussian noise below a frequency, scaled to fill the range."""

    name: ClassVar[str] = "noise"
    title: ClassVar[str] = "Noise"

    n_trials: int = field(default=60, metadata=_words("n_trials"))
    n_samples: int = field(default=600, metadata=_words("n_samples"))
    cutoff_Hz: float | None = field(
        default=None, metadata={"help": "No power above; empty: a fifth of the sample rate"}
    )
    n_repeats: int = field(default=1, metadata=_words("n_repeats"))
    low: float | None = field(default=None, metadata=_words("low"))
    high: float | None = field(default=None, metadata=_words("high"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chirp:
    """A sine whose frequency grows from one end to the other."""

    name: ClassVar[str] = "chirp"
    title: ClassVar[str] = "Chirp"

    n_samples: int = field(default=600, metadata=_words("n_samples"))
    start_Hz: float | None = field(default=None, metadata={"help": "First frequency; empty: one period a trial"})
    end_Hz: float | None = field(default=None, metadata={"help": "Last frequency; empty: a fifth of the sample rate"})
    n_repeats: int = field(default=10, metadata=_words("n_repeats"))
    low: float | None = field(default=None, metadata=_words("low"))
    high: float | None = field(default=None, metadata=_words("high"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """Rest, one pulse, rest: the step response up and down."""

    name: ClassVar[str] = "pulse"
    title: ClassVar[str] = "Pulse"

    n_samples: int = field(default=600, metadata=_words("n_samples"))
    level: float | None = field(
        default=None, metadata={"help": "Level of the pulse, in the channel's unit; empty: its limit"}
    )
    first: int = field(default=50, metadata={"help": "Samples at rest before the pulse"})
    width: int = field(default=250, metadata={"help": "Samples of the pulse"})
    n_repeats: int = field(default=10, metadata=_words("n_repeats"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FromFile:
    """A drive of your own: CSV with a column a channel, or NPZ with an array (trial, time) a channel."""

    name: ClassVar[str] = "file"
    title: ClassVar[str] = "From a file (CSV, NPZ)"

    path: Path = field(default=Path(), metadata=_words("path"))
    n_repeats: int = field(default=1, metadata=_words("n_repeats"))


Design = Characterise | RandomSteps | Multisine | Prbs | Noise | Chirp | Pulse | FromFile
DESIGNS: dict[str, type[Any]] = {
    kind.name: kind for kind in (Characterise, RandomSteps, Multisine, Prbs, Noise, Chirp, Pulse, FromFile)
}
