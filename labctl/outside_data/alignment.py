"""Which sample of the drive acts between two samples of the response: the one before, or one that was measured later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.treatments import Treatments
from labctl.outside_data.trial import Record, Trial


def settle_alignment(
    trials: Sequence[Trial], response_names: Sequence[str], treatments: Treatments
) -> tuple[list[Trial], int, list[Record]]:
    """The trials with the drive as many samples ahead as was asked for, or as the data tell; how many; what was done.

    A twin takes drive[k] to act between samples k and k + 1. Where drive and response were sampled together and the drive
    was not held, the response already shows drive[k + 1] at k + 1: then drive[k + 1] takes the place of drive[k], and the
    last sample of every stretch is lost. Only trials that are not kept for testing are asked.

    Raises OutsideDataError where the trials are shorter than that.
    """
    asked = treatments.drive_ahead
    if asked == "auto":
        ahead, record = _told(trials, response_names)
    else:
        ahead, record = asked, {"decided": "asked for"}
    if not ahead:
        return list(trials), 0, []
    moved = [_ahead(trial, ahead) for trial in trials if len(trial) > ahead]
    if not any(not trial.is_test for trial in moved):
        raise OutsideDataError(f"no trial has more than the {ahead} samples that the drive is to be taken ahead")
    return moved, ahead, [{"treatment": "drive taken ahead", "samples": ahead, **record}]


def _ahead(trial: Trial, n_samples: int) -> Trial:
    return replace(trial.part(0, len(trial) - n_samples), drive=trial.drive[n_samples:])


def _told(trials: Sequence[Trial], response_names: Sequence[str]) -> tuple[int, Record]:
    from twins.diagnosis.alignment import drive_alignment

    training = [trial for trial in trials if not trial.is_test]
    found = drive_alignment([trial.response[None] for trial in training], [trial.drive[None] for trial in training])
    if found is None:
        return 0, {}
    before, after = found.errors
    return found.ahead, {
        "decided": "by the data",
        "channel": response_names[found.channel],
        "one_step_error": after,
        "one_step_error_as_it_stands": before,
    }
