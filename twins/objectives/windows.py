"""Short free runs judged by proper scores: what one-step likelihood cannot see, such as observation noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.device.history import Histories
from twins.device.twin import DeviceTwin
from twins.objectives.scores import adjacent_pairs_score, crps, energy_score
from twins.traces import Traces


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """A batch of windows: measured history, drive (window, time, drive), observed (window, time - 1, response), conditions."""

    history: Histories
    drive: Tensor
    observed: Tensor
    conditions: Tensor


def draw_windows(
    twin: DeviceTwin, traces: Sequence[Traces], *, n_windows: int, n_steps: int, rng: np.random.Generator
) -> Windows:
    """Windows of n_steps at random places of random trials; each starts from its measured history."""
    spec = twin.spec
    usable = np.array([part.n_trials * max(0, part.n_samples - spec.n_history - n_steps) for part in traces], float)
    sources = rng.choice(len(traces), n_windows, p=usable / usable.sum())
    newest_first = -np.arange(spec.warm_up + spec.response_delays + 1)
    before = -1 - np.arange(spec.warm_up + spec.drive_delays)
    ahead = np.arange(n_steps + 1)
    gathered: list[list[np.ndarray]] = [[], [], [], [], []]
    for source in sources:
        part = traces[source]
        trial, k = rng.integers(part.n_trials), rng.integers(spec.n_history, part.n_samples - n_steps)
        gathered[0].append(part.response[trial, k + newest_first])
        gathered[1].append(part.drive[trial, k + before])
        gathered[2].append(part.drive[trial, k + ahead])
        gathered[3].append(part.response[trial, k + ahead[1:]])
        gathered[4].append(np.array([part.conditions[name] for name in spec.condition_names]))
    response, drive_before, drive, observed, conditions = (torch.tensor(np.stack(parts)) for parts in gathered)
    return Windows(Histories(response, drive_before), drive, observed, conditions)


def window_score(
    twin: DeviceTwin, windows: Windows, *, n_draws: int, generator: torch.Generator, score: str = "energy"
) -> Float[Tensor, ""]:
    """Mean score of free runs over the windows, with the twin's measurement noise; lower is better.

    score: "energy", CRPS of the values plus energy score of whole windows (a value), in units of the linear residual; or
    "pairs", finite-dimensional matching of adjacent times.
    """
    drive = windows.drive.expand(n_draws, *windows.drive.shape)
    samples = twin.respond(
        drive, history=windows.history, conditions=windows.conditions, generator=generator, check_range=False
    )[:, :, 1:]
    scale = twin.response_scale * twin.increment_scale
    samples, observed = (
        ((values - twin.response_centre) / scale).to(twin.linear_weight) for values in (samples, windows.observed)
    )
    if score == "pairs":
        return adjacent_pairs_score(samples, observed).mean()
    length = observed.shape[1] * observed.shape[2]
    whole = energy_score(samples.flatten(-2), observed.flatten(-2)) / length**0.5
    total: Tensor = crps(samples, observed).mean() + whole.mean()
    return total
