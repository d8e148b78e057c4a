"""Windows from single-shot trials and from repeated ones, mixed in a stated share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.device.prepare import driven_inputs
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid
from twins.traces import Traces


class Windows(NamedTuple):
    """Measured windows, normalised: states at the start, newest first, drive inputs of each step and what followed it."""

    start: Float[Tensor, "window delay response"]
    u: Float[Tensor, "window step inputs"]
    observed: Float[Tensor, "window step response"]


class MixedWindows:
    """Windows of n_steps at random places: a share of repeats_share from trials whose input was repeated.

    repeats_share None: all places are as likely. Where there are only single shots, or only repeats, all windows are of
    that kind. Raises TracesInvalid if the trials are too short.
    """

    def __init__(
        self, twin: DeviceTwin, traces: Sequence[Traces], *, n_steps: int, repeats_share: float | None
    ) -> None:
        spec, like = twin.spec, twin.linear_weight
        shortest = min(part.n_samples for part in traces)
        if shortest < spec.n_delays + n_steps + 1:
            raise TracesInvalid(
                f"windows of {n_steps} steps need trials of at least {spec.n_delays + n_steps + 1} samples, the "
                f"shortest has {shortest}; give n_steps of at most {shortest - spec.n_delays - 1}"
            )
        self._first, self._n_steps = spec.n_delays, n_steps
        self._delays = np.arange(spec.response_delays + 1)
        self._responses = [
            ((torch.tensor(part.response) - twin.response_centre) / twin.response_scale).to(like) for part in traces
        ]
        self._inputs = [driven_inputs(twin, part).to(like) for part in traces]
        repeated = [repeated_trials(part) for part in traces]
        kinds = [[np.flatnonzero(mask == wanted) for mask in repeated] for wanted in (False, True)]
        places = np.array([[len(trials) * self._n_places(i) for i, trials in enumerate(kind)] for kind in kinds], float)
        share = places.sum(1) / places.sum()
        if repeats_share is not None and share.all():
            share = np.array([1.0 - repeats_share, repeats_share])
        within = places / np.maximum(places.sum(1, keepdims=True), 1.0)
        self._odds = (share[:, None] * within).ravel()  # of every pair (kind, recording)
        self._sources = [(number, trials) for kind in kinds for number, trials in enumerate(kind)]

    def draw(self, n_windows: int, rng: np.random.Generator) -> Windows:
        """n_windows of them."""
        counts = rng.multinomial(n_windows, self._odds / self._odds.sum())
        parts = [self._from(*source, int(n), rng) for source, n in zip(self._sources, counts, strict=True) if n]
        return Windows(*(torch.cat(pieces) for pieces in zip(*parts, strict=True)))

    def _n_places(self, number: int) -> int:
        return self._responses[number].shape[1] - self._first - self._n_steps

    def _from(self, number: int, trials: np.ndarray, n: int, rng: np.random.Generator) -> Windows:
        trial = rng.choice(trials, n)[:, None]
        k = self._first + rng.integers(self._n_places(number), size=n)[:, None]
        ahead = np.arange(self._n_steps)
        response, inputs = self._responses[number], self._inputs[number]
        return Windows(response[trial, k - self._delays], inputs[trial, k + ahead], response[trial, k + 1 + ahead])


def repeated_trials(traces: Traces) -> np.ndarray:
    """(trial,), whether the input of each was given more than once."""
    _, place, counts = np.unique(traces.inputs, return_inverse=True, return_counts=True)
    mask: np.ndarray = counts[place] > 1
    return mask
