"""Marginal likelihood of recordings whose state is hidden, by a Kalman filter over windows of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.device.filtering import KalmanFilter
from twins.device.prepare import driven_inputs
from twins.device.twin import DeviceTwin
from twins.traces import Traces


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    """All trials of all traces as a filter needs them: (trial, time, …), normalised, a pair a set of traces."""

    observed: tuple[Tensor, ...]
    drive_inputs: tuple[Tensor, ...]

    @classmethod
    def of(cls, twin: DeviceTwin, traces: Sequence[Traces]) -> Recordings:
        """In the units of this twin."""
        like = twin.linear_weight
        response = [(torch.tensor(part.response) - twin.response_centre) / twin.response_scale for part in traces]
        drive = [driven_inputs(twin, part) for part in traces]
        return cls(tuple(part.to(like) for part in response), tuple(part.to(like) for part in drive))

    def windows(self, n_windows: int, n_samples: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Random windows: observed (window, time, response), drive inputs (window, time, drive_inputs).

        n_samples is cut to the shortest trial.
        """
        n_samples = min(n_samples, *(part.shape[1] for part in self.observed))
        places = np.array([len(part) * (part.shape[1] - n_samples + 1) for part in self.observed], float)
        counts = rng.multinomial(n_windows, places / places.sum())
        ahead = torch.arange(n_samples)
        chosen: tuple[list[Tensor], list[Tensor]] = ([], [])
        for observed, drive, count in zip(self.observed, self.drive_inputs, counts, strict=True):
            trials = torch.from_numpy(rng.integers(len(observed), size=count))
            starts = torch.from_numpy(rng.integers(observed.shape[1] - n_samples + 1, size=count))
            index = (trials.unsqueeze(1), starts.unsqueeze(1) + ahead)
            chosen[0].append(observed[index])
            chosen[1].append(drive[index])
        return torch.cat(chosen[0]), torch.cat(chosen[1])


def filter_nll(
    twin: DeviceTwin,
    observed: Float[Tensor, "window time response"],
    drive_inputs: Float[Tensor, "window time drive_inputs"],
    *,
    burn_in: int = 0,
    method: str = "sigma_points",
) -> Float[Tensor, ""]:
    """Mean negative log marginal likelihood a sample and channel, in nats, less log(2π)/2, in linear residuals.

    The samples of the delays give the first belief; the next `burn_in` samples improve it and are not scored, nor does
    a gradient flow through them.
    """
    kalman, first = KalmanFilter(twin, method=method), twin.spec.response_delays
    with torch.set_grad_enabled(torch.is_grad_enabled() and burn_in == 0):
        belief = kalman.start(observed[:, : first + 1].flip(1), drive_inputs[:, first])
        for k in range(first, first + burn_in):
            belief, _ = kalman.update(kalman.predict(belief, drive_inputs[:, k]), observed[:, k + 1])
    densities = []
    for k in range(first + burn_in, observed.shape[1] - 1):
        belief, density = kalman.update(kalman.predict(belief, drive_inputs[:, k]), observed[:, k + 1])
        densities.append(density)
    n = twin.spec.n_response
    unit = 0.5 * math.log(2.0 * math.pi) + twin.increment_scale.log().mean()
    nll: Tensor = -torch.stack(densities).mean() / n - unit
    return nll
