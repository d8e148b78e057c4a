"""Free runs without noise from measured states, in normalised units, and how they respond to small changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.device.prepare import driven_inputs
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid
from twins.traces import Traces


@dataclass(frozen=True, slots=True, eq=False)
class Rollouts:
    """Windows of measured data, float64, normalised, time first.

    start: (window, delay, response), newest first. u: (step, window, input), drive with its delays and conditions.
    observed: (step, window, response), what followed each step.
    """

    start: Tensor
    u: Tensor
    observed: Tensor

    @property
    def n_steps(self) -> int:
        """Steps of every window."""
        return self.u.shape[0]

    @property
    def n_windows(self) -> int:
        """Number of windows."""
        return self.u.shape[1]

    def part(self, windows: slice | Tensor) -> Rollouts:
        """Some of the windows."""
        return Rollouts(self.start[windows], self.u[:, windows], self.observed[:, windows])


def rollouts(
    twin: DeviceTwin, traces: Sequence[Traces], *, n_steps: int, n_windows: int, rng: np.random.Generator
) -> Rollouts:
    """At most n_windows windows of n_steps that do not overlap, from all trials; which of them, by `rng`.

    Where the trials are shorter than that the windows are as long as the shortest trial allows. Raises TracesInvalid if
    a trial is too short for even one step.
    """
    first = twin.spec.n_delays
    n_steps = min(n_steps, min(part.n_samples for part in traces) - 1 - first)
    if n_steps < 1:
        raise TracesInvalid(f"free runs need trials of more than {first + 1} samples")
    places = [
        (number, trial, k)
        for number, part in enumerate(traces)
        for trial in range(part.n_trials)
        for k in range(first, part.n_samples - n_steps, n_steps)
    ]
    chosen = [places[i] for i in sorted(rng.permutation(len(places))[:n_windows].tolist())]
    responses = [(torch.tensor(part.response) - twin.response_centre) / twin.response_scale for part in traces]
    inputs = [driven_inputs(twin, part) for part in traces]
    delays = torch.arange(0, -twin.spec.response_delays - 1, -1)
    return Rollouts(
        start=torch.stack([responses[i][trial, k + delays] for i, trial, k in chosen]).double(),
        u=torch.stack([inputs[i][trial, k : k + n_steps] for i, trial, k in chosen], dim=1).double(),
        observed=torch.stack([responses[i][trial, k + 1 : k + 1 + n_steps] for i, trial, k in chosen], dim=1).double(),
    )


def free_run(
    twin: DeviceTwin, start: Float[Tensor, "window delay response"], u: Float[Tensor, "step window input"]
) -> Float[Tensor, "step window inputs"]:
    """The rows of inputs that a twin without noise meets in each step, and one more of its last state."""
    x, rows = start, []
    for u_k in u:
        rows.append(torch.cat((x.flatten(1), u_k), dim=1))
        newest = x[:, 0] + twin.step_law(rows[-1]).increment
        x = torch.cat((newest.unsqueeze(1), x[:, :-1]), dim=1)
    rows.append(torch.cat((x.flatten(1), u[-1]), dim=1))
    return torch.stack(rows)


def jacobian(twin: DeviceTwin, rows: Float[Tensor, "row inputs"]) -> Float[Tensor, "row response state_inputs"]:
    """How the next sample follows the present one and those before it, newest first."""
    rows = rows.detach().requires_grad_(True)
    n, n_state = twin.spec.n_response, twin.spec.n_state_inputs
    with torch.enable_grad():
        increment = twin.step_law(rows).increment
        slopes = [torch.autograd.grad(increment[:, i].sum(), rows, retain_graph=i + 1 < n)[0] for i in range(n)]
    newest = torch.nn.functional.pad(torch.eye(n, dtype=rows.dtype), (0, n_state - n))
    return torch.stack([slope[:, :n_state] for slope in slopes], dim=1) + newest
