"""Recordings whose inputs and conditions are alike but not equal, taken as repeats: where exact ones are impossible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from labctl.recording import Recording, check_alike

if TYPE_CHECKING:
    from twins import Traces


def group_similar(recordings: Sequence[Recording], *, tolerance: float) -> list[Recording]:
    """The recordings with one input id for those trials of each whose drives differ by at most `tolerance`.

    The difference is a root mean square in spreads (standard deviations) of the drive. Recordings whose conditions agree
    within `tolerance` of a condition's range over all recordings have their mean conditions from then on. What was done is
    kept with their treatments. See twins.group_similar_inputs.

    Raises RecordingError for recordings that do not belong together, twins.TracesInvalid for inputs without a gap
    between them.
    """
    from twins import group_similar_inputs

    check_alike(recordings)
    held = _conditions([one.traces() for one in recordings], tolerance)
    grouped = []
    for recording, conditions in zip(recordings, held, strict=True):
        before = recording.traces()
        inputs = group_similar_inputs(before, tolerance=tolerance).inputs
        told = {
            "treatment": "similar inputs taken as repeats",
            "tolerance": tolerance,
            "inputs_before": len(np.unique(before.inputs)),
            "inputs": len(np.unique(inputs)),
            **({"conditions": conditions} if conditions != dict(recording.conditions) else {}),
        }
        # Trials that were interrupted are nobody's repeats.
        input_id = -1 - np.arange(recording.n_trials, dtype=np.int64)
        input_id[recording.whole_trials] = inputs
        treatments = [*recording.provenance.get("treatments", ()), told]
        header = replace(
            recording.header,
            input_id=input_id,
            conditions=conditions,
            provenance={**recording.provenance, "treatments": treatments},
        )
        grouped.append(replace(recording, header=header))
    return grouped


def _conditions(traces: Sequence[Traces], tolerance: float) -> list[dict[str, float]]:
    """Of each recording: the means over those that are alike."""
    from twins import group_similar_conditions

    names = list(traces[0].conditions)
    # The lengths of recordings may differ, and only their conditions matter here.
    small = [replace(one.span(one.n_prepare, one.n_prepare + 1), input_id=None) for one in traces]
    ranges = {name: float(np.ptp([one.conditions.get(name, 0.0) for one in traces])) for name in names}
    limits = {name: tolerance * span for name, span in ranges.items() if span > 0}
    if not limits:
        return [dict(one.conditions) for one in traces]
    held = [dict(one.conditions) for one in traces]
    for group in group_similar_conditions(small, tolerance=limits):
        for number in group.members:
            held[number] = dict(group.traces.conditions)
    return held
