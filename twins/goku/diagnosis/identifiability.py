"""Which parameters the data can tell, and which only in combination, from the Fisher information at an estimate.

Everything is in unit coordinates (0..1 over each parameter's range, in the logarithm where its scale is), so that a
prior of standard deviation 1/√12 is the measure of all. Initial state and noise of every trace are unknown as well:
their part is taken out (Schur complement), trace by trace, and what traces of a group say of their shared parameters
adds up. Directions in which the information is small beside the prior's are sloppy; where it vanishes at other points
of the parameter space too, the design itself cannot tell (structural), else it is this motion that does not (practical).

Sources: Rothenberg, Econometrica 39 (1971), for rank and identifiability; Gutenkunst et al., PLoS Comput. Biol. 3
(2007), for sloppy directions; Raue et al., Bioinformatics 25 (2009), for structural and practical.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from twins.errors import SeriesInvalid
from twins.goku.diagnosis.identifiability_words import TAKES_PART, Direction, direction_of
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.inference.solver_error import solved_enough
from twins.goku.observation import Observation
from twins.goku.posterior import Guess, Posterior
from twins.goku.series import Series
from twins.goku.system import System

PRIOR_SD = 1.0 / 12.0**0.5
"""Of a uniform prior, in unit coordinates."""
LEARNED, NOT_LEARNED = 0.5, 0.9
"""Width over the prior's: below the first a parameter is learned, above the second it is not."""
STRONG_CORRELATION = 0.95
_SINGULAR = 1e-9  # of the largest eigenvalue: what the differences that the information is made of leave of a zero
_OTHER_POINTS = 4
_ONLY_PRIOR = 1.0 / PRIOR_SD**2


@dataclass(frozen=True, slots=True)
class ParameterStanding:
    """Of one parameter. sd_over_prior: of the estimate by the data and the prior (both as Gaussians), over the prior's;
    by_data: by the data alone (inf where they say nothing); alone: by the data, were all other parameters known.
    posterior_over_prior: the given posterior's sd over the prior's, None without one. verdict: "learned", "partly" or
    "not learned", by the posterior where there is one."""

    name: str
    sd_over_prior: float
    by_data: float
    alone: float
    posterior_over_prior: float | None
    verdict: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Identifiability:
    """Of one group of traces (a trace without a group is one by itself). condition_number: of the information of the
    parameters (inf where singular). directions: those that are sloppy, the least known first. correlated: pairs of
    parameters with their correlation, beyond 0.95. n_structural: dimensions that no motion of this design tells."""

    group: int
    n_traces: int
    parameters: tuple[ParameterStanding, ...]
    condition_number: float
    n_structural: int
    directions: tuple[Direction, ...]
    correlated: tuple[tuple[str, str, float], ...]

    @property
    def identifiable(self) -> bool:
        """Whether every parameter is learned, at least partly."""
        return all(one.verdict != "not learned" for one in self.parameters)

    def lines(self) -> list[str]:
        """In words."""
        text = []
        for one in self.parameters:
            width = one.sd_over_prior if one.posterior_over_prior is None else one.posterior_over_prior
            text.append(f"{one.name}: {one.verdict}, {width:.3g} of the prior's width{one.why and '; ' + one.why}")
        text += [direction.words for direction in self.directions]
        named = {frozenset(direction.names) for direction in self.directions}
        for first, second, correlation in self.correlated:
            if frozenset((first, second)) not in named:
                text.append(f"{first} and {second}: their errors go together (correlation {correlation:+.3f})")
        return [*text, f"condition number of the information: {self.condition_number:.3g}"]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def identifiability(
    system: System,
    observation: Observation | None,
    series: Series,
    estimate: Guess,
    *,
    posterior: Posterior | None = None,
    substeps: int | None = None,
    seed: int = 0,
) -> tuple[Identifiability, ...]:
    """A report for every group of traces, in rising order of the groups.

    estimate: of every trace, as from ``Refined.estimate``; parameters of a group are averaged. posterior: of every trace,
    to be compared with the prior. substeps: solver steps a sample; None: as many as the likelihood needs. seed: of the
    other points at which structure is looked for. Raises SeriesInvalid where shapes do not fit.
    """
    sizes = (series.n_traces, system.n_parameters), (series.n_traces, system.n_states)
    if (estimate.parameters.shape, estimate.initial.shape) != sizes:
        raise SeriesInvalid(
            f"the estimate must hold {sizes[0]} parameters and {sizes[1]} states for this series and equation, "
            f"not {estimate.parameters.shape} and {estimate.initial.shape}"
        )
    parameters, initial, noise_sd = (
        torch.from_numpy(np.array(part)) for part in (estimate.parameters, estimate.initial, estimate.noise_sd)
    )
    for group in np.unique(series.groups):
        same = torch.from_numpy(np.flatnonzero(series.groups == group))
        parameters[same] = parameters[same].mean(0)
    likelihood = TraceLikelihood(system, observation, series, substeps=substeps or 1)
    if substeps is None:
        likelihood = solved_enough(likelihood, parameters, initial, noise_sd)
    information = parameter_information(likelihood, parameters, initial, noise_sd)
    nullity = _nullity_elsewhere(likelihood, series, initial, noise_sd, torch.Generator().manual_seed(seed))
    reports = []
    for group in np.unique(series.groups):
        members = np.flatnonzero(series.groups == group)
        whole = information[torch.from_numpy(members)].sum(0).numpy()
        if not np.isfinite(whole).all():
            raise SeriesInvalid(f"the equation runs away at the estimate of group {group}; refine it first")
        width = None if posterior is None else _posterior_width(system, posterior, int(members[0]))
        at = parameters[members[0]].numpy()
        reports.append(_report(system, int(group), len(members), whole, at, width, nullity[int(group)]))
    return tuple(reports)


