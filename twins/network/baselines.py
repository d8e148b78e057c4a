"""What needs no device: linear models on taps of the input, with the task's own read-out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twins.network.readout import fit_readout_by_validation
from twins.network.scores import Score, readout_kind, score
from twins.network.tasks import Metric, TaskData
from twins.network.wiring import delayed


def linear_on_taps(metric: Metric, training: TaskData, heldout: TaskData, *, taps: Sequence[int]) -> Score:
    """Ridge regression, or softmax regression, on u[n-d] for every d in `taps`; regularisation by validation over
    trials.

    `linear_on_taps(…, taps=range(20))` is the linear regression on 20 taps that belongs beside any NARMA-10 figure.
    """
    rows = _tapped(training, taps)
    trial_of_row = np.nonzero(training.scored)[0]
    readout = fit_readout_by_validation(
        readout_kind(metric), rows[training.scored], training.targets[training.scored], trial_of_row
    )
    return score(metric, readout.apply(_tapped(heldout, taps)), heldout)


def _tapped(data: TaskData, taps: Sequence[int]) -> np.ndarray:
    tapped = delayed(data.inputs, list(taps))
    return tapped.reshape(*tapped.shape[:2], -1)
