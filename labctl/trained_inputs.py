"""Which inputs a twin was trained on, as fingerprints that travel with it, so that it is never judged on them again.

An input was trained on if its drive was, at the same conditions: in whole, or in a good part of its windows, wherever trials
were cut; or if its measured samples themselves were. The same drive at another condition is another input. What the fit
held out by itself to choose its checkpoints counts as trained on: it had a say in the twin.

Fingerprints are hashes of samples rounded to a millionth of the range that was trained on. Drives that were themselves
measured differ by their noise from one repeat to the next: only whoever recorded them knows that they are one input.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from twins import Traces

Hashes = NDArray[np.uint64]
"""Of 32 bits: a twin's file holds tens of thousands of them."""

RESOLUTION = 1e-6  # of the range of a channel
DRIVE_WINDOW = 64  # samples
SAMPLE_WINDOW = 16
LEAST_EVENTS = 16  # bends of a drive in a window: fewer (rests, ramps, slow steps) would be alike by chance
MOST_KEPT = 16384  # fingerprints of windows
SEEN_DRIVE = 0.2  # share of a drive's windows: more of them, and it is a drive of the fit (cuts lose some)
SEEN_SAMPLES = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class TrainedLot:
    """Drives at one set of conditions: hashes of whole trials (drive,) and of windows of them (window,)."""

    conditions: Mapping[str, float]
    drives: Hashes
    windows: Hashes


