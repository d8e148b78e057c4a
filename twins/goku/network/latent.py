"""From what the encoder knows to initial states and parameters: points, or distributions with their KL.

posterior = "latent" (as published): z̃0 and θ̃ are Gaussian, prior N(0, 1); initial states and parameters are
networks' outputs of them. Nothing says how probable a STATE is, so nothing can say how far the beginning of a
window may lie from the end of the one before: there is no KL for multiple shooting.

posterior = "physical": q(θ) and q(z0^w) are Gaussian in coordinates that mean something: logits of the parameters'
ranges (the prior is uniform there), and states in units of their ranges. The joint posterior factorises as
q(θ) Π_w q(z0^w); the model's joint prior is p(θ) p(z0^1) Π_w p(z0^{w+1} | z_end^w), a chain in which each window may
begin beside the end of the one before by a deviation s: N(z_end^w, s²). Then

    KL = KL(q(θ) | p(θ)) + KL(q(z0^1) | p(z0^1)) + Σ_w E KL(q(z0^{w+1}) | N(z_end^w, s²)),

the last expectation over draws of θ and z0^w, which the solve has made already. Its quadratic part is the continuity
loss with the weight 1/(2 s²), which the data now decide; its logarithms keep s from growing. As s -> 0 the windows
become one trajectory: single shooting. For a stochastic system s is what its noise does during a window, and the
bound is that of the SDE with its noise gathered where windows meet. The bound is below the evidence by what a
factorised posterior cannot say of how neighbouring windows hang together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from twins.goku.network.layers import ACTIVATIONS, dense
from twins.goku.network.shared import Shared
from twins.goku.network.spec import GokuSpec
from twins.goku.system import System

_FIRST_LOG_SD = -2.0  # in logits and in half-widths: narrow enough that training sees one system, not a cloud
_LARGEST_LOG_SD = 8.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """One draw a trace (or the means): initial (trace, window, state), parameters (trace, parameter), in their units.

    kl: (trace,), all of it but the windows' transitions. state_mean, state_sd: (trace, window, state), scaled, where
    posterior = "physical".
    """

    initial: Float[Tensor, "trace window state"]
    parameters: Float[Tensor, "trace parameter"]
    kl: Float[Tensor, " trace"]
    state_mean: Float[Tensor, "trace window state"] | None = None
    state_sd: Float[Tensor, "trace window state"] | None = None


@dataclass(frozen=True, slots=True)
class Moments:
    """Of a Gaussian posterior: scaled states (trace, window, state), logits of the parameters (trace, parameter) and the
    lower triangular factor of their covariance."""

    state_mean: Float[Tensor, "trace window state"]
    state_sd: Float[Tensor, "trace window state"]
    logits: Float[Tensor, "trace parameter"]
    factor: Float[Tensor, "trace parameter parameter"]

    def drawn(self, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """(scaled states, logits): one draw, or without a generator the means."""
        logits = self.logits + (self.factor @ _normal(self.logits, generator).unsqueeze(-1)).squeeze(-1)
        return self.state_mean + self.state_sd * _normal(self.state_mean, generator), logits


class Latents(nn.Module):
    """Latent in and latent out, for the initial states and for the parameters."""

    def __init__(self, system: System, spec: GokuSpec) -> None:
        super().__init__()
        self.system, self.spec = system, spec
        n, p = system.n_states, system.n_parameters
        spread = spec.posterior == "physical"
        n_lower = p * (p - 1) // 2 if spec.full_covariance else 0
        self.state_in = dense(spec.state_hidden, spec.latent_state)
        self.parameter_in = dense(2 * spec.parameter_hidden, spec.latent_parameter)
        self.state_hidden = dense(spec.latent_state, spec.latent_out_width)
        self.parameter_hidden = dense(spec.latent_parameter, spec.latent_out_width)
        self.state_out = dense(spec.latent_out_width, n)
        self.parameter_out = dense(spec.latent_out_width, p)
        latent = spec.posterior == "latent"
        self.state_log_variance = dense(spec.state_hidden, spec.latent_state) if latent else None
        self.parameter_log_variance = dense(2 * spec.parameter_hidden, spec.latent_parameter) if latent else None
        self.state_spread = dense(spec.latent_out_width, n) if spread else None
        self.parameter_spread = dense(spec.latent_out_width, p + n_lower) if spread else None
        self.activation = ACTIVATIONS[spec.activation]
        middle, half = state_scale(system, spec)
        self.register_buffer("state_middle", middle)
        self.register_buffer("state_half", half)
        self.register_buffer("parameter_widening", torch.ones(p))
        self.register_buffer("state_widening", torch.ones(n))

    def forward(
        self,
        of_states: Float[Tensor, "trace window n"],
        of_parameters: Float[Tensor, "trace m"],
        generator: torch.Generator | None,
        shared: Shared | None = None,
    ) -> Drawn:
        """One draw, or without a generator the means. of_parameters: of each trace, or of each group that is shared."""
        state_latent, parameter_latent = self.state_in(of_states), self.parameter_in(of_parameters)
        kl = of_states.new_zeros(len(of_states))
        if self.state_log_variance is not None and self.parameter_log_variance is not None:
            state_latent, first = _reparameterised(state_latent, self.state_log_variance(of_states), generator)
            parameter_latent, second = _reparameterised(
                parameter_latent, self.parameter_log_variance(of_parameters), generator
            )
            kl = first.sum(1) + (second if shared is None else shared.divided(second))
        if self.state_spread is not None:
            return self.of_moments(self._moments(state_latent, parameter_latent), generator, shared)[0]
        scaled = self.state_out(self.activation(self.state_hidden(state_latent)))
        logits = self.parameter_out(self.activation(self.parameter_hidden(parameter_latent)))
        return Drawn(self.unscaled(scaled), self._of_traces(logits, shared), kl)

    def moments(self, of_states: Float[Tensor, "trace window n"], of_parameters: Float[Tensor, "trace m"]) -> Moments:
        """Where posterior = "physical"."""
        return self._moments(self.state_in(of_states), self.parameter_in(of_parameters))

    def of_moments(
        self, moments: Moments, generator: torch.Generator | None, shared: Shared | None = None
    ) -> tuple[Drawn, Tensor]:
        """(one draw or the means with their KL, the drawn logits)."""
        states, logits = moments.drawn(generator)
        mean, sd = moments.state_mean, moments.state_sd
        of_parameters = uniform_prior_kl(logits, moments.factor)
        kl = of_parameters if shared is None else shared.divided(of_parameters)
        kl = kl + gaussian_kl(mean[:, 0], sd[:, 0], 0.0, 1.0).sum(-1)
        return Drawn(self.unscaled(states), self._of_traces(logits, shared), kl, mean, sd), logits

    def widen(self, of_parameters: Float[Tensor, " parameter"], of_states: Float[Tensor, " state"]) -> None:
        """Multiply the posterior's widths, as they are now, from now on (``twins.goku.network.widening``)."""
        self.get_buffer("parameter_widening").mul_(of_parameters)
        self.get_buffer("state_widening").mul_(of_states)

    def narrow(self) -> None:
        """Widths as the network gives them, which is what it is trained with."""
        self.get_buffer("parameter_widening").fill_(1.0)
        self.get_buffer("state_widening").fill_(1.0)

    def _moments(self, state_latent: Tensor, parameter_latent: Tensor) -> Moments:
        assert self.state_spread is not None and self.parameter_spread is not None
        of_states = self.activation(self.state_hidden(state_latent))
        of_parameters = self.activation(self.parameter_hidden(parameter_latent))
        return Moments(
            self.state_out(of_states),
            _sd(self.state_spread(of_states)) * self.get_buffer("state_widening"),
            self.parameter_out(of_parameters),
            self._factor(self.parameter_spread(of_parameters)) * self.get_buffer("parameter_widening").unsqueeze(-1),
        )

    def begin(self) -> None:
        """Set what weights of zero bias would leave too wide."""
        if self.state_spread is not None and self.parameter_spread is not None:
            with torch.no_grad():
                self.state_spread.bias.fill_(_FIRST_LOG_SD)
                self.parameter_spread.bias[: self.system.n_parameters].fill_(_FIRST_LOG_SD)

    def scaled(self, states: Float[Tensor, "... state"]) -> Float[Tensor, "... state"]:
        """States in units of their ranges (initial_map = "plain": as they are)."""
        return (states - self.get_buffer("state_middle")) / self.get_buffer("state_half")

    def unscaled(self, scaled: Float[Tensor, "... state"]) -> Float[Tensor, "... state"]:
        """The inverse."""
        return self.get_buffer("state_middle") + self.get_buffer("state_half") * scaled

    def _of_traces(self, logits: Tensor, shared: Shared | None) -> Tensor:
        return self._physical(logits if shared is None else logits[shared.index])

    def _physical(self, logits: Tensor) -> Tensor:
        if self.spec.parameter_map == "softplus":
            return softplus(logits)
        return self.system.parameters_from_unit(torch.sigmoid(logits))

    def _factor(self, spread: Tensor) -> Float[Tensor, "trace parameter parameter"]:
        """Lower triangular, of the logits' covariance."""
        p = self.system.n_parameters
        factor = torch.diag_embed(_sd(spread[:, :p]))
        if spread.shape[1] > p:
            rows, columns = torch.tril_indices(p, p, offset=-1, device=spread.device)
            factor = factor.index_put((torch.arange(len(spread))[:, None], rows, columns), 0.1 * spread[:, p:])
        return factor