def parameter_information(
    likelihood: TraceLikelihood,
    parameters: Float[Tensor, "trace parameter"],
    initial: Float[Tensor, "trace state"],
    noise_sd: Float[Tensor, "trace channel"],
) -> Float[Tensor, "trace parameter parameter"]:
    """Fisher information of the parameters in unit coordinates, initial state and noise unknown; NaN where the equation
    diverges."""
    system = likelihood.system
    found = likelihood.derivatives(parameters, initial, noise_sd)
    low, high = system.parameter_range(parameters)
    is_log = torch.tensor([quantity.scale == "log" for quantity in system.flat_parameters])
    by_unit = torch.where(is_log, parameters * torch.log((high / low).abs().clamp(min=1e-300)), high - low)
    state_low, state_high = system.state_range(parameters)
    width = torch.nan_to_num(state_high - state_low, posinf=2.0).expand_as(initial)
    scale = torch.cat((by_unit, width, noise_sd), dim=-1)
    whole = found.information * scale.unsqueeze(-1) * scale.unsqueeze(-2)
    n = system.n_parameters
    own, cross, nuisance = whole[:, :n, :n], whole[:, :n, n:], whole[:, n:, n:]
    kept = own - cross @ torch.linalg.pinv(nuisance, rtol=_SINGULAR, hermitian=True) @ cross.mT
    kept = 0.5 * (kept + kept.mT)
    return torch.where(found.diverged[:, None, None], torch.nan, kept)


def _nullity_elsewhere(
    likelihood: TraceLikelihood, series: Series, initial: Tensor, noise_sd: Tensor, generator: torch.Generator
) -> dict[int, int]:
    """The fewest dimensions without information at other parameters, by group; initial states are moved as well, so
    that a motion that happens to be too small for a parameter does not hide it."""
    system = likelihood.system
    fewest = {int(group): system.n_parameters for group in series.groups}
    low, high = system.state_range(initial)
    width = torch.nan_to_num(high - low, posinf=2.0)
    for _ in range(_OTHER_POINTS):
        unit = 0.1 + 0.8 * torch.rand((1, system.n_parameters), dtype=torch.float64, generator=generator)
        elsewhere = system.parameters_from_unit(unit).expand(series.n_traces, -1)
        moved = initial + 0.2 * width * torch.randn(initial.shape, dtype=torch.float64, generator=generator)
        information = parameter_information(likelihood, elsewhere, moved, noise_sd)
        for group, least in fewest.items():
            whole = information[torch.from_numpy(series.groups == group)].sum(0)
            if bool(torch.isfinite(whole).all()):
                values = torch.linalg.eigvalsh(whole)
                fewest[group] = min(least, int((values <= _SINGULAR * values[-1]).sum()))
    return fewest


