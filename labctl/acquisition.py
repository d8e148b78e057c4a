"""What is counted while a recording runs: samples, trials, what was lost or late, the rate as reached.

Honest by construction: each way of recording says how it knows. Samples played from memory are fetched by number, so one that
does not come ends the recording instead of being skipped; samples read one by one cannot be lost, but they can be late; frames
are lost and late as the camera says of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOW_BUFFERED = (
    "samples are fetched by number from the digitiser's memory and counted; its errors are read after each play, and a "
    "missing one ends the recording"
)
HOW_STEPPED = (
    "samples are read one by one, so none can be lost; late ones began more than half a sampling time after they were due, "
    "and are not made up for"
)
HOW_FILMED = "as the camera says of each frame"


@dataclass(slots=True)
class Acquisition:
    """Counts of one recording, written by the thread that serves the instruments and read by any.

    `mode` is "buffered", "stepped" or "filmed", `shape` (trials, samples a trial, preparation included).
    """

    mode: str
    shape: tuple[int, int]
    nominal_Hz: float
    samples: int = 0
    trials: int = 0
    lost: int | None = 0
    late: int = 0
    file: str = ""
    _span_s: float = field(default=0.0, init=False)
    _steps: int = field(default=0, init=False)
    _last_s: float = field(default=0.0, init=False)

    @property
    def wanted(self) -> int:
        """Samples of all trials, preparations included."""
        return self.shape[0] * self.shape[1]

    @property
    def how(self) -> str:
        """How lost and late samples are known."""
        return {"buffered": HOW_BUFFERED, "filmed": HOW_FILMED}.get(self.mode, HOW_STEPPED)

    @property
    def sample_rate_Hz(self) -> float:
        """As reached: measured where samples are read one by one, else as the instrument confirmed it."""
        return self._steps / self._span_s if self._span_s > 0.0 else self.nominal_Hz

    @property
    def rate_is(self) -> str:
        """Whose clock the rate is by."""
        if self._span_s > 0.0:
            return "measured by this computer's clock"
        return {"buffered": "the digitiser's own clock, set exactly", "filmed": "the camera's own clock"}.get(
            self.mode, "as asked for; not measured yet"
        )

    def count(self, valid_samples: NDArray[np.int64]) -> None:
        """Take the counts of each trial (trial,)."""
        self.samples = int(valid_samples.sum())
        self.trials = int(np.count_nonzero(valid_samples == self.shape[1]))

    def stepped(self, at_s: float, *, late: bool, first: bool) -> None:
        """A sample was read at `at_s` (time.monotonic); `first` of its trial, whose distance from the one before says nothing."""
        if not first:
            self._span_s += at_s - self._last_s
            self._steps += 1
        self._last_s = at_s
        self.late += late

    def filmed(self, *, lost: bool, late: bool, last_of_trial: bool) -> None:
        """A frame came, or the camera said that it did not."""
        self.samples += 1
        self.lost = (self.lost or 0) + lost
        self.late += late
        self.trials += last_of_trial

    def in_words(self) -> dict[str, Any]:
        """The fields of an `Acquired` event that are known here."""
        return {
            "samples": self.samples,
            "wanted": self.wanted,
            "trials": self.trials,
            "n_trials": self.shape[0],
            "lost": self.lost,
            "late": self.late,
            "how": self.how,
            "sample_rate_Hz": self.sample_rate_Hz,
            "rate_is": self.rate_is,
            "file": self.file,
        }
