"""Grouping of similar inputs and conditions, where exact repeats are impossible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from twins.errors import TracesInvalid, TracesMismatch
from twins.traces import Traces, check_same_grid

_BLOCK = 512  # drives compared at a time: the table of all pairs of many thousand would not fit


@dataclass(frozen=True, slots=True, eq=False)
class ConditionGroup:
    """Recordings that were taken as one: their conditions are means over trials.

    members: numbers of the traces that went in. spread: largest difference between members, of each condition.
    """

    traces: Traces
    members: tuple[int, ...]
    spread: Mapping[str, float]


def group_similar_inputs(traces: Traces, *, tolerance: float) -> Traces:
    """The same data with one input_id for all trials whose drives agree within `tolerance`.

    The measure is the root mean square difference of two scored drives, each channel in units of its spread (standard
    deviation over all trials). Trials that shared an id stay together. Where no two trials of a group may differ by
    more than the tolerance, but a chain of similar ones links some that do, nobody can say where one input ends:
    raises TracesInvalid, naming two ends of it. Raises it for a tolerance that is not positive, too.
    """
    _check_tolerance("tolerance", tolerance)
    drive = traces.scored()[0]
    spread = drive.std((0, 1))
    flat = ((drive - drive.mean((0, 1))) / np.where(spread > 0, spread, 1.0)).reshape(traces.n_trials, -1)
    group = _linked(traces.n_trials, _similar_pairs(flat, tolerance))
    for input_id in np.unique(traces.inputs):
        same = np.unique(group[traces.inputs == input_id])
        group[np.isin(group, same)] = same[0]
    for number in np.unique(group):
        trials = np.flatnonzero(group == number)
        first, second, apart = _farthest(flat[trials])
        if apart > tolerance * (1.0 + 1e-9):
            raise TracesInvalid(
                f"trials {trials[first]} and {trials[second]} differ by {apart:.3g} of the drive's spread, more than the "
                f"tolerance {tolerance:g}, yet others similar to both link them; choose a tolerance below the distance "
                "between inputs, or above the width of the whole chain"
            )
    _, input_id = np.unique(group, return_inverse=True)
    return replace(traces, input_id=input_id.astype(np.int64))


def group_similar_conditions(
    traces: Sequence[Traces], *, tolerance: float | Mapping[str, float]
) -> tuple[ConditionGroup, ...]:
    """Recordings whose conditions agree within `tolerance` as one, in the order of their first members.

    tolerance: in the unit of the condition, one for all or by name; a condition without one must agree exactly. The
    merged traces have the mean of every condition over their trials. Input ids stay apart: equal drives in two
    recordings become repeats by group_similar_inputs.

    Raises TracesInvalid where a chain of similar conditions links ends that differ by more than the tolerance, or for a
    tolerance that is not positive or of an unknown condition; TracesMismatch where grids, channels or the lengths of
    recordings to be merged differ.
    """
    names = tuple(traces[0].conditions) if traces else ()
    check_same_grid(traces, varying=names)
    limits = _limits(names, tolerance)
    values = np.array([[part.conditions[name] for name in names] for part in traces]).reshape(len(traces), len(names))
    apart = np.abs(values[:, None] - values[None]) > limits * (1.0 + 1e-9)
    pairs = ((i, j) for i, j in np.argwhere(~apart.any(2)).tolist() if i < j)
    group = _linked(len(traces), pairs)
    merged = []
    for number in dict.fromkeys(group.tolist()):
        members = np.flatnonzero(group == number)
        parts = [traces[int(i)] for i in members]
        bad = np.argwhere(apart[np.ix_(members, members)])
        if len(bad):
            first, second, which = members[bad[0][0]], members[bad[0][1]], bad[0][2]
            raise TracesInvalid(
                f"{names[which]} is {values[first, which]:g} in traces {first} and {values[second, which]:g} in traces "
                f"{second}, further apart than the tolerance {limits[which]:g}, yet others between link them; choose a "
                "tolerance below the steps of the condition, or above its whole range"
            )
        merged.append(_merged(parts, names, members, values[members]))
    return tuple(merged)


def _merged(parts: Sequence[Traces], names: tuple[str, ...], members: np.ndarray, values: np.ndarray) -> ConditionGroup:
    first = parts[0]
    for number, part in zip(members[1:], parts[1:], strict=True):
        if (part.n_samples, part.n_prepare) != (first.n_samples, first.n_prepare):
            raise TracesMismatch(
                f"traces {members[0]} have {first.n_samples} samples ({first.n_prepare} of preparation), traces {number} "
                f"{part.n_samples} ({part.n_prepare}); cut them alike, see Traces.span and Traces.segments"
            )
    ids, next_id = [], 0
    for part in parts:
        _, own = np.unique(part.inputs, return_inverse=True)
        ids.append(own + next_id)
        next_id += int(own.max()) + 1
    weights = np.array([part.n_trials for part in parts], float)
    means = (weights @ values) / weights.sum()
    whole = replace(
        first,
        drive=np.concatenate([part.drive for part in parts]),
        response=np.concatenate([part.response for part in parts]),
        input_id=np.concatenate(ids).astype(np.int64),
        conditions=dict(zip(names, means.tolist(), strict=True)),
    )
    spread = dict(zip(names, np.ptp(values, axis=0).tolist(), strict=True))
    return ConditionGroup(whole, tuple(members.tolist()), spread)


def _similar_pairs(flat: np.ndarray, tolerance: float) -> Iterator[tuple[int, int]]:
    """(i, j), i < j, of all rows whose root mean square difference is at most the tolerance."""
    for start in range(0, len(flat), _BLOCK):
        block = flat[start : start + _BLOCK]
        near = _distances(block, flat[start:]) <= tolerance * (1.0 + 1e-9)
        for i, j in np.argwhere(near).tolist():
            if i < j:
                yield start + i, start + j


def _farthest(flat: np.ndarray) -> tuple[int, int, float]:
    """The two rows that differ most, and by how much."""
    best = (0, 0, 0.0)
    for start in range(0, len(flat), _BLOCK):
        distances = _distances(flat[start : start + _BLOCK], flat)
        i, j = np.unravel_index(distances.argmax(), distances.shape)
        if distances[i, j] > best[2]:
            best = (start + int(i), int(j), float(distances[i, j]))
    return best


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Root mean square differences; the product's rounding is far below any tolerance that makes sense."""
    squared = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2.0 * (first @ second.T)
    distances: np.ndarray = np.sqrt(np.maximum(squared, 0.0) / first.shape[1])
    return distances


def _linked(n: int, pairs: Iterator[tuple[int, int]]) -> np.ndarray:
    """(n,), the same number for all that pairs link, be it through others: the smallest of them."""
    root = list(range(n))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i, j in pairs:
        low, high = sorted((find(i), find(j)))
        root[high] = low
    return np.array([find(i) for i in range(n)])


def _limits(names: tuple[str, ...], tolerance: float | Mapping[str, float]) -> np.ndarray:
    if not isinstance(tolerance, Mapping):
        _check_tolerance("tolerance", tolerance)
        return np.full(len(names), float(tolerance))
    unknown = [name for name in tolerance if name not in names]
    if unknown:
        raise TracesInvalid(f"tolerance names {', '.join(unknown)}; the conditions are {', '.join(names) or 'none'}")
    for name, value in tolerance.items():
        _check_tolerance(f"tolerance of {name}", value)
    return np.array([float(tolerance.get(name, 0.0)) for name in names])


def _check_tolerance(what: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise TracesInvalid(f"{what} must be positive, not {value}")
