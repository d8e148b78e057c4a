"""Where a twin starts: from measured samples as they are, or from what a Kalman filter makes of them.

The hidden state is the delayed response, newest first, the auxiliaries, and the trial's constant offset. A step only
makes a new newest response and moves the auxiliaries; all else is shifted. See linearise.py for the two kinds of filter
(sigma points, extended).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.device.history import Histories
from twins.device.linearise import METHODS, Belief, negligible, noise_of
from twins.errors import TracesInvalid
from twins.solver import draw_noise

if TYPE_CHECKING:
    from twins.device.twin import DeviceTwin

_LOG_2PI = 1.8378770664093453
# Smallest measurement noise, in the linear model's residual: without any a measured response leaves nothing to filter,
# and its covariance is rounding alone.
_EXACT = 3e-3


class KalmanFilter:
    """The filter of a twin as it now is, over a batch of recordings; differentiable in the twin's parameters.

    method: "sigma_points" or "extended".
    """

    def __init__(self, twin: DeviceTwin, *, method: str = "sigma_points") -> None:
        if method not in METHODS:
            raise TracesInvalid(f"the filter's method must be one of {', '.join(METHODS)}, not {method!r}")
        self.twin, self._linearise = twin, METHODS[method]
        exact = torch.diag((_EXACT * twin.increment_scale).square())
        self._measurement = twin.observation_covariance() + (0.0 if twin.spec.observation else exact)
        n_state = twin.spec.n_state_inputs + twin.spec.auxiliaries + twin.spec.n_response * twin.spec.trial_drift
        self._nothing = negligible(twin, n_state)
        self._shift = None if twin.spec.auxiliaries == 0 and not twin.spec.trial_drift else _lower_transition(twin)

    def start(self, observed: Float[Tensor, "batch delays response"], u: Float[Tensor, "batch drive_inputs"]) -> Belief:
        """What as many samples as the twin has delays, newest first, tell by themselves; auxiliaries are stationary.

        u: drive inputs at the newest of them, normalised as the samples are.
        """
        twin, spec = self.twin, self.twin.spec
        n_batch, n_blocks = observed.shape[0], spec.response_delays + 1
        blocks = torch.eye(n_blocks).to(observed)
        covariance = torch.kron(blocks, self._measurement).expand(n_batch, -1, -1)
        mean = observed.flatten(1)
        if spec.auxiliaries:
            mean = torch.cat((mean, mean.new_zeros(n_batch, spec.auxiliaries)), dim=1)
            covariance = _block_diagonal(
                covariance, stationary_covariance(twin, torch.cat((observed.flatten(1), u), 1))
            )
        if spec.trial_drift:  # y = x + o + e: all that is known of x shares the offset
            offset = twin.trial_offsets @ twin.trial_offsets.T
            shared = mean.new_zeros(mean.shape[1] + spec.n_response, spec.n_response)
            shared[: n_blocks * spec.n_response] = -torch.eye(spec.n_response).to(mean).repeat(n_blocks, 1)
            shared[-spec.n_response :] = torch.eye(spec.n_response).to(mean)
            mean = torch.cat((mean, mean.new_zeros(n_batch, spec.n_response)), dim=1)
            nothing = offset.new_zeros(n_batch, *offset.shape)
            covariance = _block_diagonal(covariance, nothing) + shared @ offset @ shared.T
        return Belief(mean, covariance)

    def predict(self, belief: Belief, u: Float[Tensor, "batch drive_inputs"]) -> Belief:
        """The belief one sample later, under this drive."""
        n, n_aux = self.twin.spec.n_response, self.twin.spec.auxiliaries
        foreseen = self._linearise(self.twin, belief, u, self._nothing)
        lower = belief.mean.shape[1] - n
        if self._shift is None:
            older, cross = belief.mean[:, :lower], foreseen.cross[:, :, :lower]
            kept = belief.covariance[:, :lower, :lower]
        else:
            older, cross = belief.mean @ self._shift.T, foreseen.cross @ self._shift.T
            kept = self._shift @ belief.covariance @ self._shift.T
        own = foreseen.variance + foreseen.noise[:, :n, :n]
        if n_aux:
            first = self.twin.spec.n_state_inputs - n
            padding = (first, lower - first - n_aux)
            pad = torch.nn.functional.pad
            cross = cross + pad(foreseen.noise[:, :n, n:], padding)
            kept = kept + pad(foreseen.noise[:, n:, n:], (*padding, *padding))
        upper = torch.cat((own, cross), dim=2)
        below = torch.cat((cross.mT, kept), dim=2)
        return Belief(torch.cat((foreseen.mean, older), dim=1), torch.cat((upper, below), dim=1))

    def update(self, belief: Belief, observed: Float[Tensor, "batch response"]) -> tuple[Belief, Tensor]:
        """The belief after a measured sample, and the log density of that sample, (batch,), in normalised units."""
        spec, (mean, covariance) = self.twin.spec, belief
        n = spec.n_response
        seen, expected = covariance[:, :, :n], mean[:, :n]
        if spec.trial_drift:
            seen, expected = seen + covariance[:, :, -n:], expected + mean[:, -n:]
        variance = seen[:, :n] + (seen[:, -n:] if spec.trial_drift else 0.0) + self._measurement
        error = observed - expected
        if n == 1:  # rank one: no factorisation
            scaled, log_det = seen * variance.rsqrt(), variance[:, 0, 0].log()
            surprise = error * variance[:, :, 0].rsqrt()
        else:
            root = torch.linalg.cholesky_ex(variance)[0]
            scaled = torch.linalg.solve_triangular(root.mT, seen, upper=True, left=False)
            surprise = torch.linalg.solve_triangular(root, error.unsqueeze(-1), upper=False).squeeze(-1)
            log_det = 2.0 * root.diagonal(dim1=1, dim2=2).log().sum(1)
        density = -0.5 * (surprise.square().sum(1) + log_det + n * _LOG_2PI)
        corrected = mean + (scaled @ surprise.unsqueeze(-1)).squeeze(-1)
        return Belief(corrected, torch.baddbmm(covariance, scaled, scaled.mT, alpha=-1.0)), density


def stationary_covariance(
    twin: DeviceTwin, rows: Float[Tensor, "row inputs"]
) -> Float[Tensor, "row auxiliary auxiliary"]:
    """Of the auxiliaries, were the inputs to stay as they are."""
    noise = noise_of(twin.step_law(rows))[:, twin.spec.n_response :, twin.spec.n_response :]
    rho = twin.auxiliary_correlation
    kick = (1.0 - rho.square()).clamp_min(torch.finfo(rho.dtype).tiny).sqrt()
    return noise * (torch.outer(kick, kick) / (1.0 - torch.outer(rho, rho)).clamp_min(torch.finfo(rho.dtype).tiny))


def _lower_transition(twin: DeviceTwin) -> Tensor:
    """What a step makes of the state below the newest response, (state - response, state): a shift, decay, a constant."""
    spec = twin.spec
    n, n_blocks = spec.n_response, spec.response_delays + 1
    like = twin.linear_weight
    shift = like.new_zeros(n_blocks * n - n, n_blocks * n)
    shift[:, : n_blocks * n - n] = torch.eye(n_blocks * n - n).to(like)
    kept = torch.cat((twin.auxiliary_correlation, like.new_ones(n * spec.trial_drift)))
    pad, m, k = torch.nn.functional.pad, shift.shape, len(kept)
    return pad(shift, (0, k, 0, k)) + pad(torch.diag(kept), (m[1], 0, m[0], 0))


def _block_diagonal(first: Tensor, second: Tensor) -> Tensor:
    """(batch, m, m) and (batch, n, n) -> (batch, m + n, m + n)."""
    pad = torch.nn.functional.pad
    m, n = first.shape[1], second.shape[1]
    return pad(first, (0, n, 0, n)) + pad(second, (m, 0, m, 0))


@torch.no_grad()
def filtered(
    twin: DeviceTwin,
    observed: Float[Tensor, "batch time response"],
    u: Float[Tensor, "batch time drive_inputs"],
    *,
    method: str = "sigma_points",
) -> Belief:
    """The belief about the state at the last of the samples; u[:, k] acts after sample k, the last is not used."""
    kalman, first = KalmanFilter(twin, method=method), twin.spec.response_delays
    belief = kalman.start(observed[:, : first + 1].flip(1), u[:, first])
    for k in range(first, observed.shape[1] - 1):
        belief, _ = kalman.update(kalman.predict(belief, u[:, k]), observed[:, k + 1])
    return belief


def draw_start(
    twin: DeviceTwin,
    history: Histories,
    conditions: Tensor,
    batch: tuple[int, ...],
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """Normalised start (…, delay, response), newest first, and auxiliaries (…, auxiliary).

    Where the state is hidden it is drawn from what a filter over the history leaves open, else it is as measured.
    """
    spec, like = twin.spec, twin.linear_weight
    n_aux = spec.auxiliaries
    if not spec.hidden_state and not spec.trial_drift:
        x0 = (history.response[..., : spec.response_delays + 1, :] - twin.response_centre) / twin.response_scale
        return x0.to(like).expand(*batch, -1, -1), like.new_zeros(*batch, n_aux)
    belief, shape = filtered_starts(twin, history, conditions)
    variance, directions = torch.linalg.eigh(belief.covariance.double())  # rounding may leave it short of definite
    root = (directions * variance.clamp_min(0.0).sqrt().unsqueeze(-2)).to(like)
    n_state = belief.mean.shape[1]
    mean, root = belief.mean.reshape(*shape, n_state), root.reshape(*shape, n_state, n_state)
    noise = draw_noise((*batch, n_state), like, generator)
    state = mean + (root @ noise.unsqueeze(-1)).squeeze(-1)
    x0, auxiliaries = state[..., : spec.n_state_inputs], state[..., spec.n_state_inputs : spec.n_state_inputs + n_aux]
    return x0.reshape(*batch, spec.response_delays + 1, spec.n_response), auxiliaries


@torch.no_grad()
def filtered_starts(twin: DeviceTwin, history: Histories, conditions: Tensor) -> tuple[Belief, tuple[int, ...]]:
    """The filtered belief about each history, (history, …), and the batch shape of the histories.

    Without warm-up nothing is known of the drive: the auxiliaries are then stationary under the mean drive.
    """
    from twins.device.responding import embedded  # it needs draw_start

    spec, like = twin.spec, twin.linear_weight
    # the same conditions for all draws of a history: filter it once
    held = conditions[tuple(slice(None) if step else slice(1) for step in conditions.stride()[:-1])]
    shape = np.broadcast_shapes(history.response.shape[:-2], held.shape[:-1] if spec.n_conditions else ())
    observed = ((history.response - twin.response_centre) / twin.response_scale).to(like)
    drive = history.drive.expand(*shape, -1, -1).flip(-2)  # oldest first
    before = drive[..., : spec.drive_delays, :].flip(-2)
    held = held.expand(*shape, -1) if spec.n_conditions else held.new_zeros(*shape, 0)
    u = embedded(twin, drive[..., spec.drive_delays :, :], before, held)
    # filtering begins with the newest of the first samples, as many as there are delays; the last drives nothing
    u = torch.nn.functional.pad(u, (0, 0, spec.response_delays, 1))
    n_batch = math.prod(shape)
    observed = observed.flip(-2).expand(*shape, -1, -1).reshape(n_batch, -1, spec.n_response)
    return filtered(twin, observed, u.reshape(n_batch, *u.shape[-2:])), shape
