"""DeviceTwin: a delay-embedded neural SDE of one device's response, and how it is observed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from twins.device.backbone import higher_terms, n_higher_terms
from twins.device.history import Bank, Histories
from twins.device.nets import Nets, PairedNets, SeparateNets
from twins.device.spec import DeviceTwinSpec
from twins.errors import TwinNotFitted


class StepLaw(NamedTuple):
    """The law of the next sample given rows of inputs, in normalised units.

    increment: (row, response), its mean. spread: (row, response + auxiliary) standard deviations of the independent
    noises, or None. columns: (row, response + auxiliary, column), noises that channels share, or None. The
    auxiliaries' entries are in units of their stationary spread where these stay as they are.
    """

    increment: Tensor
    spread: Tensor | None
    columns: Tensor | None


@final
class DeviceTwin(nn.Module):
    """dx = (drift(x̃, ũ, c) + W_a a) dt + diffusion(x̃, ũ, c) dW, da = -θ a dt + G_a(x̃, ũ, c) dW (Itô), y = x + noise.

    x̃ is the response and its `response_delays` earlier samples, newest first; ũ the drive that acts now and its
    `drive_delays` earlier samples; c the conditions. A step of the twin is a sample of the recordings it was fitted
    on: what is learned is the map from one sample to the next, in normalised units, as a backbone (least squares:
    linear, or a polynomial) plus a net, and a net for the noise with a floor. The nets see their inputs whitened:
    delayed samples are so alike that gradient descent would hardly find a velocity among them. Which parts there are
    (auxiliaries a, shared noise columns, observation noise, drift over trials) is for the spec to say. The form is
    that of Nat. Commun. 16:9192 (2025) with an observation head.

    Everything that goes with the fit is inside, as buffers: normalisation, the ranges of drive, response and
    conditions seen, and a bank of measured start histories taken from the recorded preparations.
    """

    sde_type = "ito"

    drive_centre: Tensor
    drive_scale: Tensor
    response_centre: Tensor
    response_scale: Tensor
    condition_centre: Tensor
    condition_scale: Tensor
    increment_scale: Tensor
    features: Tensor
    noise_mask: Tensor
    trial_offsets: Tensor
    trial_correlation: Tensor
    drive_range: Tensor
    response_range: Tensor
    condition_range: Tensor
    bank_response: Tensor
    bank_drive: Tensor
    bank_conditions: Tensor
    fitted: Tensor

    def __init__(self, spec: DeviceTwinSpec) -> None:
        super().__init__()
        self.spec = spec
        n, n_aux = spec.n_response, spec.auxiliaries
        self.nets = _nets(spec)
        self.linear_weight = nn.Parameter(torch.zeros(spec.n_inputs, n))
        self.linear_bias = nn.Parameter(torch.zeros(n))
        self.higher_weight = nn.Parameter(torch.zeros(n_higher_terms(spec.n_inputs, spec.backbone_order), n))
        self.auxiliary_coupling = nn.Parameter(torch.zeros(n, n_aux))  # W_a, in increment_scale
        self.auxiliary_rate = nn.Parameter(torch.ones(n_aux))  # log θ, θ a sample
        self.observation_log_std = nn.Parameter(torch.full((n * spec.observation,), -3.0))
        self.observation_patterns = nn.Parameter(torch.zeros(n, spec.observation_columns))
        for name, value in _buffers(spec).items():
            self.register_buffer(name, value)

    @property
    def noise_type(self) -> str:
        """As the solver calls it."""
        if not self.spec.noisy:
            return "none"
        return "general" if self.spec.noise_columns else "diagonal"

    @property
    def n_delays(self) -> int:
        """Delays of the response, as the solver counts them."""
        return self.spec.response_delays

    @property
    def bank(self) -> Bank:
        """The measured starts that were kept."""
        return Bank(self.bank_response, self.bank_drive, self.bank_conditions)

    def drift(
        self, x: Float[Tensor, "*batch delay response"], u: Float[Tensor, "*batch drive_inputs"]
    ) -> Float[Tensor, "*batch response"]:
        """Drift in response units a second, of the delay-embedded response and drive (newest first).

        u: the drive with its delays, newest first, then the conditions. Auxiliaries are taken as zero.
        """
        return self.f_and_g_u(x, u)[0]

    def diffusion(
        self, x: Float[Tensor, "*batch delay response"], u: Float[Tensor, "*batch drive_inputs"]
    ) -> Float[Tensor, "*batch ..."]:
        """Diffusion in response units a root second: the standard deviation of a step is diffusion · sqrt(dt_s).

        (…, response) where every channel has its own noise alone, else the matrix (…, response, noise).
        """
        g = self.f_and_g_u(x, u)[1]
        if g is None:
            raise TwinNotFitted("this twin is an ordinary differential equation; it has no diffusion")
        return g

    f_u, g_u = drift, diffusion

    def f_and_g_u(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor | None]:
        """Drift and diffusion in physical units, for any solver (x without the delay axis if n_delays is 0)."""
        spec = self.spec
        if spec.response_delays == 0:
            x = x.unsqueeze(-2)
        batch = np.broadcast_shapes(x.shape[:-2], u.shape[:-1])
        seen = ((x - self.response_centre) / self.response_scale).flatten(-2)
        rows = torch.cat((seen.expand(*batch, -1), self.normalised_drive(u).expand(*batch, -1)), dim=-1)
        law = self.step_law(rows.reshape(-1, spec.n_inputs).to(self.linear_weight))
        scale, n = self.response_scale.to(torch.promote_types(x.dtype, self.linear_weight.dtype)), spec.n_response
        drift = law.increment.reshape(*batch, n) * (scale / spec.dt_s)
        parts = [] if law.spread is None else [law.spread[:, :n]]
        if law.columns is not None:
            parts = [torch.diag_embed(part) for part in parts] + [law.columns[:, :n]]
            g = torch.cat(parts, dim=-1)
            return drift, g.reshape(*batch, *g.shape[1:]) * (scale.unsqueeze(-1) / math.sqrt(spec.dt_s))
        return drift, parts[0].reshape(*batch, n) * (scale / math.sqrt(spec.dt_s)) if parts else None

    def normalised_drive(self, u: Tensor) -> Tensor:
        """(…, drive with its delays, conditions) in normalised units, float64."""
        repeats = self.spec.drive_delays + 1
        centre = torch.cat((self.drive_centre.repeat(repeats), self.condition_centre))
        scale = torch.cat((self.drive_scale.repeat(repeats), self.condition_scale))
        return (u - centre) / scale

    def normalised_rows(self, rows: Float[Tensor, "row inputs"]) -> tuple[Tensor, Tensor]:
        """Mean increment and the standard deviation of its independent noise, (row, response), normalised units.

        For twins whose channels have noises of their own and no auxiliaries; see step_law for the others.
        """
        law = self.step_law(rows)
        if law.spread is None:
            raise TwinNotFitted("this twin has no independent noise; see step_law")
        return law.increment, law.spread

    def step_law(self, rows: Float[Tensor, "row inputs"], force: Tensor | None = None) -> StepLaw:
        """The law of the next increment for rows of normalised inputs: response, drive, conditions, newest first.

        force: (row, response), what the auxiliaries add to the drift, W_a a, in normalised units a sample.
        """
        spec = self.spec
        drift, diffusion = self.nets(rows @ self.features)
        slope = self._slope(rows, drift, force)
        increment = slope if spec.scheme == "euler" else self._stages(rows, slope, force)
        n_rows = spec.n_response + spec.auxiliaries
        scale = self._noise_scale()
        spread = columns = None
        if spec.noise_diagonal:
            spread = (softplus(diffusion[:, :n_rows]) + spec.noise_floor) * scale
        if spec.noise_columns:
            first = n_rows * spec.noise_diagonal
            shared = diffusion[:, first : first + n_rows * spec.noise_columns]
            columns = shared.reshape(-1, n_rows, spec.noise_columns) * scale.unsqueeze(-1)
        return StepLaw(increment, spread, columns)

    @property
    def auxiliary_correlation(self) -> Tensor:
        """Correlation of each auxiliary a sample apart, exp(-θ)."""
        return torch.exp(-torch.exp(self.auxiliary_rate))

    def force(self, auxiliaries: Tensor) -> Tensor:
        """W_a a: (…, auxiliary) -> (…, response), normalised units a sample."""
        forced: Tensor = (auxiliaries @ self.auxiliary_coupling.T) * self.increment_scale
        return forced

    def observation_covariance(self) -> Float[Tensor, "response response"]:
        """Covariance of the measurement noise, normalised units: diagonal plus shared patterns."""
        n = self.spec.n_response
        if not self.spec.observation:
            return self.linear_bias.new_zeros(n, n)
        own = torch.diag(torch.exp(2.0 * self.observation_log_std))
        return own + self.observation_patterns @ self.observation_patterns.T

    def histories(
        self,
        n: int | Sequence[int] | Tensor,
        *,
        generator: torch.Generator | None = None,
        conditions: Tensor | None = None,
    ) -> Histories:
        """Start histories from the bank: these entries, or n of them at random. Raises TwinNotFitted if it is empty."""
        self.require_fitted()
        return self.bank.pick(n, generator=generator, conditions=conditions)

    def respond(
        self,
        drive: Float[Tensor, "*batch time drive"],
        *,
        generator: torch.Generator | None = None,
        history: Histories | None = None,
        noise: Float[Tensor, "steps *batch noise"] | None = None,
        conditions: Mapping[str, float] | Tensor | None = None,
        observed: bool = True,
        check_range: bool = True,
    ) -> Float[Tensor, "*batch time response"]:
        """One sampled response to each drive, in physical units, differentiable in the drive and in the weights.

        It is float64, whatever the weights are, for a signal may be small beside its offset; pass such drives so, too.
        response[…, 0, :] is the newest sample of the history, and drive[…, k, :] acts between samples k and k + 1, so
        the last drive sample has no effect. history: measured histories (…, see Histories); by default one is drawn
        from the bank for every batch element. noise: (time - 1, …, spec.n_noise) standard normal numbers.
        conditions: by name, or (…, condition), needed if the twin has any. observed: as an instrument would see it,
        with measurement noise and a trial's offset where the twin has them; else the state itself.

        Raises TwinNotFitted, TracesInvalid, OutsideFittedRange (unless check_range is False).
        """
        from twins.device.responding import respond  # it needs this class

        return respond(
            self,
            drive,
            generator=generator,
            history=history,
            noise=noise,
            conditions=conditions,
            observed=observed,
            check_range=check_range,
        )

    def require_fitted(self) -> None:
        """Raise TwinNotFitted before a fit."""
        if not bool(self.fitted):
            raise TwinNotFitted("this twin has not been fitted; run fit(twin, traces, …) or load_twin(path)")

    def _slope(self, rows: Tensor, drift: Tensor, force: Tensor | None) -> Tensor:
        n = self.spec.n_response
        slope = torch.addmm(self.linear_bias, rows, self.linear_weight) + drift[:, :n] * self.increment_scale
        if self.spec.backbone_order > 1:
            slope = slope + higher_terms(rows, self.spec.backbone_order) @ self.higher_weight
        return slope if force is None else slope + force

    def _stages(self, rows: Tensor, first: Tensor, force: Tensor | None) -> Tensor:
        """The increment over a sample by Heun's or the classical Runge–Kutta method; drive and force are held."""

        def slope(fraction: float, change: Tensor) -> Tensor:
            moved = self._moved(rows, fraction, change)
            return self._slope(moved, self.nets.drift(moved @ self.features), force)

        if self.spec.scheme == "heun":
            return 0.5 * (first + slope(1.0, first))
        second = slope(0.5, 0.5 * first)
        third = slope(0.5, 0.5 * second)
        return (first + 2.0 * second + 2.0 * third + slope(1.0, third)) / 6.0

    def _moved(self, rows: Tensor, fraction: float, change: Tensor) -> Tensor:
        """The rows a fraction of a sample later: delayed states are interpolated."""
        n, n_state = self.spec.n_response, self.spec.n_state_inputs
        newest, older = rows[:, :n] + change, rows[:, n:n_state]
        older = torch.lerp(older, rows[:, : n_state - n], fraction)
        return torch.cat((newest, older, rows[:, n_state:]), dim=1)

    def _noise_scale(self) -> Tensor:
        ones = self.increment_scale.new_ones(self.spec.auxiliaries)
        return torch.cat((self.increment_scale * self.noise_mask, ones))


