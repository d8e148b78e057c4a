"""What a diagnosis says: plain frozen data, each figure with its uncertainty."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from twins.diagnosis.free_runs import FreeRuns

QUIET = 0.02
"""Process noise over the spread, below which free runs may err by the model more than by noise."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its standard error, in the same units."""

    value: float
    sd: float

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.sd:.2g}"


@dataclass(frozen=True, slots=True)
class Drift:
    """Slow drift over repeats: an offset constant in a trial.

    std: of the offsets, in response units. share: of the variance about the repeats' mean. correlation: of the
    offsets of neighbouring trials. significant: seen beyond chance. distinct: shared by neighbouring trials, which a
    device's own slow memory is not.
    """

    std: Estimate
    share: Estimate
    correlation: Estimate
    significant: bool
    distinct: bool


@dataclass(frozen=True, slots=True)
class ChannelDiagnosis:
    """Figures of one response channel, in its own unit.

    spread: standard deviation of all its samples. process_noise: standard deviation that one sample's step adds.
    observation_noise: of white noise that later samples do not remember. observation_noise_known: whether the data
    tell the two apart; observation_noise_reason says why (not). observation_share: lowest and highest share of
    observation noise in the sum of both variances that the data allow.
    drift: None where nothing was repeated. residual_autocorrelation: of deviations from the repeats' mean without
    drift, at lags 1 to 5; None without repeats. innovation_autocorrelation: of what the best filter cannot foresee,
    lags 1 to 5; coloured: it is not white. loudness_range: 90 % over 10 % quantile of the process noise's spread as
    drive and response vary. memory, drive_memory: samples of response
    and drive that the one-step model in the filter needs.
    one_step_error: held-out, of models (linear, quadratic, cubic) in raw samples, over the spread of the response.
    """

    name: str
    unit: str
    spread: float
    process_noise: Estimate
    observation_noise: Estimate
    observation_noise_known: bool
    observation_noise_reason: str
    observation_share: tuple[float, float]
    drift: Drift | None
    residual_autocorrelation: tuple[float, ...] | None
    innovation_autocorrelation: tuple[float, ...]
    coloured: bool
    loudness_range: float
    memory: int
    drive_memory: int
    one_step_error: tuple[float, float, float]

    @property
    def process_share(self) -> float:
        """Process noise over the spread: no more than the best one-step model errs, whatever the filter's model misses."""
        return min(self.process_noise.value / self.spread, *self.one_step_error)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that recordings say about a device before a twin is fitted.

    n_drive: drive channels, and conditions that vary. n_stretches: different inputs, where a long one counts once for
    every 80 samples.
    channels: those that vary; constant ones are named in warnings. cross_correlation: root mean square correlation
    between different channels of what one-step models or repeats leave unexplained; adjacent_correlation: mean of
    neighbouring channels; noise_rank: components that carry 90 % of its variance. source: "repeats", "preparation" or
    "one-step", what the last three and the drift rest on.
    response_delays, drive_delays: earlier samples that one-step models use on held-out data (see DeviceTwinSpec);
    polynomial_order: 1, 2 or 3, the lowest that foresees held-out samples as well as the best.
    multistable_share: share of repeated inputs whose repeats part into clusters; None where it cannot be seen.
    drive_errors: held-out one-step errors over the spread with the drive as it stands and with the drive one sample ahead
    (see twins.diagnosis.alignment), of the channel that shows most of a difference; None where that was not looked at.
    free_runs: what free runs of polynomials of that order, on held-out data, say about memory and noise; None where
    process noise is not small (QUIET), or there are too few data.
    """

    dt_s: float
    n_inputs: int
    n_stretches: int
    n_trials: int
    n_samples: int
    n_repeats: int
    n_drive: int
    channels: tuple[ChannelDiagnosis, ...]
    cross_correlation: float
    adjacent_correlation: float
    noise_rank: int
    source: str
    response_delays: int
    drive_delays: int
    polynomial_order: int
    multistable_share: float | None
    warnings: tuple[str, ...]
    drive_errors: tuple[float, float] | None = None
    free_runs: FreeRuns | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)
