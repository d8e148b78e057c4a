"""The likelihood of each trace under an equation: exact for ordinary ones, by a sigma-point filter for noisy ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.errors import EquationInvalid, SeriesInvalid
from twins.goku.inference.kalman import filtered_log_density, predict_filtered
from twins.goku.inference.ode_prediction import predict_trajectory
from twins.goku.inference.prediction import Prediction, log_density
from twins.goku.inference.slopes import Slopes, difference_slopes, forward_slopes
from twins.goku.inference.trace_data import TraceData
from twins.goku.observation import Observation, same_outputs
from twins.goku.series import Series
from twins.goku.system import System

MOST_NUMBERS = 4_000_000
"""Of predicted means (with their derivatives) held at once; more traces or draws are taken in turn."""


@dataclass(frozen=True, slots=True)
class Derivatives:
    """Of each trace's log-likelihood, by what it depends on: parameters, then initial state, then noise sd per channel.

    value: (trace,); gradient: (trace, unknown); information: (trace, unknown, unknown), the Fisher information given the
    data so far (which is the expected one for ordinary equations). All in physical units. Where diverged, value is
    -inf and the others 0.
    """

    value: Float[Tensor, " trace"]
    gradient: Float[Tensor, "trace unknown"]
    information: Float[Tensor, "trace unknown unknown"]
    diverged: Bool[Tensor, " trace"]


class TraceLikelihood:
    """How likely each trace of a series is, given parameters, the state at its first sample and the noise of observation.

    Observation noise is Gaussian, independent between samples and channels, with one sd a channel. Missing samples
    (NaN) count for nothing; steps may differ; a drive is held from its sample to the next. For an equation with noise
    of its own the state is followed by a cubature Kalman filter (``twins.goku.inference.kalman``), exact where drift and
    observation are linear and the noise is additive. All in float64; the observation is used as it is (nothing of it
    is fitted here). None for the observation: the channels are the outputs.

    substeps: solver steps a sample. blurred (an attribute): see ``twins.goku.inference.blurred``.
    Raises SeriesInvalid where the series do not fit the equation.
    """

    def __init__(self, system: System, observation: Observation | None, series: Series, *, substeps: int = 1) -> None:
        if substeps < 1:
            raise SeriesInvalid(f"substeps must be at least 1, not {substeps}")
        self.system, self.substeps, self.blurred = system, int(substeps), False
        self.observation = frozen_observation(observation)
        self.data = TraceData.of(series, system)
        self.n_channels = series.n_channels
        self._check_channels(series)

    @property
    def n_traces(self) -> int:
        """Traces."""
        return self.data.n_traces

    @property
    def n_unknowns(self) -> int:
        """Parameters, states and noise levels a trace."""
        return self.system.n_parameters + self.system.n_states + self.n_channels

    def select(self, traces: Sequence[int] | np.ndarray | Tensor) -> TraceLikelihood:
        """The likelihood of these traces; one may come several times."""
        return self._with(self.data.select(torch.as_tensor(traces, dtype=torch.int64)))

    def first(self, n_samples: int) -> TraceLikelihood:
        """The likelihood of the first samples of every trace."""
        return self._with(self.data.first(n_samples))

    def predict(
        self,
        parameters: Float[Tensor, "*copy trace parameter"],
        initial: Float[Tensor, "*copy trace state"],
        noise_sd: Float[Tensor, "*copy trace channel"],
    ) -> Prediction:
        """Mean and covariance of each sample given the earlier ones; axes as in ``Prediction``, copies first."""
        shape = np.broadcast_shapes(parameters.shape[:-1], initial.shape[:-1], noise_sd.shape[:-1])
        flat = (int(np.prod(shape[:-1])), self.n_traces)
        p, z, s = (part.expand(*shape, -1).reshape(*flat, part.shape[-1]) for part in (parameters, initial, noise_sd))
        of = (self.system, self.observation, self.data)
        if self.system.stochastic:
            found = predict_filtered(*of, p, z, s, substeps=self.substeps, blurred=self.blurred)
        else:
            found = predict_trajectory(*of, p, z, s, substeps=self.substeps)
        covariance, n, c = found.covariance, self.data.n_samples, self.n_channels
        return Prediction(
            found.mean.reshape(n, *shape, c),
            found.variance.reshape(*shape, c),
            None if covariance is None else covariance.reshape(n, *shape, c, c),
            found.diverged.reshape(shape),
        )

    def log_likelihood(
        self,
        parameters: Float[Tensor, "*copy trace parameter"],
        initial: Float[Tensor, "*copy trace state"],
        noise_sd: Float[Tensor, "*copy trace channel"],
    ) -> Float[Tensor, "*copy trace"]:
        """Natural logarithm of the density of each trace, in physical units; -inf where the equation diverged."""
        shape = np.broadcast_shapes(parameters.shape[:-1], initial.shape[:-1], noise_sd.shape[:-1])
        parts = [
            part.expand(*shape, -1).reshape(-1, self.n_traces, part.shape[-1])
            for part in (parameters, initial, noise_sd)
        ]
        each = max(1, MOST_NUMBERS // (self.n_traces * self._numbers_a_trace()))
        chunks = zip(*(torch.split(part, each) for part in parts), strict=True)
        return torch.cat([self._log_density(*chunk) for chunk in chunks]).reshape(shape)

    def _log_density(self, parameters: Tensor, initial: Tensor, noise_sd: Tensor) -> Tensor:
        if not self.system.stochastic:
            return log_density(self.data, self.predict(parameters, initial, noise_sd))
        return filtered_log_density(
            self.system, self.observation, self.data, parameters, initial, noise_sd, substeps=self.substeps,
            blurred=self.blurred,
        )  # fmt: skip

    def derivatives(
        self,
        parameters: Float[Tensor, "trace parameter"],
        initial: Float[Tensor, "trace state"],
        noise_sd: Float[Tensor, "trace channel"],
        *,
        exact: bool = False,
    ) -> Derivatives:
        """Value, gradient and Fisher information.

        By central differences of 1e-6 of each range, all of them in one batch with the point itself: right to some
        1e-8, and nothing is asked of the user's functions. exact: by forward mode instead, several times slower
        (measured: 7 times for a noisy Stuart-Landau oscillator).
        """
        copies = self.n_unknowns if exact else 2 * self.n_unknowns + 1
        each = max(1, MOST_NUMBERS // (copies * self._numbers_a_trace()))
        slopes = forward_slopes if exact else difference_slopes
        parts = []
        for chosen in torch.split(torch.arange(self.n_traces), each):
            some = self if len(chosen) == self.n_traces else self.select(chosen)
            point = torch.cat((parameters[chosen], initial[chosen], noise_sd[chosen]), dim=-1)
            parts.append(some._derivatives(slopes(some, point), noise_sd[chosen]))
        return Derivatives(
            torch.cat([part.value for part in parts]),
            torch.cat([part.gradient for part in parts]),
            torch.cat([part.information for part in parts]),
            torch.cat([part.diverged for part in parts]),
        )

    def by_first_state(
        self,
        parameters: Float[Tensor, "trace parameter"],
        initial: Float[Tensor, "trace state"],
        noise_sd: Float[Tensor, "trace channel"],
    ) -> tuple[Float[Tensor, "trace state"], Float[Tensor, "trace state state"]]:
        """Slope and information of a noisy equation's log-likelihood by the initial state alone; 0 where it diverged."""
        slopes = difference_slopes(self, torch.cat((parameters, initial, noise_sd), dim=-1), states_only=True)
        assert slopes.covariance is not None
        gradient, information = self._correlated_errors(slopes.here, slopes.mean, slopes.covariance)
        fine = torch.isfinite(gradient).all(-1) & torch.isfinite(information).all(-1).all(-1)
        return torch.where(fine.unsqueeze(-1), gradient, 0.0), torch.where(fine[:, None, None], information, 0.0)

    def _derivatives(self, slopes: Slopes, noise_sd: Tensor) -> Derivatives:
        value = log_density(self.data, slopes.here)
        if slopes.covariance is None:
            gradient, information = self._independent_errors(slopes.here, slopes.mean, noise_sd)
        else:
            gradient, information = self._correlated_errors(slopes.here, slopes.mean, slopes.covariance)
        fine = torch.isfinite(value) & torch.isfinite(gradient).all(-1) & torch.isfinite(information).all(-1).all(-1)
        return Derivatives(
            torch.where(fine, value, -torch.inf),
            torch.where(fine.unsqueeze(-1), gradient, 0.0),
            torch.where(fine[:, None, None], information, 0.0),
            ~fine,
        )

    def _independent_errors(self, here: Prediction, slope: Tensor, noise_sd: Tensor) -> tuple[Tensor, Tensor]:
        """Errors of the observation alone. slope: (time, unknown, trace, channel) of the mean."""
        seen = self.data.seen.to(slope.dtype)
        white = (self.data.values - here.mean) * seen / noise_sd
        slope = slope * (seen / noise_sd).unsqueeze(1)
        gradient = torch.einsum("tkbc,tbc->bk", slope, white)
        joint = slope.permute(2, 1, 0, 3).reshape(slope.shape[2], slope.shape[1], -1)
        information = joint @ joint.mT
        count = seen.sum(0)
        by_noise = (white.square().sum(0) - count) / noise_sd
        n, c = gradient.shape[-1], noise_sd.shape[-1]
        whole = gradient.new_zeros(len(gradient), n + c, n + c)
        whole[:, :n, :n] = information
        whole[:, n:, n:] = torch.diag_embed(2.0 * count / noise_sd.square())
        return torch.cat((gradient, by_noise), dim=-1), whole

    def _correlated_errors(self, here: Prediction, slope: Tensor, spread_slope: Tensor) -> tuple[Tensor, Tensor]:
        """Each sample's Gaussian with slopes of mean (time, unknown, trace, channel) and covariance (…, channel)."""
        assert here.covariance is not None
        seen = self.data.seen.to(slope.dtype)
        factor, _ = torch.linalg.cholesky_ex(here.covariance)
        inverse = torch.linalg.solve_triangular(factor, torch.eye(self.n_channels).to(factor), upper=False)
        white = torch.einsum("tbcd,tbd->tbc", inverse, (self.data.values - here.mean) * seen)
        by_mean = torch.einsum("tbcd,tkbd->bktc", inverse, slope)
        by_spread = torch.einsum("tbcd,tkbde,tbfe->bktcf", inverse, spread_slope, inverse)
        gradient = torch.einsum("bktc,tbc->bk", by_mean, white)
        gradient += 0.5 * torch.einsum("bktcf,tbc,tbf->bk", by_spread, white, white)
        gradient -= 0.5 * by_spread.diagonal(dim1=-2, dim2=-1).sum(dim=(-2, -1))
        by_mean, by_spread = by_mean.flatten(2), by_spread.flatten(2)
        return gradient, by_mean @ by_mean.mT + 0.5 * by_spread @ by_spread.mT

    def _numbers_a_trace(self) -> int:
        n_channels, n_states = self.n_channels, self.system.n_states
        each = n_channels + n_states + (n_channels**2 if self.system.stochastic else 0)
        return self.data.n_samples * each

    def _with(self, data: TraceData) -> TraceLikelihood:
        other = copy.copy(self)
        other.data = data
        return other

    def _check_channels(self, series: Series) -> None:
        outputs = torch.zeros(1, self.system.n_outputs, dtype=torch.float64)
        try:
            found = self.observation(outputs).shape[-1]
        except RuntimeError as error:
            raise EquationInvalid(
                f"the observation does not take the {self.system.n_outputs} outputs of {self.system.name}"
            ) from error
        if found != series.n_channels:
            raise SeriesInvalid(
                f"the observation gives {found} channels of {self.system.name}, the series have {series.n_channels} "
                f"({', '.join(series.names)}); say which outputs are observed by KnownObservation.of_outputs"
            )


def frozen_observation(observation: Observation | None) -> Observation:
    """A copy in double precision that nothing trains; None: the outputs are the channels."""
    if observation is None:
        return same_outputs
    return copy.deepcopy(observation).double().requires_grad_(False).eval()
