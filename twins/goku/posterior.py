"""What is known of the parameters of each trace after it was seen: draws, weighted, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float64

from twins.errors import SeriesInvalid


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Weighted draws of parameters, initial states and observation noise, trace by trace, in physical units.

    parameters: (trace, draw, parameter); initial: (trace, draw, state) at the trace's first sample; noise_sd: (trace, draw,
    channel), standard deviation of the observation noise in the channels' units. weights: (trace, draw), each trace's
    sum is 1; equal ones do not mean as many independent draws (they may have been resampled: see ``Refined.effective``).
    how: "amortised", "laplace", "importance", "sampler" …, as one word. trusted: (trace,), False where the
    draws do not stand for the posterior (not converged, few effective draws, diverged); why says it, by trace.
    """

    parameter_names: tuple[str, ...]
    parameter_units: tuple[str, ...]
    parameters: Float64[np.ndarray, "trace draw parameter"]
    initial: Float64[np.ndarray, "trace draw state"]
    noise_sd: Float64[np.ndarray, "trace draw channel"]
    weights: Float64[np.ndarray, "trace draw"]
    how: str
    trusted: Bool[np.ndarray, " trace"]
    why: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.parameters.shape
        if len(shape) != 3 or shape[2] != len(self.parameter_names) or 0 in shape[:2]:
            raise SeriesInvalid(
                f"a posterior's parameters must be (trace, draw, {len(self.parameter_names)}), not {shape}"
            )
        for name in ("initial", "noise_sd", "weights"):
            if getattr(self, name).shape[:2] != shape[:2]:
                raise SeriesInvalid(
                    f"{name} must have (trace, draw) = {shape[:2]}, not {getattr(self, name).shape[:2]}"
                )

    @property
    def n_traces(self) -> int:
        """Traces."""
        return int(self.parameters.shape[0])

    @property
    def n_draws(self) -> int:
        """Draws a trace."""
        return int(self.parameters.shape[1])

    def mean(self) -> Float64[np.ndarray, "trace parameter"]:
        """Posterior mean."""
        mean: np.ndarray = np.einsum("td,tdp->tp", self.weights, self.parameters)
        return mean

    def sd(self) -> Float64[np.ndarray, "trace parameter"]:
        """Posterior standard deviation."""
        spread = np.square(self.parameters - self.mean()[:, None])
        sd: np.ndarray = np.sqrt(np.einsum("td,tdp->tp", self.weights, spread))
        return sd

    def quantiles(self, levels: Sequence[float]) -> Float64[np.ndarray, "level trace parameter"]:
        """Weighted quantiles, level by level."""
        order = np.argsort(self.parameters, axis=1)
        values = np.take_along_axis(self.parameters, order, axis=1)
        weights = np.take_along_axis(np.broadcast_to(self.weights[:, :, None], self.parameters.shape), order, axis=1)
        below = np.cumsum(weights, axis=1) - 0.5 * weights  # each draw stands for the mass around it
        result = np.empty((len(levels), self.n_traces, len(self.parameter_names)))
        for trace in range(self.n_traces):
            for parameter in range(len(self.parameter_names)):
                result[:, trace, parameter] = np.interp(levels, below[trace, :, parameter], values[trace, :, parameter])
        return result

    def median(self) -> Float64[np.ndarray, "trace parameter"]:
        """Weighted median."""
        middle: np.ndarray = self.quantiles([0.5])[0]
        return middle

    def interval(self, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) of the central interval, (trace, parameter) each."""
        low, high = self.quantiles([0.5 * (1.0 - level), 0.5 * (1.0 + level)])
        return low, high

    def covers(
        self, truth: Float64[np.ndarray, "trace parameter"], level: float = 0.9
    ) -> Bool[np.ndarray, "trace parameter"]:
        """Whether the central interval holds the true value."""
        low, high = self.interval(level)
        inside: np.ndarray = (low <= truth) & (truth <= high)
        return inside

    def select(self, traces: Sequence[int] | np.ndarray) -> Posterior:
        """Only these traces (indices or a mask)."""
        index = np.arange(self.n_traces)[np.asarray(traces)]
        why = {new: self.why[int(old)] for new, old in enumerate(index) if int(old) in self.why}
        arrays = {
            name: getattr(self, name)[index] for name in ("parameters", "initial", "noise_sd", "weights", "trusted")
        }
        return replace(self, **arrays, why=why)


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """Where a refinement begins: (trace, parameter), (trace, state) and (trace, channel), in physical units."""

    parameters: Float64[np.ndarray, "trace parameter"]
    initial: Float64[np.ndarray, "trace state"]
    noise_sd: Float64[np.ndarray, "trace channel"]

    @classmethod
    def of(cls, posterior: Posterior) -> Guess:
        """The posterior means."""

        def mean(draws: np.ndarray) -> np.ndarray:
            values: np.ndarray = np.einsum("td,tdn->tn", posterior.weights, draws)
            return values

        return cls(mean(posterior.parameters), mean(posterior.initial), mean(posterior.noise_sd))
