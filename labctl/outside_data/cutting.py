"""Trials of any length as segments of one length: what traces are made of, and what a fit holds out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labctl.outside_data.checks import Rail, touches
from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.treatments import Treatments
from labctl.outside_data.trial import Record, Trial

ENOUGH_INPUTS = 8
"""With fewer, whole trials are too few to hold some out, and they are cut to segments."""
_USUAL_SEGMENTS, _SHORTEST, _LONGEST, _FEWEST_SEGMENTS, _FEWEST_SAMPLES = 64, 256, 2048, 8, 32
_NEARLY_EQUAL = 0.9
_ENOUGH_KEPT, _SHORTEST_BETWEEN_GAPS = 0.8, 64


def default_segment(n_samples: int) -> int:
    """Samples of a segment for so many samples altogether: some 64 segments, none shorter than a free run needs."""
    usual = min(max(n_samples // _USUAL_SEGMENTS, _SHORTEST), _LONGEST)
    return max(min(usual, n_samples // _FEWEST_SEGMENTS), _FEWEST_SAMPLES)


def cut(
    trials: Sequence[Trial], rails: Sequence[Rail], treatments: Treatments, *, has_inputs: bool, ahead: int = 0
) -> tuple[list[Trial], list[Record]]:
    """Training trials, cut where they must be or were asked to be, without those at a rail that are to be dropped.

    ahead: samples that every trial lost because its drive was taken ahead.

    Segments share no sample, so that each can be held out. Raises OutsideDataError where nothing is left.
    """
    n_samples = _segment_samples(trials, treatments, has_inputs=has_inputs)
    longest = max(map(len, trials))
    if longest < n_samples <= longest + ahead:  # whole trials were asked for
        n_samples = longest
    records: list[Record] = []
    pieces = list(trials)
    if n_samples:
        pieces = [
            trial.part(at, at + n_samples) for trial in trials for at in range(0, len(trial) - n_samples + 1, n_samples)
        ]
        before, after = sum(map(len, trials)), n_samples * len(pieces)
        whole = len(pieces) == len(trials) and before == after
        if not whole:
            records.append(
                {
                    "treatment": "cut to segments",
                    "samples": n_samples,
                    "segments": len(pieces),
                    "left_away": before - after,
                }
            )
        if not pieces:
            raise OutsideDataError(
                f"not one segment of {n_samples} samples fits into the longest stretch of {longest} without a gap; give a "
                "shorter --segment, or fill short gaps (--gaps interpolate:N)"
            )
    if rails and treatments.clipped == "drop":
        kept = [piece for piece in pieces if not touches(piece, rails)]
        records.append({"treatment": "clipped: drop", "segments_left_away": len(pieces) - len(kept), "of": len(pieces)})
        if not kept:
            raise OutsideDataError(
                f"all {len(pieces)} segments touch a rail, nothing is left; give a shorter --segment, or record again in "
                "a wider range"
            )
        pieces = kept
    return pieces, records


def cut_tests(trials: Sequence[Trial], n_samples: int, *, has_inputs: bool) -> tuple[list[Trial], list[Record]]:
    """Stretches kept from the fit, cut where that is: to segments of n_samples or somewhat more, so that no end is lost.

    One long stretch is one input, too little to judge on. n_samples 0 and inputs that the file tells apart leave them
    whole. Raises OutsideDataError where no stretch is long enough to judge a free run on.
    """
    kept = [trial for trial in trials if len(trial) >= _FEWEST_SAMPLES]
    if trials and not kept:
        raise OutsideDataError(f"the test rows hold no stretch of {_FEWEST_SAMPLES} samples without a gap")
    if not n_samples or has_inputs or all(len(trial) < 2 * n_samples for trial in kept):
        return kept, []
    pieces = []
    for trial in kept:
        n_pieces = max(1, len(trial) // n_samples)
        length = len(trial) // n_pieces
        pieces += [trial.part(number * length, (number + 1) * length) for number in range(n_pieces)]
    left_away = sum(map(len, kept)) - sum(map(len, pieces))
    return pieces, [{"treatment": "test rows cut to segments", "segments": len(pieces), "left_away": left_away}]


def _segment_samples(trials: Sequence[Trial], treatments: Treatments, *, has_inputs: bool) -> int:
    """Samples of a segment; 0: leave trials whole."""
    if treatments.segment_samples is not None:
        return treatments.segment_samples
    lengths = [len(trial) for trial in trials]
    n_inputs = len({trial.input_key for trial in trials})
    usual = _between_gaps(default_segment(sum(lengths)), lengths)
    if n_inputs >= ENOUGH_INPUTS or (n_inputs > 1 and (has_inputs or max(lengths) <= usual)):
        if min(lengths) == max(lengths):
            return 0
        return min(lengths) if min(lengths) >= _NEARLY_EQUAL * max(lengths) else min(usual, max(lengths))
    if sum(lengths) < 2 * _FEWEST_SAMPLES:
        raise OutsideDataError(
            f"{sum(lengths)} samples are too few for a fit that holds some out to judge itself: at least "
            f"{2 * _FEWEST_SAMPLES} are needed"
        )
    return usual


def _between_gaps(n_samples: int, lengths: Sequence[int]) -> int:
    """Halved until most samples lie in whole segments, however often gaps cut the data."""
    while n_samples > _SHORTEST_BETWEEN_GAPS:
        if sum(length // n_samples for length in lengths) * n_samples >= _ENOUGH_KEPT * sum(lengths):
            break
        n_samples = max(n_samples // 2, _SHORTEST_BETWEEN_GAPS)
    return n_samples


def input_ids(pieces: Sequence[Trial], *, has_inputs: bool) -> np.ndarray:
    """(piece,): equal where the file says that the drive was repeated, or where drives are the same to the last bit."""
    keys: list[object]
    if has_inputs:
        keys = [(piece.input_key, piece.start - piece.origin) for piece in pieces]
    else:
        keys = [piece.drive.tobytes() for piece in pieces]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)
