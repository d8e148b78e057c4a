"""Warnings where samples are too far apart: ω and ω + 2π/dt then fit alike, and nothing in the data says which it was.

Two looks: at the equation, by simulations from its prior (how fast it can turn, and what its outputs would hold beyond the
Nyquist frequency), and at the measured spectrum (a line close to the Nyquist frequency may be the image of a faster one).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from twins.goku.bound import BoundSystem
from twins.goku.series import Series
from twins.goku.simulated.streams import torch_stream
from twins.goku.simulated.substeps import substeps_for
from twins.goku.system import System
from twins.goku.trajectories import solve_guarded

FINER = 8  # samples that simulations take in the time of one
_LONGEST = 128  # samples of the measured series whose time is simulated
_BEYOND = 0.02  # of an output's power above the Nyquist frequency, from where a simulation counts as aliased
_FEW = 0.01  # of all draws, below which a prior is not warned about
_NEAR = 0.8  # of the Nyquist frequency, from where a line is too close to it
_LINE = 20.0  # times the median of the spectrum


@dataclass(frozen=True, slots=True)
class AliasingWarning:
    """kind: "fast oscillation" (the linearised equation turns faster than half the sampling), "power beyond" (simulated
    outputs hold power there) or "line near" (the measured spectrum has a line close below).

    share: of the draws from the prior (or, for "line near", of the channel's power) that this concerns. angular_frequency:
    the fastest found, or that of the line; nyquist: π/dt; both in rad/s. about: the parameter that decides it, or the channel.
    """

    kind: str
    share: float
    angular_frequency: float
    nyquist: float
    about: str
    message: str

    def __str__(self) -> str:
        return self.message


def aliasing_warnings(
    system: System, series: Series, *, seed: int = 0, n_draws: int = 200
) -> tuple[AliasingWarning, ...]:
    """What is to be feared of fitting this equation to these series; () if nothing."""
    step_s = float(
        np.diff(series.times_s, axis=1).min()
    )  # uneven times tell aliases apart down to their closest samples
    drive = None if series.drive is None else series.drive[0]
    n_samples = min(series.n_samples, _LONGEST)
    return (
        *prior_warnings(system, step_s=step_s, n_samples=n_samples, drive=drive, seed=seed, n_draws=n_draws),
        *measured_warnings(series),
    )


def prior_warnings(
    system: System,
    *,
    step_s: float,
    n_samples: int,
    drive: Float64[np.ndarray, "time channel"] | None = None,
    seed: int = 0,
    n_draws: int = 200,
) -> tuple[AliasingWarning, ...]:
    """Simulate draws from the prior, without noise, and look how fast they turn and what lies beyond π/dt."""
    states, parameters, u = _simulations(system, step_s, n_samples, drive, seed, n_draws)
    nyquist = math.pi / step_s
    found = []
    fastest = fastest_turning(system, states, parameters, u)
    share = float((fastest >= nyquist).double().mean())
    if share > _FEW:
        decides = _deciding(system, parameters, fastest)
        found.append(
            AliasingWarning(
                "fast oscillation",
                share,
                float(fastest.max()),
                nyquist,
                decides,
                f"{system.name}: {share:.0%} of the prior can turn faster than π/dt = {nyquist:.4g} rad/s (up to "
                f"{float(fastest.max()):.4g} rad/s, mostly by {decides}): there ω and ω + 2π/dt fit alike. Sample faster, or "
                f"narrow the range of {decides}",
            )
        )
    with torch.no_grad():
        outputs = system.outputs_of(states, parameters)
    beyond, top = _power_beyond(outputs.numpy(), step_s / FINER, nyquist)
    share = float((beyond > _BEYOND).mean())
    if share > _FEW:
        decides = _deciding(system, parameters, torch.from_numpy(beyond))
        found.append(
            AliasingWarning(
                "power beyond",
                share,
                top,
                nyquist,
                decides,
                f"{system.name}: in {share:.0%} of simulations from the prior more than {_BEYOND:.0%} of an output's power "
                f"lies above π/dt = {nyquist:.4g} rad/s and would be folded back (mostly by {decides}). Sample faster, or "
                "filter before sampling and say so in the observation",
            )
        )
    return tuple(found)


def measured_warnings(series: Series) -> tuple[AliasingWarning, ...]:
    """Channels whose spectrum has a line in the last fifth below the Nyquist frequency. None for uneven times."""
    step_s = series.uniform_step_s
    if step_s is None or series.n_samples < 16:
        return ()
    nyquist, found = math.pi / step_s, []
    for channel, name in enumerate(series.names):
        values = series.values[:, :, channel]
        whole = values[~np.isnan(values).any(axis=1)]
        if not len(whole) or float(np.ptp(whole)) == 0.0:
            continue
        omega, power = _spectrum(whole, step_s)
        power = power.mean(axis=0)
        near = omega >= _NEAR * nyquist
        at = int(np.flatnonzero(near)[power[near].argmax()])
        if power[at] > _LINE * np.median(power) and power[near].sum() > _FEW * power.sum():
            share = float(power[near].sum() / power.sum())
            found.append(
                AliasingWarning(
                    "line near",
                    share,
                    float(omega[at]),
                    nyquist,
                    name,
                    f"{name}: its spectrum has a line at {omega[at]:.4g} rad/s, close below π/dt = {nyquist:.4g} rad/s, with "
                    f"{share:.0%} of its power: it may be the image of a faster oscillation, at "
                    f"{2 * nyquist - omega[at]:.4g} rad/s or beyond. Sample faster to see",
                )
            )
    return tuple(found)


def fastest_turning(
    system: System,
    states: Float[Tensor, "time draw state"],
    parameters: Float[Tensor, "draw parameter"],
    drive: Float[Tensor, "time draw channel"] | None = None,
) -> Float[Tensor, " draw"]:
    """The largest imaginary part of the linearised drift's eigenvalues along each trajectory, in rad/s."""
    points = states.detach().requires_grad_()
    slopes = []
    with torch.enable_grad():
        drift = BoundSystem(system, parameters, noisy=False).coefficients_at(points, drive)[0]
        for place in range(system.n_states):
            row = torch.autograd.grad(drift[..., place].sum(), points, retain_graph=True, allow_unused=True)[0]
            slopes.append(torch.zeros_like(points) if row is None else row)
    turning: Tensor = torch.linalg.eigvals(torch.stack(slopes, dim=-2)).imag
    return turning.abs().amax(dim=(0, 2)) / system.time_unit_s


def _simulations(
    system: System,
    step_s: float,
    n_samples: int,
    drive: np.ndarray | None,
    seed: int,
    n_draws: int,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(states (time, draw, state) at FINER times the sampling, parameters, drive (time, draw, channel)), of what stays."""
    initial = system.draw_states(n_draws, torch_stream(seed, "aliasing", "initial"))
    parameters = system.draw_parameters(n_draws, torch_stream(seed, "aliasing", "parameters"))
    n_steps, fine_s = FINER * (n_samples - 1), step_s / FINER
    u = None
    if system.drives:
        held = np.zeros((n_samples - 1, len(system.drives))) if drive is None else drive[: n_samples - 1]
        u = torch.from_numpy(np.repeat(held, FINER, axis=0)).unsqueeze(1).expand(-1, n_draws, -1)
    substeps = substeps_for(system, initial, parameters, step_s=fine_s, n_steps=n_steps, drive=u, tolerance=1e-4)
    with torch.no_grad():
        solved = solve_guarded(system, initial, parameters, step_s=fine_s, n_steps=n_steps, drive=u, substeps=substeps)
    kept = ~solved.diverged
    return solved.states[:-1, kept], parameters[kept], None if u is None else u[:, kept]


def _spectrum(values: np.ndarray, step_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(angular frequencies (rad/s) above 0, power (…, frequency)) of values (…, time), through a Hann window."""
    n = values.shape[-1]
    centred = (values - values.mean(axis=-1, keepdims=True)) * np.hanning(n)
    power = np.square(np.abs(np.fft.rfft(centred, axis=-1)))
    return 2.0 * math.pi * np.fft.rfftfreq(n, step_s)[1:], power[..., 1:]


def _power_beyond(outputs: np.ndarray, fine_s: float, nyquist: float) -> tuple[np.ndarray, float]:
    """(share (draw,) of the worst output's power beyond, the highest line (rad/s) of the draws); outputs (time, draw, output)."""
    omega, power = _spectrum(np.moveaxis(outputs, 0, -1), fine_s)
    total = power.sum(axis=-1)
    still = total <= 1e-20 * (1.0 + np.square(outputs).sum(axis=0))
    share = np.where(still, 0.0, power[..., omega > nyquist].sum(axis=-1) / np.where(still, 1.0, total)).max(axis=-1)
    strongest = omega[power.argmax(axis=-1)]
    return share, float(np.where(still, 0.0, strongest).max())


def _deciding(system: System, parameters: Tensor, value: Tensor) -> str:
    """The parameter (or the initial state, if none) with which the value goes most closely, by rank."""
    ranks = parameters.argsort(0).argsort(0).double()
    aim = value.double().argsort().argsort().double()
    ranks, aim = ranks - ranks.mean(0), aim - aim.mean()
    agreement = (ranks * aim[:, None]).sum(0).abs() / (ranks.square().sum(0) * aim.square().sum()).sqrt().clamp_min(
        1e-12
    )
    return system.parameter_names[int(agreement.argmax())]
