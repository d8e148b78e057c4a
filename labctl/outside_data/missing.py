"""NaN among the samples: refused, cut out, or filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.treatments import Treatments
from labctl.outside_data.trial import Record, Samples, Trial, longest_run


def settle_missing(
    trials: Sequence[Trial], names: Sequence[str], treatments: Treatments
) -> tuple[list[Trial], list[Record]]:
    """Trials without NaN. `names` are those of the drive, then of the response. Raises OutsideDataError."""
    n_bad = sum(int(trial.unmeasured.sum()) for trial in trials)
    if not n_bad:
        return list(trials), []
    check_not_all_missing(trials, names)
    record: Record = {
        "treatment": f"gaps: {treatments.gaps}",
        "of": "NaN",
        "samples": n_bad,
        "by_channel": _counts(trials, names),
    }
    if treatments.gaps == "split":
        return [piece for trial in trials for piece in trial.keep(~trial.unmeasured)], [record]
    if treatments.gaps == "interpolate":
        return [_filled(trial, treatments.longest_gap) for trial in trials], [record]
    raise refusal(trials, names)


def refusal(trials: Sequence[Trial], names: Sequence[str]) -> OutsideDataError:
    """What is missing where, and what can be done."""
    bad = [trial for trial in trials if trial.unmeasured.any()]
    n_bad = sum(int(trial.unmeasured.sum()) for trial in bad)
    longest = max(longest_run(trial.unmeasured) for trial in bad)
    at = bad[0].start + int(np.flatnonzero(bad[0].unmeasured)[0])
    counts = ", ".join(f"{count} of {name}" for name, count in _counts(trials, names).items())
    return OutsideDataError(
        f"{n_bad} of {sum(len(trial) for trial in trials)} samples are missing or not finite ({counts}), the first in "
        f"{bad[0].name} at sample {at}, at most {longest} in a row; --gaps split cuts the data there, "
        "--gaps interpolate:N fills up to N in a row"
    )


def check_not_all_missing(trials: Sequence[Trial], names: Sequence[str]) -> None:
    """Raise OutsideDataError for a channel that was never measured."""
    total = sum(len(trial) for trial in trials)
    for name, count in _counts(trials, names).items():
        if count == total:
            raise OutsideDataError(f"{name} holds not one number that is finite; leave it out")


def _counts(trials: Sequence[Trial], names: Sequence[str]) -> dict[str, int]:
    bad = sum((~np.isfinite(np.hstack((trial.drive, trial.response)))).sum(0) for trial in trials)
    return {name: int(count) for name, count in zip(names, np.atleast_1d(bad), strict=True) if count}


def _filled(trial: Trial, longest_gap: int) -> Trial:
    return replace(
        trial, drive=fill(trial.drive, trial, longest_gap), response=fill(trial.response, trial, longest_gap)
    )


def fill(samples: Samples, trial: Trial, longest_gap: int) -> Samples:
    """Straight lines across the gaps of each channel."""
    filled = samples.copy()
    for channel in filled.T:
        bad = ~np.isfinite(channel)
        if not bad.any():
            continue
        run, first = longest_run(bad), trial.start + int(np.flatnonzero(bad)[0])
        if bad[0] or bad[-1] or run > longest_gap:
            why = (
                f"{run} samples in a row, and at most {longest_gap} may be filled"
                if run > longest_gap
                else "the trial begins or ends with it, so there is nothing to interpolate between"
            )
            raise OutsideDataError(
                f"{trial.name}: the gaps from sample {first} on cannot be filled: {why}; --gaps split cuts the data there"
            )
        channel[bad] = np.interp(np.flatnonzero(bad), np.flatnonzero(~bad), channel[~bad])
    return filled
