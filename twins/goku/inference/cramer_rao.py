"""How well the parameters of a trace can be told at best: Fisher information, and the Cramér-Rao bound.

No unbiased estimate has a smaller standard deviation than the bound (Cramér 1946; Rao 1945). An estimate that uses a
prior can, where the data say little.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from twins.errors import SeriesInvalid
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.inference.solver_error import solved_enough
from twins.goku.observation import Observation
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.trajectories import solve_system

_NOT_TOLD = 1e3  # prior ranges
_SIMULATION_SUBSTEPS = 8  # times those of the filter
_LEAST = 1e-14  # of information in units of ranges, so that what nothing is known of has an inverse


def fisher_information(
    system: System,
    observation: Observation | None,
    series: Series,
    parameters: Float64[np.ndarray, "trace parameter"],
    initial: Float64[np.ndarray, "trace state"],
    noise_sd: Float64[np.ndarray, "trace channel"],
    *,
    substeps: int | None = None,
    n_simulations: int = 20,
    generator: torch.Generator | None = None,
) -> Float64[np.ndarray, "trace unknown unknown"]:
    """Expected information of each trace on (parameters, initial state, noise sd per channel), at these values, in
    physical units; NaN where the equation diverges.

    series: the design: times, drive and which samples are there; its values are not used. Exact for ordinary
    equations. For those with noise of their own, the filter's information is averaged over n_simulations simulated
    traces (then a generator is needed). substeps: None for as many as the likelihood needs.
    """
    likelihood = TraceLikelihood(system, observation, series, substeps=substeps or 1)
    point = [_tensor(values) for values in (parameters, initial, noise_sd)]
    if substeps is None:
        likelihood = solved_enough(likelihood, *point)
    if not system.stochastic:
        found = likelihood.derivatives(*point)
        return torch.where(found.diverged[:, None, None], torch.nan, found.information).numpy()
    if generator is None:
        raise SeriesInvalid("the information of an equation with noise needs simulated traces: give generator=…")
    total = torch.zeros(series.n_traces, likelihood.n_unknowns, likelihood.n_unknowns, dtype=torch.float64)
    for _ in range(n_simulations):
        likelihood.data = dataclasses.replace(likelihood.data, values=_simulated(likelihood, point, generator))
        found = likelihood.derivatives(*point)
        total += torch.where(found.diverged[:, None, None], torch.nan, found.information)
    return (total / n_simulations).numpy()


def cramer_rao_bound(
    system: System,
    observation: Observation | None,
    series: Series,
    parameters: Float64[np.ndarray, "trace parameter"],
    initial: Float64[np.ndarray, "trace state"],
    noise_sd: Float64[np.ndarray, "trace channel"],
    *,
    substeps: int | None = None,
    n_simulations: int = 20,
    generator: torch.Generator | None = None,
) -> Float64[np.ndarray, "trace parameter"]:
    """Least standard deviation of an unbiased estimate of each parameter, with initial state and noise level unknown too.

    inf where the data do not tell the parameter from the others (singular information, or a bound beyond a thousand
    prior ranges); NaN where the equation diverges. Traces of one group share their parameters and have one bound.
    Arguments as of ``fisher_information``.
    """
    information = torch.from_numpy(
        fisher_information(
            system, observation, series, parameters, initial, noise_sd,
            substeps=substeps, n_simulations=n_simulations, generator=generator,
        )
    )  # fmt: skip
    point = _tensor(parameters)
    low, high = system.parameter_range(point)
    state_low, state_high = system.state_range(point)
    width = torch.nan_to_num(state_high - state_low, posinf=1.0).expand(len(point), -1)
    scale = torch.cat(((high - low).expand_as(point), width, _tensor(noise_sd)), dim=-1)
    per_trace = _left_for_parameters(information * scale.unsqueeze(-1) * scale.unsqueeze(-2), point.shape[-1])
    bound = torch.empty_like(point)
    for group in np.unique(series.groups):
        traces = torch.from_numpy(np.flatnonzero(series.groups == group))
        bound[traces] = _deviations(per_trace[traces].sum(0)) * (high - low)
    return bound.numpy()


def _left_for_parameters(information: Tensor, n: int) -> Tensor:
    """What is left on the first n unknowns once the others are free (Schur's complement)."""
    nuisance = information[:, n:, n:] + _LEAST * torch.eye(information.shape[-1] - n, dtype=information.dtype)
    cross = information[:, n:, :n]
    fine = torch.isfinite(information).all(-1).all(-1)[:, None, None]
    unit = torch.eye(nuisance.shape[-1], dtype=nuisance.dtype)
    explained = torch.linalg.lstsq(torch.where(fine, nuisance, unit), torch.where(fine, cross, 0.0)).solution
    return torch.where(fine, information[:, :n, :n] - cross.mT @ explained, torch.nan)


def _deviations(information: Tensor) -> Tensor:
    """Square roots of the inverse's diagonal, in prior ranges; inf where a parameter is not told."""
    if not bool(torch.isfinite(information).all()):
        return torch.full((len(information),), torch.nan, dtype=information.dtype)
    values, vectors = torch.linalg.eigh(0.5 * (information + information.mT))
    floor = max(_LEAST, 1e-13 * float(values[-1]))  # rounding: what lies below is not information
    variance = (vectors.square() / values.clamp(min=floor)).sum(-1)
    lost = (vectors.square() * (values <= floor)).sum(-1) > 1e-6
    sd = variance.sqrt()
    return torch.where(lost | (sd > _NOT_TOLD), torch.inf, sd)


def _simulated(likelihood: TraceLikelihood, point: list[Tensor], generator: torch.Generator) -> Tensor:
    """(time, trace, channel) values of the design, drawn from the equation."""
    data, system = likelihood.data, likelihood.system
    parameters, initial, noise_sd = point
    states = solve_system(
        system, initial, parameters, step_s=data.step_s, n_steps=data.n_samples - 1, drive=data.drive,
        substeps=_SIMULATION_SUBSTEPS * likelihood.substeps, noisy=True, generator=generator,
    )  # fmt: skip
    clean = likelihood.observation(system.outputs_of(states, parameters))
    noise = torch.randn(clean.shape, dtype=clean.dtype, generator=generator)
    return torch.nan_to_num(clean + noise_sd * noise)


def _tensor(values: object) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))
