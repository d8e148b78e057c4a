"""Whether measured values can come from an equation at all, before anything is trained: units, gains, ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labctl.errors import CampaignError
from labctl.goku_channels import Wired

if TYPE_CHECKING:
    from twins.goku.series import Series
    from twins.goku.system import System

LARGEST = 1e100
"""Squares of larger values, and of what is made of them, are no numbers any more."""
_DRAWS = 256
_SUBSTEPS = 4
_FAR = 0.5  # of a channel's values that lie further from all simulated ones than these are wide
_SMALL = 0.02  # times the smallest swing of nearly all simulations
_NEARLY_ALL = 0.01
_FEWEST_SAMPLES = 8


def check_size(series: Series) -> None:
    """Raise CampaignError for values that are too large to compute with."""
    for channel, name in enumerate(series.names):
        values = _seen(series, channel)
        if len(values) and np.abs(values).max() > LARGEST:
            raise CampaignError(
                f"{_range(name, values, series.units[channel])}: values beyond {LARGEST:g} are too large to compute with; "
                "give them in a larger unit"
            )


def check_plausible(system: System, wired: Wired, series: Series, *, seed: int, anyway: bool = False) -> None:
    """Raise CampaignError where a channel's values are far from all that the equation gives in its ranges.

    anyway: only values that cannot be computed with are refused. Where the operator is learned, or nothing can be simulated
    (every draw runs away, a state without a range), nothing can be said.
    """
    simulated = None if anyway else simulated_channels(system, wired, series, seed=seed)
    if simulated is None:
        check_size(series)
        return
    for channel, name in enumerate(series.names):
        values, shown = _seen(series, channel), simulated[:, :, channel]
        low, high = float(shown.min()), float(shown.max())
        why = _why_not(series.values[:, :, channel], values, shown)
        if why:
            unit = series.units[channel]
            raise CampaignError(
                f"{_range(name, values, unit)}, and {system.name} gives {low:.4g} to {high:.4g}{unit and ' ' + unit} in its "
                f"ranges: {why}. If the units differ: --gain {name}=NUMBER (how many {unit or 'of its units'} one unit of "
                f"{wired.outputs[channel]} gives); if the equation may go there: --range NAME=LOW..HIGH; --anyway trains "
                "all the same"
            )
    check_size(series)


def simulated_channels(system: System, wired: Wired, series: Series, *, seed: int) -> NDArray[np.float64] | None:
    """(draw, time, channel) without noise of the instrument, of draws from the ranges that do not run away."""
    import torch

    from twins.goku.amortised.design import Design, Simulator

    observation = wired.known(system)
    if observation is None or not all(quantity.bounded for quantity in system.flat_states):
        return None
    level = torch.ones(series.n_channels, dtype=torch.float64)
    simulator = Simulator(system, observation, Design.of(series, system), level, level, _SUBSTEPS, None)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(series.n_traces, (_DRAWS,), generator=generator)
    with torch.no_grad():
        clean, kept = simulator.observed(simulator.prior(_DRAWS, generator), rows, generator)
    return clean[kept].numpy() if bool(kept.any()) else None


def remarks(system: System, series: Series) -> list[str]:
    """What of the traces' length wants saying."""
    unknown = system.n_parameters + system.n_states
    if series.n_samples >= max(_FEWEST_SAMPLES, unknown):
        return []
    return [
        f"the traces have {series.n_samples} samples, and {system.name} has {unknown} unknown parameters and initial values: "
        "so short, they can tell little; expect intervals as wide as the ranges"
    ]


def _why_not(traces: NDArray[np.float64], values: NDArray[np.float64], shown: NDArray[np.float64]) -> str:
    low, high = float(shown.min()), float(shown.max())
    room = max(high - low, 1e-12 * max(abs(low), abs(high)))
    outside = (values < low - room) | (values > high + room)
    if np.mean(outside) > _FAR:
        return f"{100 * np.mean(outside):.3g} % of the values lie far outside"
    swing = float(np.median([np.ptp(one[np.isfinite(one)]) for one in traces if np.isfinite(one).any()]))
    smallest = float(np.quantile(np.ptp(shown, axis=1), _NEARLY_ALL))
    if swing < _SMALL * smallest:
        return f"a trace moves by {swing:.3g}, and by the equation at least by {smallest:.3g}"
    return ""


def _seen(series: Series, channel: int) -> NDArray[np.float64]:
    values = series.values[:, :, channel]
    found: NDArray[np.float64] = values[np.isfinite(values)]
    return found


def _range(name: str, values: Sequence[float] | NDArray[np.float64], unit: str) -> str:
    return f"{name} goes from {np.min(values):.4g} to {np.max(values):.4g}{unit and ' ' + unit}"
