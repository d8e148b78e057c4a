"""What the judgement of a twin does not cover, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labctl.twin_data import TwinData

if TYPE_CHECKING:
    from twins import DeviceTwin

FEW_INPUTS = 10
FEW_REPEATS = 10


def limits_of(twin: DeviceTwin, judged: TwinData, how: str, *, repeated: bool) -> list[str]:
    """Ranges, numbers of inputs and repeats, conditions: one sentence each."""
    spec = twin.spec
    ranges = ", ".join(
        f"{name} {float(low):.4g} to {float(high):.4g} {unit}"
        for name, unit, (low, high) in zip(spec.drive_names, spec.drive_units, twin.drive_range, strict=True)
    )
    n_inputs = sum(len(np.unique(part.inputs)) for part in judged.traces)
    n_trials = sum(part.n_trials for part in judged.traces)
    length = max(part.n_samples for part in judged.traces)
    said = [
        f"Drives: it was fitted over {ranges}; beyond that it is not asked, and nothing here speaks of it.",
        f"Judged on {n_trials} trials of {n_inputs} inputs that the fit never saw ({how}), of at most {length} samples "
        f"({length * spec.dt_s:.4g} s): inputs of another kind, and longer free runs, may do worse.",
    ]
    if n_inputs < FEW_INPUTS:
        said.append(f"{n_inputs} held-out inputs are few: rare behaviour of the device may not be among them.")
    if not repeated:
        said.append(
            "No held-out input was repeated: an error of the mean and the device's noise cannot be told apart here. "
            "Repeat some inputs ten times or more to judge the noise by itself."
        )
    elif n_trials < FEW_REPEATS * n_inputs:
        said.append(
            f"{n_trials / n_inputs:.1f} repeats an input are few: the spread of one input is known roughly only."
        )
    said.append(_conditions(twin, judged))
    said.append(
        "A device that ages, drifts or is mounted anew is another device: check the twin on new recordings then."
    )
    return [*said, *judged.treatments]


def _conditions(twin: DeviceTwin, judged: TwinData) -> str:
    held = ", ".join(f"{name} {value:.4g}" for name, value in judged.conditions.items())
    if twin.spec.condition_names:
        ranges = ", ".join(
            f"{name} {float(low):.4g} to {float(high):.4g}"
            for name, (low, high) in zip(twin.spec.condition_names, twin.condition_range, strict=True)
        )
        return f"Conditions: it was fitted over {ranges}."
    return (
        f"Conditions: all was recorded at {held}; elsewhere nothing is known."
        if held
        else ("Conditions: none were recorded; what was not written down (temperature, bias) must stay as it was.")
    )
