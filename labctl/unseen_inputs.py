"""Leave out of what a twin is judged on every input that it was trained on, and say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from labctl.errors import RecordingError
from labctl.trained_inputs import TrainedInputs
from labctl.twin_data import TwinData
from twins.gates import GateThresholds

REMEDY = (
    "judge it on drives that were not in its training: record other inputs, or fit again with these kept from the fit "
    "(--test-rows, --held-out-fraction)"
)


def unseen(data: TwinData, trained: TrainedInputs | None, what: str) -> tuple[TwinData, str]:
    """(`data` without the inputs that were trained on, that in words; empty if there were none).

    what: names the data in errors. Raises RecordingError if some were, and what is left cannot be judged on.
    """
    if trained is None:
        return data, ""
    seen = [trained.seen(part) for part in data.traces]
    n_seen, n_trials = sum(int(one.sum()) for one in seen), sum(len(one) for one in seen)
    if not n_seen:
        return data, ""
    left = tuple(part.select(~one) for part, one in zip(data.traces, seen, strict=True) if not one.all())
    if n_seen == n_trials:
        raise RecordingError(
            f"{what}: the twin was trained on all of its drives, on these or on other repeats; {REMEDY}"
        )
    told = f"{n_seen} of {n_trials} trials are of drives that the twin was trained on"
    least = GateThresholds()
    if (
        sum(part.n_trials for part in left) < least.min_trials
        or sum(len(np.unique(part.inputs)) for part in left) < least.min_inputs
    ):
        raise RecordingError(f"{what}: {told}, and without them too little is left to judge it; {REMEDY}")
    return replace(data, traces=left), f"{told}; they were left out"


def trained_on(provenance: Mapping[str, Any]) -> TrainedInputs | None:
    """What a saved twin was trained on; None for a twin whose file does not say."""
    stored = provenance.get("extra", {}).get("trained_on")
    return None if stored is None else TrainedInputs.from_dict(stored)


def unseen_by(provenance: Mapping[str, Any], data: TwinData, twin: Path, what: str) -> tuple[TwinData, str]:
    """As `unseen`, of a saved twin. Where its file does not say what it was trained on, its recordings are refused whole.

    Raises RecordingError.
    """
    trained = trained_on(provenance)
    if trained is not None:
        return unseen(data, trained, f"{what} (for {twin.name})")
    fitted = {one.get("sha256") for one in provenance.get("extra", {}).get("recordings", ())} - {None}
    for source in data.sources:
        if source["sha256"] in fitted:
            raise RecordingError(
                f"{source['path']}: {twin.name} was fitted to this recording, and does not say to which part of it (an "
                "earlier version wrote it); fit it again, or check it on another recording"
            )
    return data, ""
