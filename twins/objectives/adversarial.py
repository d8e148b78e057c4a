"""A Wasserstein GAN over windows of output and drive, and the statistics over repeats that say when to stop it.

Gulrajani et al., Improved training of Wasserstein GANs (2017), as Nat. Commun. 16:9192 (2025) trains the noise of its
twins: the critic sees a window (output, drive) flattened, and compares measured windows with sampled ones of the same
start and drive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.device.filtering import stationary_covariance
from twins.device.responding import advance
from twins.device.twin import DeviceTwin

_JITTER = 1e-9  # keeps a covariance definite in rounding


class Critic(nn.Module):
    """A multilayer perceptron with rectifiers over flattened windows; there is no normalisation over the batch."""

    def __init__(self, n_inputs: int, hidden: tuple[int, ...], *, generator: torch.Generator) -> None:
        super().__init__()
        shapes = list(pairwise((n_inputs, *hidden, 1)))
        bounds = [math.sqrt(6.0 / n_in) for n_in, _ in shapes[:-1]] + [math.sqrt(3.0 / shapes[-1][0])]
        draw = [(2.0 * torch.rand(shape, generator=generator) - 1.0) for shape in shapes]
        self.weights = nn.ParameterList(w * bound for w, bound in zip(draw, bounds, strict=True))
        self.biases = nn.ParameterList(torch.zeros(n_out) for _, n_out in shapes)

    def forward(self, windows: Float[Tensor, "window values"]) -> tuple[Tensor, Tensor]:
        """(value (window,), features of the last hidden layer (window, feature))."""
        h = windows
        for weight, bias in list(zip(self.weights, self.biases, strict=True))[:-1]:
            h = torch.addmm(bias, h, weight).relu()
        return torch.addmm(self.biases[-1], h, self.weights[-1]).squeeze(1), h


def sample_windows(
    twin: DeviceTwin,
    start: Float[Tensor, "window delay response"],
    u: Float[Tensor, "window step inputs"],
    *,
    generator: torch.Generator,
) -> Float[Tensor, "window step response"]:
    """Sampled responses after measured starts, normalised; differentiable in the twin's parameters.

    Auxiliaries are drawn from their stationary law, so that coloured noise has its full variance from the first step.
    """
    auxiliaries = draw_stationary(twin, start, u[:, 0], generator=generator)
    return advance(twin, start, auxiliaries, u, generator=generator)[:, 1:]


def draw_stationary(
    twin: DeviceTwin, start: Tensor, u: Float[Tensor, "window inputs"], *, generator: torch.Generator
) -> Float[Tensor, "window auxiliary"]:
    """Auxiliaries as they are when response and drive have long been what they are at the start."""
    n_aux = twin.spec.auxiliaries
    if not n_aux:
        return start.new_zeros(len(start), 0)
    covariance = stationary_covariance(twin, torch.cat((start.flatten(1), u), dim=1))
    root = torch.linalg.cholesky(covariance + _JITTER * torch.eye(n_aux).to(covariance))
    lot = torch.randn(len(start), n_aux, 1, generator=generator, dtype=start.dtype)
    drawn: Tensor = (root @ lot).squeeze(-1)
    return drawn


def quiet_run(
    twin: DeviceTwin, start: Float[Tensor, "window delay response"], u: Float[Tensor, "window step inputs"]
) -> Float[Tensor, "window step response"]:
    """Responses without noise, normalised."""
    spec = twin.spec
    noise = start.new_zeros(u.shape[1], len(start), spec.n_noise)
    auxiliaries = start.new_zeros(len(start), spec.auxiliaries)
    return advance(twin, start, auxiliaries, u, noise=noise if spec.noisy else None)[:, 1:]


def critic_inputs(
    output: Float[Tensor, "window step response"],
    u: Float[Tensor, "window step inputs"],
    quiet: Float[Tensor, "window step response"] | None = None,
    scale: Float[Tensor, " response"] | None = None,
) -> Float[Tensor, "window values"]:
    """Windows of output and drive, flattened; or of deviation from a quiet run in units of scale, that run and drive."""
    if quiet is None or scale is None:
        return torch.cat((output.flatten(1), u.flatten(1)), dim=1)
    return torch.cat((((output - quiet) / scale).flatten(1), quiet.flatten(1), u.flatten(1)), dim=1)


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, *, generator: torch.Generator) -> Float[Tensor, ""]:
    """Mean (|∇ critic| - 1)² at random points between each measured window and its sampled partner.

    Gradients reach the critic's parameters only: real and fake must not need any.
    """
    lot = torch.rand(len(real), 1, generator=generator, dtype=real.dtype)
    between = torch.lerp(fake.detach(), real.detach(), lot).requires_grad_()
    value, _ = critic(between)
    (slope,) = torch.autograd.grad(value.sum(), between, create_graph=True)
    penalty: Tensor = (slope.norm(dim=1) - 1.0).square().mean()
    return penalty


def critic_loss(
    critic: Critic, real: Tensor, fake: Tensor, *, penalty: float, generator: torch.Generator
) -> tuple[Tensor, float]:
    """(what the critic descends, its estimate of the Wasserstein distance between real and fake)."""
    real, fake = real.detach(), fake.detach()
    apart = critic(real)[0].mean() - critic(fake)[0].mean()
    loss = penalty * gradient_penalty(critic, real, fake, generator=generator) - apart
    return loss, float(apart.detach())


def generator_loss(
    critic: Critic, real: Tensor, fake: Tensor, *, kind: str, unbiased: bool = True
) -> Float[Tensor, ""]:
    """What the twin descends; see AdversarialOptions.loss and unbiased."""
    value, features = critic(fake)
    if kind == "wasserstein":
        minus: Tensor = -value.mean()
        return minus
    with torch.no_grad():
        measured = critic(real)[1]
    apart = features - measured  # in pairs: same start and drive
    means: Tensor = apart.mean(0).square().mean()
    if unbiased:
        means = means - apart.var(0).mean() / len(apart)
    stds: Tensor = (_std(features) - _std(measured)).square().mean()
    return means + stds


def repeat_statistics(
    sampled: Sequence[Float[Tensor, "draw time response"]], measured: Sequence[Float[Tensor, "repeat time response"]]
) -> tuple[float, float, float]:
    """(|Δ mean|, weighted |Δ std|, weighted squared Δ autocorrelation): the reference's measure of a twin, 0 is perfect.

    One entry an input; all of equal length in time. Weights are the inputs' shares of the spread, a channel each; the
    autocorrelation is that of every pair of times. In the units of the samples.
    """
    moments = [(_moments(ours), _moments(theirs)) for ours, theirs in zip(sampled, measured, strict=True)]
    spreads = torch.stack([ours[1].mean(0) + theirs[1].mean(0) for ours, theirs in moments])  # (input, response)
    weights = spreads / spreads.sum(0).clamp_min(torch.finfo(spreads.dtype).tiny)
    mean = std = correlation = torch.zeros(())
    for (ours, theirs), weight in zip(moments, weights, strict=True):
        mean = mean + (ours[0] - theirs[0]).abs().mean() / len(moments)
        std = std + ((ours[1] - theirs[1]).abs() * weight).mean()
        correlation = correlation + ((ours[2] - theirs[2]).square() * weight[:, None, None]).mean()
    return float(mean), float(std), float(correlation)


def _std(features: Tensor) -> Tensor:
    return (features.var(0) + 1e-12).sqrt()  # a rectifier that is off for all windows has no gradient


def _moments(samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation (time, response), and autocorrelation (response, time, time)."""
    mean, std = samples.mean(0), samples.std(0)
    deviation = ((samples - mean) / std.clamp_min(1e-6)).permute(2, 1, 0)
    return mean, std, deviation @ deviation.mT / (len(samples) - 1)
