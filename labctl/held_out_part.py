"""The part of the recordings that is kept from a fit to judge it: as little as is usual, as much as a judgement needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from twins.gates import GateThresholds

if TYPE_CHECKING:
    from twins import Traces

LEAST_INPUTS = 5
"""With fewer inputs than this at any condition, those to judge on are cut from the ends of the trials instead."""
USUAL, MOST = 0.2, 0.4
"""Of the inputs, or of every trial: more than the usual is held out where the gates could not be judged otherwise."""
LEAST_TRIALS = 12
WANTED_TRIALS = 40
"""With fewer, three deviations by chance of a coverage often are more than the gates allow them."""
STRETCH = 96  # samples that a stretch should have; a shorter one says little of free runs
SHORTEST = 48

Parts = tuple["Traces", ...]


def held_out_part(traces: Sequence[Traces], *, fraction: float | None, seed: int) -> tuple[Parts, Parts, bool, str]:
    """(to fit to, to judge on, whether by input, how in words).

    Whole inputs are held out where there are at least five at each condition, at random; else the end of every trial.
    fraction: exactly so much; without it a fifth, or up to two fifths where every condition would have too little to be
    judged on. What is held out is cut into stretches where that makes enough of them, each with its own history.

    Raises TracesMismatch, TracesInvalid where that leaves too little.
    """
    lots = _lots(traces)
    if min(_n_inputs([traces[number] for number in lot]) for lot in lots) >= LEAST_INPUTS:
        return _by_input(traces, lots, fraction, seed)
    return _by_time(traces, lots, fraction)


def _lots(traces: Sequence[Traces]) -> list[list[int]]:
    """Numbers of the traces that are judged together: of one set of conditions."""
    from twins.traces import same_condition

    def same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
        return all(same_condition(value, other[name]) for name, value in one.items())

    lots: list[list[int]] = []
    for number, part in enumerate(traces):
        lot = next((lot for lot in lots if same(traces[lot[0]].conditions, part.conditions)), None)
        if lot is None:
            lots.append([number])
        else:
            lot.append(number)
    return lots


def _n_inputs(parts: Sequence[Traces]) -> int:
    return len({drive for part in parts for drive in _drives(part)})


def _drives(part: Traces) -> list[bytes]:
    return [
        part.drive[np.flatnonzero(part.inputs == one)[0], part.n_prepare :].tobytes() for one in np.unique(part.inputs)
    ]


def _by_input(
    traces: Sequence[Traces], lots: Sequence[Sequence[int]], fraction: float | None, seed: int
) -> tuple[Parts, Parts, bool, str]:
    """A drive that is held out is held out at every condition."""
    inputs = list(dict.fromkeys(drive for part in traces for drive in _drives(part)))
    rng = np.random.default_rng([seed, 2])
    order = [inputs[number] for number in rng.permutation(len(inputs))]
    own = [{drive for number in lot for drive in _drives(traces[number])} for lot in lots]
    wanted = [_inputs_wanted([traces[number] for number in lot], fraction) for lot in lots]
    held: set[bytes] = set()
    for drive in order:
        short = any(drive in mine and len(mine & held) < want for mine, want in zip(own, wanted, strict=True))
        if short and len(held) < len(inputs) - 1:
            held.add(drive)
    fitted, judged = [], []
    for part in traces:
        out = np.isin(
            part.inputs,
            [one for one, drive in zip(np.unique(part.inputs), _drives(part), strict=True) if drive in held],
        )
        if not out.all():
            fitted.append(part.select(~out))
        judged.append(part.select(out) if out.any() else None)
    cut, told = _stretches(judged, lots)
    return tuple(fitted), cut, True, f"{len(held)} of {len(inputs)} inputs, drawn at random{told}"


def _inputs_wanted(parts: Sequence[Traces], fraction: float | None) -> int:
    """How many inputs of one condition to hold out."""
    n_inputs, n_trials = _n_inputs(parts), sum(part.n_trials for part in parts)
    if fraction is not None:
        return min(max(1, round(fraction * n_inputs)), n_inputs - 1)
    pieces = max(1, min(part.n_samples - part.n_prepare for part in parts) // STRETCH)
    needed = max(-(-least_inputs() // pieces), -(-WANTED_TRIALS * n_inputs // (pieces * n_trials)))
    return max(1, round(USUAL * n_inputs), min(needed, int(MOST * n_inputs)))


def least_inputs() -> int:
    """Held-out inputs that the gates need."""
    return GateThresholds().min_inputs


def least_trials() -> int:
    """Held-out trials that the gates need, and a few more."""
    return max(LEAST_TRIALS, GateThresholds().min_trials + 2)


def _stretches(held: Sequence[Traces | None], lots: Sequence[Sequence[int]]) -> tuple[Parts, str]:
    """The same in shorter stretches, where that makes enough of them, and that in words."""
    cut: list[Traces] = []
    told = ""
    for lot in lots:
        parts = [part for part in (held[number] for number in lot) if part is not None]
        if not parts:
            continue
        n_trials, n_inputs = sum(part.n_trials for part in parts), _n_inputs(parts)
        shortest = min(part.n_samples - part.n_prepare for part in parts)
        pieces = _pieces(n_trials, n_inputs, shortest)
        length = shortest // pieces
        if pieces == 1 or length < SHORTEST:
            cut += parts
        else:
            cut += [part.segments((part.n_samples - part.n_prepare) // pieces) for part in parts]
            told = (
                f", in stretches of {length} samples and more"
                if told
                else f", each in {pieces} stretches of {length} samples"
            )
    return tuple(cut), told


def _pieces(n_trials: int, n_inputs: int, n_samples: int) -> int:
    """Of every trial: as many as the gates need, and as are wanted where they stay long."""
    needed = max(1, -(-least_trials() // n_trials), -(-least_inputs() // n_inputs))
    return max(needed, min(-(-WANTED_TRIALS // n_trials), n_samples // STRETCH))


def _by_time(
    traces: Sequence[Traces], lots: Sequence[Sequence[int]], fraction: float | None
) -> tuple[Parts, Parts, bool, str]:
    fitted, judged, shares = [], [], []
    for lot in lots:
        parts = [traces[number] for number in lot]
        n_trials, n_inputs = sum(part.n_trials for part in parts), sum(len(np.unique(part.inputs)) for part in parts)
        n_scored = min(part.n_samples - part.n_prepare for part in parts)
        pieces = _pieces(n_trials, n_inputs, int((MOST if fraction is None else fraction) * n_scored))
        for part in parts:
            n_scored = part.n_samples - part.n_prepare
            share = fraction if fraction is not None else min(MOST, max(USUAL, pieces * STRETCH / n_scored))
            edge = part.n_samples - round(share * n_scored)
            fitted.append(_cut(part.span(0, edge), pieces))
            judged.append(_cut(part.span(edge, part.n_samples), pieces))
            shares.append(share)
    low, high = 100 * min(shares), 100 * max(shares)
    percent = f"{low:.0f} %" if high - low < 1 else f"{low:.0f} to {high:.0f} %"
    few = min(_n_inputs([traces[number] for number in lot]) for lot in lots)
    where = " at one of the conditions" if len(lots) > 1 else ""
    how = f"the last {percent} of every trial, since there are only {few} inputs{where}"
    return tuple(fitted), tuple(judged), False, how


def _cut(part: Traces, pieces: int) -> Traces:
    return part.segments(max(2, (part.n_samples - part.n_prepare) // pieces))