def state_scale(system: System, spec: GokuSpec) -> tuple[Float[Tensor, " state"], Float[Tensor, " state"]]:
    """(middle, half-width) of the states' ranges; 0 and 1 for a state without a finite range, or initial_map = "plain"."""
    low, high = system.state_range(torch.zeros(()))
    bounded = torch.isfinite(low) & torch.isfinite(high) & (spec.initial_map == "range")
    return torch.where(bounded, 0.5 * (low + high), 0.0), torch.where(bounded, 0.5 * (high - low), 1.0)


def gaussian_kl(
    mean: Tensor, sd: Tensor, prior_mean: Tensor | float, prior_sd: Tensor | float
) -> Float[Tensor, "... state"]:
    """KL(N(mean, sd²) | N(prior_mean, prior_sd²)), element by element."""
    prior = torch.as_tensor(prior_sd, dtype=sd.dtype)
    return torch.log(prior / sd) + 0.5 * ((sd**2 + (mean - prior_mean) ** 2) / prior**2 - 1.0)


def uniform_prior_kl(logits: Float[Tensor, "... p"], factor: Float[Tensor, "... p p"]) -> Float[Tensor, "..."]:
    """KL of a Gaussian over logits from a uniform prior over 0..1: its entropy exactly, the prior's part by this draw.

    A number uniform in 0..1 has a logit a with the density sigmoid(a) sigmoid(-a).
    """
    diagonal = factor.diagonal(dim1=-2, dim2=-1)
    entropy = diagonal.log().sum(-1) + 0.5 * diagonal.shape[-1] * (1.0 + math.log(2.0 * math.pi))
    return -entropy - (logsigmoid(logits) + logsigmoid(-logits)).sum(-1)


def _sd(spread: Tensor) -> Tensor:
    """Positive, within exp(±8): smoothly, so that no gradient ends there."""
    return torch.exp(_LARGEST_LOG_SD * torch.tanh(spread / _LARGEST_LOG_SD))


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return torch.zeros_like(like)
    return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)


def _reparameterised(mean: Tensor, log_variance: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """(a draw, its KL from N(0, 1) summed over the latent)."""
    kl = 0.5 * (log_variance.exp() + mean**2 - 1.0 - log_variance).sum(-1)
    return mean + torch.exp(0.5 * log_variance) * _normal(mean, generator), kl
