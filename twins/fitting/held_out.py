"""Splitting data by INPUT: no drive that a twin is judged on was ever seen in training."""

from __future__ import annotations

import hashlib
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


def split_by_input(
    traces: Sequence[Traces], *, fraction: float, rng: np.random.Generator, may_grow: bool = False
) -> InputSplit:
    """Hold out about `fraction` of all inputs, at least one. Trials with equal drives count as one input.

    Which ones follows from a lot for each drive: its hash, with a key from `rng`. may_grow: hold out all whose lot is
    below the fraction, instead of as many as it says; their number then varies by chance, but an input that was trained
    on stays so when others join it, with the same key. (Two inputs may both be below: one is trained on all the same.)
    Raises TracesMismatch if there are fewer than two inputs.
    """
    by_drive = _groups(traces)
    if len(by_drive) < 2:
        raise TracesMismatch("all trials share one drive: record at least two inputs, one is held out for judging")
    key = rng.bytes(16)
    lots = {drive: _lot(drive, key) for drive in by_drive}
    wanted = sum(lot < fraction for lot in lots.values()) if may_grow else round(fraction * len(lots))
    n_held_out = min(max(1, wanted), len(lots) - 1)
    # the lowest first: where none is below the fraction, a later one that displaces the lowest was never trained on
    chosen = set(sorted(lots, key=lots.__getitem__)[:n_held_out])
    masks = [np.zeros(part.n_trials, dtype=bool) for part in traces]
    held_out_inputs = []
    for group in (places for drive, places in by_drive.items() if drive in chosen):
        for number, input_id in group:
            masks[number] |= traces[number].inputs == input_id
            held_out_inputs.append((number, input_id))
    return InputSplit(
        train=tuple(part.select(~mask) for part, mask in zip(traces, masks, strict=True) if not mask.all()),
        held_out=tuple(part.select(mask) for part, mask in zip(traces, masks, strict=True) if mask.any()),
        held_out_inputs=tuple(held_out_inputs),
    )


def _groups(traces: Sequence[Traces]) -> dict[bytes, list[tuple[int, int]]]:
    """Inputs by drive, as lists of (number of the traces, input id): the same drive in two recordings is one input."""
    by_drive: dict[bytes, list[tuple[int, int]]] = {}
    for number, part in enumerate(traces):
        for input_id in np.unique(part.inputs):
            drive = part.drive[np.flatnonzero(part.inputs == input_id)[0], part.n_prepare :]
            by_drive.setdefault(drive.tobytes(), []).append((number, int(input_id)))
    return by_drive


def _lot(drive: bytes, key: bytes) -> float:
    """Uniform in 0..1, always the same for this drive and key."""
    return int.from_bytes(hashlib.blake2b(drive, key=key, digest_size=8).digest()) / 2.0**64