def _nets(spec: DeviceTwinSpec) -> Nets:
    n_outputs = (spec.n_response, spec.n_diffusion)
    if spec.diffusion_hidden in (None, spec.hidden):
        return PairedNets(spec.n_inputs, spec.hidden, max(n_outputs), spec.activation)
    widths = (spec.hidden, spec.diffusion_hidden or spec.hidden)
    return SeparateNets(spec.n_inputs, widths, n_outputs, spec.activation)


def _buffers(spec: DeviceTwinSpec) -> dict[str, Tensor]:
    m, n, c = spec.n_drive, spec.n_response, spec.n_conditions
    exact = torch.float64  # a signal may be a millionth of its offset; and ranges are compared with what a user wrote
    return {
        "drive_centre": torch.zeros(m, dtype=exact),
        "drive_scale": torch.ones(m, dtype=exact),
        "response_centre": torch.zeros(n, dtype=exact),
        "response_scale": torch.ones(n, dtype=exact),
        "condition_centre": torch.zeros(c, dtype=exact),
        "condition_scale": torch.ones(c, dtype=exact),
        "increment_scale": torch.ones(n),  # of the backbone's residual, normalised units
        "features": torch.eye(spec.n_inputs),  # whitens the nets' inputs
        "noise_mask": torch.tensor(spec.noise_mask or (True,) * n, dtype=torch.float32),
        "trial_offsets": torch.zeros(n, n * spec.trial_drift),  # a square root of their covariance, normalised units
        "trial_correlation": torch.zeros(()),  # of the offsets of successive trials
        "drive_range": torch.zeros(m, 2, dtype=exact),
        "response_range": torch.zeros(n, 2, dtype=exact),
        "condition_range": torch.zeros(c, 2, dtype=exact),
        "bank_response": torch.zeros(0, spec.warm_up + spec.response_delays + 1, n, dtype=exact),
        "bank_drive": torch.zeros(0, spec.warm_up + spec.drive_delays, m, dtype=exact),
        "bank_conditions": torch.zeros(0, c, dtype=exact),
        "fitted": torch.tensor(False),
    }
