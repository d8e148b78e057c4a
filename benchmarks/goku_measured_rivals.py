"""The rivals of goku_measured.py: methods that know no equation, with the drive as an input."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from goku_measured_data import LOOK_AHEAD, Silverbox, training_starts
from silverbox import DT_S, N_REALISATIONS, multisines, part
from silverbox_lstm import DriveLstm, fit_lstm, run_lstm

from twins.goku.baselines import AutoregressionSettings, BaselineFitSettings, fit_autoregression
from twins.goku.baselines import fit_lstm as fit_autoencoder

CONTEXT, HORIZON = 128, 500
ORDERS, RIDGES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64), (1e-12, 1e-10, 1e-8, 1e-6, 1e-4)


@dataclass(frozen=True)
class DriveRival:
    """The LSTM from drive to response, run from the beginning of the part of the record that holds a stretch."""

    model: DriveLstm
    data: Silverbox

    def at(self, starts: np.ndarray, length: int, first: int) -> np.ndarray:
        """(trace, time, 1): the stretches of one run that begins at sample `first`."""
        stop = int(starts[-1]) + length
        whole = part(self.data.drive, self.data.response, [first], stop - first)
        run = run_lstm(self.model, whole)
        made: np.ndarray = run[starts[:, None] - first + np.arange(length)][..., None]
        return made


def fit_rivals(data: Silverbox, *, seconds: float, seed: int) -> dict[str, Any]:
    """All of them, on the nine training realisations; the last of these chooses orders and check-points."""
    per = 8_000 // 1_000
    cuts = data.plain(training_starts(1_000, per), 1_000)
    last = np.arange(cuts.n_traces) >= (N_REALISATIONS - 2) * per
    training, validation = cuts.select(~last), cuts.select(last)
    # the ridge is a share of the mean squared input, so one for many collinear lags of the drive must reach low
    autoregression = fit_autoregression(
        training, validation,
        settings=AutoregressionSettings(
            orders=ORDERS, ridges=RIDGES, context_samples=CONTEXT, horizon_samples=HORIZON
        ),
    )  # fmt: skip
    settings = BaselineFitSettings(
        window_samples=CONTEXT, horizon_samples=100, batch_windows=32, max_updates=1_000_000, cpu_s=seconds
    )
    began = time.perf_counter()
    fitting = fit_autoencoder(training, validation, seed=seed, settings=settings)
    while True:
        try:
            next(fitting)
        except StopIteration as stopped:
            autoencoder = stopped.value
            break
    shared = max(1.0, (time.perf_counter() - began) / autoencoder.cpu_s)  # of a busy machine: equal CPU time for both
    model, n_updates = fit_lstm(
        multisines(data.drive, data.response, range(N_REALISATIONS - 1)), seconds=seconds * shared, seed=seed
    )
    print(
        f"autoregression of order {autoregression.order}, ridge {autoregression.ridge:g}; LSTM autoencoder "
        f"{autoencoder.n_updates} updates, LSTM from the drive {n_updates}; {LOOK_AHEAD} drive samples each, {DT_S:.6f} s"
    )
    return {"autoregression": autoregression, "lstm": autoencoder, "drive_lstm": DriveRival(model, data)}
