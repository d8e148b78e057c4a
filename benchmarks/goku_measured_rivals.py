"""The rivals of goku_measured.py: methods that know no equation, with the drive as an input."""

from __future__ import annotations

import copy
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from goku_measured_data import LOOK_AHEAD, Silverbox, training_starts
from silverbox import DT_S, N_REALISATIONS, multisines, part
from silverbox_lstm import DriveLstm, fit_lstm, run_lstm

from labctl.campaigns.told import drained
from twins.goku.baselines import (
    AutoregressionSettings,
    BaselineFitSettings,
    FittedSequence,
    VectorAutoregression,
    fit_autoregression,
)
from twins.goku.baselines import fit_lstm as fit_autoencoder
from twins.goku.baselines.training import fit_sequence
from twins.goku.series import Series

CONTEXT, HORIZON = 128, 500
LENGTH = CONTEXT + HORIZON
ORDERS, RIDGES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64), (1e-12, 1e-10, 1e-8, 1e-6, 1e-4)
FIRST_HORIZON, FIRST_SHARE = 100, 0.5
"""The autoencoders learn short forecasts first, for this share of the time of the longer ones: their updates are cheap."""

UPDATES_A_CHECK = 27  # of the longer ones: a check of 256 windows costs as much as some updates


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


@dataclass(frozen=True)
class Rivals:
    """autoencoders: by what they were trained for, "forecast" and "reconstruction". cpu_seconds: what each LSTM was given;
    updates: what it made of it."""

    autoregression: VectorAutoregression
    autoencoders: dict[str, FittedSequence]
    drive_lstm: DriveRival
    cpu_seconds: dict[str, float]
    updates: dict[str, int]


class RivalTraining:
    """Training of all of them on the nine training realisations, the last of which chooses orders and check-points; in
    two processes beside this one, and by CPU seconds, so that none is worse off on a busy machine."""

    def __init__(self, data: Silverbox, *, seconds: float, seed: int) -> None:
        self._data = data
        self._pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
        self._autoencoders = self._pool.submit(autoencoders, *_cuts(data), seconds=seconds, seed=seed)
        self._drive_lstm = self._pool.submit(drive_lstm, data, seconds=(1.0 + FIRST_SHARE) * seconds, seed=seed)

    def result(self) -> Rivals:
        """Wait for it."""
        with self._pool:
            autoregression = _autoregression(*_cuts(self._data))
            model, n_updates, cpu_s = self._drive_lstm.result()
            found, first = self._autoencoders.result()
        cpu_seconds = {f"lstm_{name}": first.cpu_s + one.cpu_s for name, one in found.items()} | {"drive_lstm": cpu_s}
        updates = {f"lstm_{name}": first.n_updates + one.n_updates for name, one in found.items()}
        updates["drive_lstm"] = n_updates
        print(
            f"autoregression of order {autoregression.order}, ridge {autoregression.ridge:g}; updates {updates}, CPU s "
            f"{ {name: round(value) for name, value in cpu_seconds.items()} }; {LOOK_AHEAD} drive samples each, {DT_S:.6f} s"
        )
        return Rivals(autoregression, found, DriveRival(model, self._data), cpu_seconds, updates)


def _cuts(data: Silverbox) -> tuple[Series, Series]:
    """(training, validation) in stretches of 1000 samples."""
    per = 8_000 // 1_000
    cuts = data.plain(training_starts(1_000, per), 1_000)
    last = np.arange(cuts.n_traces) >= (N_REALISATIONS - 2) * per
    return cuts.select(~last), cuts.select(last)


def _autoregression(training: Series, validation: Series) -> VectorAutoregression:
    # the ridge is a share of the mean squared input, so one for many collinear lags of the drive must reach low
    settings = AutoregressionSettings(orders=ORDERS, ridges=RIDGES, context_samples=CONTEXT, horizon_samples=HORIZON)
    return fit_autoregression(training, validation, settings=settings)


def autoencoders(
    training: Series, validation: Series, *, seconds: float, seed: int
) -> tuple[dict[str, FittedSequence], FittedSequence]:
    """One for forecasts of HORIZON samples, one for reconstructions of LENGTH, and the one that both went on from."""
    torch.set_num_threads(1)
    first = BaselineFitSettings(
        window_samples=CONTEXT, horizon_samples=FIRST_HORIZON, batch_windows=32, max_updates=1_000_000,
        cpu_s=FIRST_SHARE * seconds,
    )  # fmt: skip
    begun = drained(fit_autoencoder(training, validation, seed=seed, settings=first))
    found = {}
    for name, window, horizon in (("forecast", CONTEXT, HORIZON), ("reconstruction", LENGTH, 0)):
        settings = replace(
            first, window_samples=window, horizon_samples=horizon, cpu_s=seconds, updates_a_check=UPDATES_A_CHECK
        )
        net, generator = copy.deepcopy(begun.net), torch.Generator().manual_seed(seed)
        found[name] = drained(fit_sequence(net, training, validation, generator=generator, settings=settings))
    return found, begun


def drive_lstm(data: Silverbox, *, seconds: float, seed: int) -> tuple[DriveLstm, int, float]:
    """The model, its updates, its CPU seconds."""
    torch.set_num_threads(1)
    traces, began = multisines(data.drive, data.response, range(N_REALISATIONS - 1)), time.process_time()
    model, n_updates = fit_lstm(traces, seconds=seconds, seed=seed, clock=time.process_time)
    return model, n_updates, time.process_time() - began