@dataclass(frozen=True, slots=True, eq=False)
class TrainedInputs:
    """Fingerprints of what a twin was trained on; `samples` are windows of drive and response together.

    step: (channel,) that samples are rounded to, drive channels first. one_in: of all windows, how many are kept.
    """

    step: NDArray[np.float64]
    lots: tuple[TrainedLot, ...]
    samples: Hashes
    one_in: int

    @classmethod
    def of(cls, traces: Sequence[Traces], *, whole: Sequence[Traces] = ()) -> TrainedInputs:
        """Of the data of a fit. whole: the trials that these were cut from, whose drives count as trained on in whole."""
        both = [np.concatenate(part.scored(), axis=2) for part in traces]
        low = np.min([one.min((0, 1)) for one in both], axis=0)
        high = np.max([one.max((0, 1)) for one in both], axis=0)
        span = np.where(high > low, high - low, np.maximum(np.abs(high), 1e-300))
        step = RESOLUTION * span
        one_in = _one_in(sum(one.shape[0] * one.shape[1] for one in both))
        samples = [_chosen(_sample_windows(part, step), one_in) for part in traces]
        several = _one_in(sum(part.n_trials for part in (*traces, *whole)))
        lots = []
        for conditions, some in _by_conditions(traces).items():
            parents = [part for part in whole if _same(part.conditions, dict(conditions))]
            drives = [_whole_drives(part, step) for part in (*some, *parents)]
            windows = [_chosen(_drive_windows(part, step), one_in) for part in some]
            lots.append(TrainedLot(dict(conditions), _chosen(_unique(drives), several), _unique(windows)))
        return cls(step, tuple(lots), _unique(samples), one_in)

    def with_more(self, traces: Sequence[Traces]) -> TrainedInputs:
        """The same and these data, for a twin that went on to learn from them; a larger share of windows is left out."""
        n_windows = len(self.samples) * self.one_in + sum(part.n_trials * part.n_samples for part in traces)
        one_in = max(self.one_in, _one_in(n_windows))
        samples = [_chosen(_sample_windows(part, self.step), one_in) for part in traces]
        lots = [replace(lot, windows=_chosen(lot.windows, one_in)) for lot in self.lots]
        for conditions, some in _by_conditions(traces).items():
            drives = _unique([_whole_drives(part, self.step) for part in some])
            windows = _unique([_chosen(_drive_windows(part, self.step), one_in) for part in some])
            lots.append(TrainedLot(dict(conditions), _chosen(drives, _one_in(len(drives))), windows))
        return TrainedInputs(self.step, tuple(lots), _unique([_chosen(self.samples, one_in), *samples]), one_in)

    def seen(self, traces: Traces) -> NDArray[np.bool_]:
        """(trial,): whether its input, or itself, was trained on. Traces of other channels were not."""
        seen = np.zeros(traces.n_trials, dtype=bool)
        if traces.drive.shape[2] + traces.response.shape[2] != len(self.step):
            return seen
        shares = _shares(_sample_windows(traces, self.step), self.samples, self.one_in)
        seen |= shares > SEEN_SAMPLES
        for lot in self.lots:
            if not _same(lot.conditions, traces.conditions):
                continue
            seen |= np.isin(_whole_drives(traces, self.step), lot.drives)
            seen |= _shares(_drive_windows(traces, self.step), lot.windows, self.one_in) > SEEN_DRIVE
        # Repeats of one input are one input.
        return np.isin(traces.inputs, traces.inputs[seen])

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for the twin's provenance."""
        return {
            "step": self.step.tolist(),
            "samples": _packed(self.samples),
            "one_in": self.one_in,
            "lots": [
                {"conditions": dict(lot.conditions), "drives": _packed(lot.drives), "windows": _packed(lot.windows)}
                for lot in self.lots
            ],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> TrainedInputs:
        """What `as_dict` gave."""
        lots = tuple(
            TrainedLot(one["conditions"], _unpacked(one["drives"]), _unpacked(one["windows"])) for one in stored["lots"]
        )
        return cls(np.array(stored["step"]), lots, _unpacked(stored["samples"]), int(stored["one_in"]))


def _by_conditions(traces: Sequence[Traces]) -> dict[tuple[tuple[str, float], ...], list[Traces]]:
    found: dict[tuple[tuple[str, float], ...], list[Traces]] = {}
    for part in traces:
        key = next((key for key in found if _same(dict(key), part.conditions)), tuple(part.conditions.items()))
        found.setdefault(key, []).append(part)
    return found


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    from twins.traces import same_condition

    return all(same_condition(one[name], other[name]) for name in one.keys() & other.keys())


def _one_in(n: int) -> int:
    """A power of two that leaves about MOST_KEPT of n at most."""
    one_in = 1
    while n > MOST_KEPT * one_in:
        one_in *= 2
    return one_in


def _mixed(values: Hashes) -> Hashes:
    """splitmix64, which leaves no order in its values."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = values ^ (values >> np.uint64(31))
    return mixed


def _rounded(samples: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.int64]:
    # Data far beyond the range of the fit are no data of the fit; they only must not overflow.
    return np.rint(np.clip(samples / step, -1e15, 1e15)).astype(np.int64)


def _hashed(rounded: NDArray[np.int64]) -> Hashes:
    """(trial, time) of (trial, time, channel)."""
    hashes = np.zeros(rounded.shape[:2], dtype=np.uint64)
    for channel in range(rounded.shape[2]):
        hashes = _mixed(hashes ^ np.ascontiguousarray(rounded[..., channel]).view(np.uint64))
    return hashes


def _windowed(hashes: Hashes, n: int) -> Hashes:
    """(trial, window) of n consecutive samples each, every place of them."""
    count = hashes.shape[1] - n + 1
    if count < 1:
        return np.zeros((len(hashes), 0), dtype=np.uint64)
    total = np.zeros((len(hashes), count), dtype=np.uint64)
    for place in range(n):
        total = total * np.uint64(0xD1342543DE82EF95) + hashes[:, place : place + count]
    # 0 stands for a window that tells nothing
    return np.asarray(np.maximum(_mixed(total) >> np.uint64(32), np.uint64(1)), dtype=np.uint64)


def _whole_drives(traces: Traces, step: NDArray[np.float64]) -> Hashes:
    drive = traces.scored()[0]
    hashes = _hashed(_rounded(drive, step[: drive.shape[2]]))
    return np.asarray(_windowed(hashes, hashes.shape[1])[:, 0])


def _drive_windows(traces: Traces, step: NDArray[np.float64]) -> Hashes:
    drive = traces.scored()[0]
    rounded = _rounded(drive, step[: drive.shape[2]])
    windows = _windowed(_hashed(rounded), DRIVE_WINDOW)
    bends = np.asarray((np.abs(np.diff(rounded, n=2, axis=1)) > 4).any(2))  # rounding alone bends a ramp by up to 2
    return _where(windows, bends, DRIVE_WINDOW - 2, LEAST_EVENTS)


def _sample_windows(traces: Traces, step: NDArray[np.float64]) -> Hashes:
    drive, response = traces.scored()
    rounded = _rounded(np.concatenate((drive, response), axis=2), step)
    moves = np.asarray((np.diff(rounded[..., drive.shape[2] :], axis=1) != 0).any(2))
    return _where(_windowed(_hashed(rounded), SAMPLE_WINDOW), moves, SAMPLE_WINDOW - 1, SAMPLE_WINDOW // 2)


def _where(windows: Hashes, events: NDArray[np.bool_], n: int, least: int) -> Hashes:
    """0 for windows with fewer than `least` of the events (trial, time) in their n places."""
    if not windows.shape[1]:
        return windows
    counted = np.concatenate((np.zeros((len(events), 1), dtype=np.int64), events.cumsum(1)), axis=1)
    enough = (counted[:, n:] - counted[:, :-n])[:, : windows.shape[1]] >= least
    return np.where(enough, windows, np.uint64(0))


def _kept(windows: Hashes, one_in: int) -> NDArray[np.bool_]:
    return np.asarray((windows > 0) & (windows % np.uint64(one_in) == 0))


def _chosen(windows: Hashes, one_in: int) -> Hashes:
    chosen: Hashes = windows[_kept(windows, one_in)]
    return chosen


def _shares(windows: Hashes, known: Hashes, one_in: int) -> NDArray[np.float64]:
    """(trial,): of its windows that would have been kept, how many are known."""
    kept = _kept(windows, one_in)
    return np.asarray((np.isin(windows, known) & kept).sum(1) / np.maximum(kept.sum(1), 1), dtype=np.float64)


def _unique(parts: Sequence[Hashes]) -> Hashes:
    return np.unique(np.concatenate([part.ravel() for part in parts])) if parts else np.zeros(0, dtype=np.uint64)


def _packed(hashes: Hashes) -> str:
    return base64.b64encode(hashes.astype("<u4").tobytes()).decode("ascii")


def _unpacked(text: str) -> Hashes:
    return np.frombuffer(base64.b64decode(text), dtype="<u4").astype(np.uint64)
