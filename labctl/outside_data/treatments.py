"""What may be done to data that a twin cannot learn from as they stand; nothing is done that was not declared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from labctl.errors import UsageError

Gaps = Literal["refuse", "split", "interpolate"]
Clipped = Literal["refuse", "accept", "drop"]
Ahead = int | Literal["auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatments:
    """gaps: missing samples and NaN; "split" cuts the trial there, "interpolate" fills up to longest_gap of them.

    resample: unevenly sampled data onto an even grid, by linear interpolation. clipped: channels at a rail; "drop" leaves
    segments (or trials) that touch it away. segment_samples: cut trials to segments of this length; None: only where
    needed, 0: never. rows, test_rows: (start, stop) of the rows (or samples of each trial) that are read, and of those
    that are kept from the fit. drive_ahead: the drive measured so many samples later acts between a sample and the next;
    "auto": 1 where one-step models of the data foresee clearly better so, else 0.

    Raises UsageError.
    """

    gaps: Gaps = "refuse"
    longest_gap: int = 0
    resample: bool = False
    clipped: Clipped = "refuse"
    segment_samples: int | None = None
    rows: tuple[int, int | None] = (0, None)
    test_rows: tuple[int, int | None] | None = None
    drive_ahead: Ahead = "auto"

    def __post_init__(self) -> None:
        if self.gaps not in ("refuse", "split", "interpolate"):
            raise UsageError(f"gaps can be refuse, split or interpolate, not {self.gaps!r}")
        if (self.gaps == "interpolate") != (self.longest_gap > 0):
            raise UsageError(
                "interpolating gaps needs the most samples that may be filled, such as --gaps interpolate:3"
            )
        if self.clipped not in ("refuse", "accept", "drop"):
            raise UsageError(f"clipped can be refuse, accept or drop, not {self.clipped!r}")
        if self.drive_ahead != "auto" and self.drive_ahead < 0:
            raise UsageError(
                f"the drive can be taken 0 samples ahead or more, or as the data tell (auto), not {self.drive_ahead}"
            )
        if self.segment_samples is not None and self.segment_samples < 0:
            raise UsageError(f"a segment has a positive number of samples, not {self.segment_samples}; 0: never cut")

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for provenance."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
