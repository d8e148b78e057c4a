"""One trial, or a piece of one, on its way from a file to traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
Record = dict[str, Any]
"""What was done to the data, as plain data: {"treatment": name, ...}."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """drive (time, channel) and response (time, channel), NaN where nothing was measured; time_s (time,) or None.

    name: how messages call it. start: the first sample's number, of a table the row in the file, of arrays the sample of
    the trial. origin: the same of the whole trial's first sample. input_key: equal where the same drive
    was repeated. is_test: kept from the fit.
    """

    name: str
    drive: Samples
    response: Samples
    time_s: Samples | None = None
    start: int = 0
    origin: int = 0
    input_key: int = 0
    conditions: Mapping[str, float] = field(default_factory=dict)
    is_test: bool = False

    def __len__(self) -> int:
        return len(self.response)

    def part(self, start: int, stop: int) -> Trial:
        """Samples start..stop - 1."""
        time_s = None if self.time_s is None else self.time_s[start:stop]
        return replace(
            self, drive=self.drive[start:stop], response=self.response[start:stop], time_s=time_s,
            start=self.start + start,
        )  # fmt: skip

    def pieces(self, breaks: Sequence[int] | NDArray[np.intp]) -> list[Trial]:
        """Cut before each of these samples."""
        edges = [0, *(int(at) for at in breaks), len(self)]
        return [self.part(a, b) for a, b in pairwise(edges) if b > a]

    def keep(self, mask: NDArray[np.bool_]) -> list[Trial]:
        """The runs of samples where the mask is true."""
        edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
        return [self.part(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    @property
    def unmeasured(self) -> NDArray[np.bool_]:
        """(time,): where any channel is not finite."""
        return np.asarray(~(np.isfinite(self.drive).all(1) & np.isfinite(self.response).all(1)))


@dataclass(frozen=True, slots=True)
class Clock:
    """The sampling time, the trials on its grid (without time stamps), and what was found and done."""

    dt_s: float
    trials: list[Trial]
    records: list[Record]


def longest_run(mask: NDArray[np.bool_]) -> int:
    """The most consecutive true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
