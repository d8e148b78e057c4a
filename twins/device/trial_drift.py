"""The offsets of a device that drifts from trial to trial, as its recordings show them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from twins.diagnosis.drift import drift_over_repeats
from twins.diagnosis.repeats import find_repeats
from twins.errors import TracesMismatch
from twins.traces import Traces


def check_repeats(traces: Sequence[Traces]) -> None:
    """Raise TracesMismatch where no input was repeated and the trials share no preparation: nothing shows a drift."""
    if find_repeats(traces) is None:
        raise TracesMismatch(
            "trial_drift needs repeats: no input was recorded twice and the trials share no preparation; record some, or "
            "leave trial_drift out"
        )


def offsets_of(
    traces: Sequence[Traces], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "response response"], float]:
    """(square root of the offsets' covariance, in response units; correlation of the offsets of successive trials).

    The strength of each channel and the pace come from the diagnosis, which undoes what subtracting the mean over
    repeats takes away; which channels move together from the means of the trials. Channels that do not drift have
    none, nor has any where nothing was repeated; see check_repeats.
    """
    repeats = find_repeats(traces)
    if repeats is None:
        n_response = traces[0].response.shape[2]
        return np.zeros((n_response, n_response)), 0.0
    drifts = drift_over_repeats(repeats, rng)
    moving = np.array([drift.distinct for drift in drifts])
    std = np.where(moving, [drift.std.value for drift in drifts], 0.0)
    means = np.concatenate([group.mean(1) for group in repeats.groups])
    spread = means.std(0)
    shape = means / np.where(spread > 0, spread, 1.0)
    covariance = (shape.T @ shape / len(shape)) * np.outer(std, std)
    variance, directions = np.linalg.eigh(covariance)
    correlations = [drift.correlation.value for drift in drifts if drift.distinct]
    root = directions * np.sqrt(np.maximum(variance, 0.0))
    return root, float(np.mean(correlations)) if correlations else 0.0
