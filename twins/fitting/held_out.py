"""Splitting data by INPUT: no drive that a twin is judged on was ever seen in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twins.errors import TracesMismatch
from twins.traces import Traces


@dataclass(frozen=True, slots=True)
class InputSplit:
    """Training and held-out data, and which inputs were held out, as (number of the traces, input id)."""

    train: tuple[Traces, ...]
    held_out: tuple[Traces, ...]
    held_out_inputs: tuple[tuple[int, int], ...]


def split_by_input(traces: Sequence[Traces], *, fraction: float, rng: np.random.Generator) -> InputSplit:
    """Hold out about `fraction` of all inputs, at least one. Trials with equal drives count as one input.

    Raises TracesMismatch if there are fewer than two inputs.
    """
    groups = _groups(traces)
    if len(groups) < 2:
        raise TracesMismatch("all trials share one drive: record at least two inputs, one is held out for judging")
    n_held_out = min(max(1, round(fraction * len(groups))), len(groups) - 1)
    chosen = sorted(rng.permutation(len(groups))[:n_held_out].tolist())
    masks = [np.zeros(part.n_trials, dtype=bool) for part in traces]
    held_out_inputs = []
    for group in chosen:
        for number, input_id in groups[group]:
            masks[number] |= traces[number].inputs == input_id
            held_out_inputs.append((number, input_id))
    return InputSplit(
        train=tuple(part.select(~mask) for part, mask in zip(traces, masks, strict=True) if not mask.all()),
        held_out=tuple(part.select(mask) for part, mask in zip(traces, masks, strict=True) if mask.any()),
        held_out_inputs=tuple(held_out_inputs),
    )


def _groups(traces: Sequence[Traces]) -> list[list[tuple[int, int]]]:
    """Inputs as lists of (number of the traces, input id): the same drive in two recordings is one input."""
    by_drive: dict[bytes, list[tuple[int, int]]] = {}
    for number, part in enumerate(traces):
        for input_id in np.unique(part.inputs):
            drive = part.drive[np.flatnonzero(part.inputs == input_id)[0], part.n_prepare :]
            by_drive.setdefault(drive.tobytes(), []).append((number, int(input_id)))
    return list(by_drive.values())
