"""Ask a saved twin for its predictions of held-out recordings, with bands, residuals, coverage and spectra, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.errors import CampaignError
from labctl.events import Progress, Reported, Warned
from labctl.recording import Recording
from labctl.twin_data import TwinData
from labctl.twin_prediction import TwinPrediction, save_prediction
from labctl.unseen_inputs import unseen_by

if TYPE_CHECKING:
    from labctl.twin_predicting import Predicting
    from labctl.twin_prediction import PredictedInput
    from twins import Traces

PREDICTION = "prediction.npz"
FEWEST_DRAWS = 39
"""Free runs of an input, without which there is no 95 % interval."""


def predict_twin(
    twin: Path,
    recordings: Sequence[Recording],
    *,
    n_draws: int = 99,
    seed: int = 0,
    out: Path | None = None,
    folder: Path | None = None,
) -> Campaign[TwinPrediction]:
    """Free runs of the twin beside every input of the recordings that it was not trained on.

    n_draws: free runs an input, at least 39. out: a file (.npz or .h5) for what came of it. folder: for
    prediction.npz, where no file is named. Inputs that the twin was
    trained on, by themselves or in other repeats, are left out, with a warning.

    Raises CampaignError for too few draws, RecordingError for recordings that do not belong together or leave too
    little, and twins.TwinError for a file that is no twin, or recordings of another device.
    """
    from labctl.judging import merged
    from labctl.twin_predicting import Predicting
    from twins import load_any_twin, read_provenance

    if n_draws < FEWEST_DRAWS:
        raise CampaignError(f"{n_draws} free runs have no 95 % interval; ask for {FEWEST_DRAWS} or more")
    out = folder / PREDICTION if out is None and folder is not None else out
    key = f"predict/{twin.stem}"
    step = Step(key, f"Predictions of {twin.stem}")
    yield step.started()
    loaded = load_any_twin(twin)
    data = TwinData.of(recordings)
    for part in data.traces:
        loaded.spec.check_traces(part)
    data, told = unseen_by(read_provenance(twin), data, twin, "the recordings")
    if told:
        yield Warned(key, told)
    asked = Predicting(loaded, n_draws, seed)
    lots = merged(data.traces)
    inputs = [
        (lot, int(one), _label(lot, int(one), several=len(lots) > 1)) for lot in lots for one in np.unique(lot.inputs)
    ]
    for number, (lot, input_id, label) in enumerate(inputs):
        one = yield from in_background(_asking(asked, lot, input_id, label), key=key)
        yield Progress(key, number + 1, len(inputs), f"{label}: {100 * one.coverage_90:.1f} % in the 90 % interval")
    names = [str(one.path or "a recording in memory") for one in recordings]
    prediction = yield from in_background(
        lambda: asked.prediction(twin.stem, names, lots[0], simulated=data.simulated), key=key
    )
    files = () if out is None else (str(save_prediction(prediction, out)),)
    yield Reported(key, prediction.as_dict(), files)
    covered = float(np.mean([one.coverage_90 for one in prediction.inputs]))
    yield step.finished(f"{prediction.n_inputs} inputs, {100 * covered:.1f} % of measured values in the 90 % interval")
    return prediction


def _asking(asked: Predicting, lot: Traces, input_id: int, label: str) -> Callable[[], PredictedInput]:
    def work() -> PredictedInput:
        return asked.ask(lot, input_id, label)

    return work


def _label(lot: Traces, input_id: int, *, several: bool) -> str:
    """For people; where recordings differ in their conditions, with those."""
    held = ", ".join(f"{name} {value:.4g}" for name, value in lot.conditions.items())
    n_repeats = int((lot.inputs == input_id).sum())
    repeats = f"{n_repeats} repeats" if n_repeats > 1 else "measured once"
    return f"input {input_id} ({repeats}{f'; {held}' if held and several else ''})"
