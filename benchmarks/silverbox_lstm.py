"""The LSTM that silverbox.py compares with: V1 in, V2 out, no response fed back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

import twins

HIDDEN, N_LAGS = 48, 4  # lags of the drive beside its newest sample: the cell need not learn to store them
N_WINDOWS, N_STEPS, WASH_OUT = 64, 256, 64
FIRST_RATE, LAST_RATE, LARGEST_GRADIENT = 5e-3, 5e-5, 1.0
SCORES = 20  # of the held-out realisation, over the training


class DriveLstm(nn.Module):
    """One layer and a linear read-out of state and drive, in normalised units."""

    def __init__(self, training: twins.Traces) -> None:
        super().__init__()
        self.lstm = nn.LSTM(N_LAGS + 1, HIDDEN, batch_first=True)
        self.readout = nn.Linear(HIDDEN + N_LAGS + 1, 1)
        self.drive_centre, self.drive_scale = float(training.drive.mean()), float(training.drive.std())
        self.response_centre, self.response_scale = float(training.response.mean()), float(training.response.std())

    def inputs(self, drive: np.ndarray) -> Tensor:
        """(trial, time) V -> (trial, time, lag), normalised; row k ends with what acts on response k."""
        u = (drive - self.drive_centre) / self.drive_scale
        padded = np.pad(u, ((0, 0), (N_LAGS + 1, 0)), mode="edge")
        columns = [padded[:, N_LAGS - lag : N_LAGS - lag + u.shape[1]] for lag in range(N_LAGS + 1)]
        return torch.tensor(np.stack(columns, axis=-1), dtype=torch.float32)

    def forward(self, inputs: Tensor) -> Tensor:
        """(trial, time, lag) -> (trial, time)."""
        h, _ = self.lstm(inputs)
        response: Tensor = self.readout(torch.cat((h, inputs), dim=-1))[..., 0]
        return response


def fit_lstm(
    training: twins.Traces, *, seconds: float, seed: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[DriveLstm, int]:
    """Train for so many seconds of `clock`; the last realisation of the training data chooses the checkpoint. Returns updates."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # nn.LSTM draws its weights from the global generator
        model = DriveLstm(training)
    inputs = model.inputs(training.drive[..., 0])
    wanted = torch.tensor((training.response[..., 0] - model.response_centre) / model.response_scale).float()
    optimiser = torch.optim.Adam(model.parameters(), lr=FIRST_RATE)
    generator = torch.Generator().manual_seed(seed)
    began, n_updates, n_scored, best, state = clock(), 0, 0, math.inf, model.state_dict()
    while (progress := (clock() - began) / seconds) < 1.0:
        if progress * SCORES >= n_scored + 1:
            n_scored += 1
            score = held_out_error(model, inputs, wanted)
            if score < best:
                best, state = score, {name: value.clone() for name, value in model.state_dict().items()}
        rate = LAST_RATE + 0.5 * (FIRST_RATE - LAST_RATE) * (1.0 + math.cos(math.pi * progress))
        for group in optimiser.param_groups:
            group["lr"] = rate
        update(model, optimiser, inputs, wanted, generator)
        n_updates += 1
    if held_out_error(model, inputs, wanted) > best:
        model.load_state_dict(state)
    return model, n_updates


def update(
    model: DriveLstm, optimiser: torch.optim.Optimizer, inputs: Tensor, wanted: Tensor, generator: torch.Generator
) -> None:
    """One step on random windows; their first samples only bring the state in."""
    trials = torch.randint(len(inputs) - 1, (N_WINDOWS,), generator=generator)
    starts = torch.randint(inputs.shape[1] - N_STEPS, (N_WINDOWS,), generator=generator)
    samples = starts[:, None] + torch.arange(N_STEPS)
    error = model(inputs[trials[:, None], samples]) - wanted[trials[:, None], samples]
    loss = error[:, WASH_OUT:].square().mean()
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
    optimiser.step()


@torch.no_grad()
def held_out_error(model: DriveLstm, inputs: Tensor, wanted: Tensor) -> float:
    """Mean squared error over the last realisation, normalised."""
    return float((model(inputs[-1:]) - wanted[-1:])[:, WASH_OUT:].square().mean())


@torch.no_grad()
def run_lstm(model: DriveLstm, traces: twins.Traces) -> np.ndarray:
    """(time,) V of the first trial: one run from its first sample to its last."""
    response = model(model.inputs(traces.drive[:1, :, 0]))[0].double().numpy()
    run: np.ndarray = response * model.response_scale + model.response_centre
    return run