def _posterior_width(system: System, posterior: Posterior, trace: int) -> Float64[np.ndarray, " parameter"]:
    unit = system.parameters_to_unit(torch.from_numpy(np.array(posterior.parameters[trace]))).numpy()
    weights = posterior.weights[trace][:, None]
    mean = (weights * unit).sum(0)
    width: np.ndarray = np.sqrt((weights * np.square(unit - mean)).sum(0)) / PRIOR_SD
    return width


def _report(
    system: System,
    group: int,
    n_traces: int,
    information: Float64[np.ndarray, "parameter parameter"],
    at: Float64[np.ndarray, " parameter"],
    posterior_width: Float64[np.ndarray, " parameter"] | None,
    nullity_elsewhere: int,
) -> Identifiability:
    values, vectors = np.linalg.eigh(information)
    floor = _SINGULAR * max(float(values[-1]), 0.0)
    empty = values <= floor
    n_structural = min(int(empty.sum()), nullity_elsewhere)
    covariance = np.linalg.inv(information + _ONLY_PRIOR * np.eye(len(at)))
    sd = np.sqrt(np.diag(covariance)) / PRIOR_SD
    along = np.where(empty, np.inf, 1.0 / np.sqrt(np.where(empty, 1.0, values))) / PRIOR_SD
    touched = np.square(vectors) > 1e-6  # of an open direction: a parameter has a part in it
    by_data = np.sqrt((np.square(vectors) * np.where(empty, 0.0, np.square(along))).sum(1))
    by_data = np.where((touched & empty).any(1), np.inf, by_data)
    own = np.diag(information)
    alone = np.where(own > floor, 1.0 / np.sqrt(np.maximum(own, 1e-300)), np.inf) / PRIOR_SD
    in_structure = (np.abs(vectors[:, :n_structural]) > TAKES_PART * np.abs(vectors[:, :n_structural]).max(0)).any(1)
    learned = (
        ()
        if posterior_width is None
        else [name for name, width in zip(system.parameter_names, posterior_width, strict=True) if width < NOT_LEARNED]
    )
    directions = tuple(
        direction_of(
            system.flat_parameters, vectors[:, k], at, float(along[k]), structural=k < n_structural, learned=learned
        )
        for k in range(len(at))
        if along[k] > LEARNED
    )
    standings = tuple(
        _standing(name, float(sd[k]), float(by_data[k]), float(alone[k]),
                  None if posterior_width is None else float(posterior_width[k]), structural=bool(in_structure[k]))
        for k, name in enumerate(system.parameter_names)
    )  # fmt: skip
    condition = float(values[-1] / values[0]) if not empty[0] else float("inf")
    pairs = _correlated(system.parameter_names, covariance)
    return Identifiability(group, n_traces, standings, condition, n_structural, directions, pairs)


def _standing(
    name: str, sd: float, by_data: float, alone: float, posterior: float | None, *, structural: bool
) -> ParameterStanding:
    """structural: it has a part in what no traces of this kind can tell."""
    width = sd if posterior is None else posterior
    verdict = "learned" if width < LEARNED else "partly" if width < NOT_LEARNED else "not learned"
    why = ""
    through_ranges = structural and posterior is not None and posterior < NOT_LEARNED
    if through_ranges:
        why = "told through the ranges of what it trades off against; the data alone cannot tell it"
    elif verdict != "learned":
        told = "its effect on these data is too small" if alone > LEARNED else "known only together with others"
        why = f"{told} (were the others known: {alone:.2g})"
    if posterior is not None and not through_ranges and not 0.5 < posterior / sd < 2.0:
        other = f"the information at the estimate says {sd:.2g}, so the likelihood is no parabola here: see its profile"
        why = f"{why}; {other}" if why else other
    return ParameterStanding(name, sd, by_data, alone, posterior, verdict, why)


def _correlated(
    names: Sequence[str], covariance: Float64[np.ndarray, "parameter parameter"]
) -> tuple[tuple[str, str, float], ...]:
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    return tuple(
        (names[i], names[j], float(correlation[i, j]))
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if abs(correlation[i, j]) > STRONG_CORRELATION
    )
