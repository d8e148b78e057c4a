"""Which of several equations says best what was NOT shown to it: compared on held-out data.

Every candidate is refined on what it may see; the rest is judged by its predictive density (what the posterior of
parameters, initial states and noise says of the held-out samples, draws averaged) and by the error of the predicted
course. Traces of one group share the error of their parameters, so differences come with standard errors over groups;
within Student's quantile for so few groups, corrected for the pairs the best was picked from, two equations cannot be told
apart, and never with a single group. All candidates are refined with the same random numbers.

Sources: Gneiting and Raftery, J. Am. Stat. Assoc. 102 (2007), for the logarithmic score; Vehtari, Gelman and Gabry,
Stat. Comput. 27 (2017), for differences with standard errors; Cameron and Miller, J. Hum. Resour. 50 (2015), for groups
that share an error, and Student's quantile at their number.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from twins.errors import EquationInvalid, SeriesInvalid
from twins.goku.diagnosis.comparison_data import Shown, shown_of
from twins.goku.diagnosis.comparison_error import by_group, difference_over_groups, is_behind, student_quantile
from twins.goku.inference.coordinates import noise_sd_range_from
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.inference.predictive import predict_course
from twins.goku.inference.refine import refine
from twins.goku.inference.refine_settings import Refined, RefineEvent, RefineSettings
from twins.goku.observation import Observation
from twins.goku.posterior import Guess, Posterior
from twins.goku.scoring.scores import nrmse
from twins.goku.series import Series
from twins.goku.system import System


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An equation that may be the right one. observation: from its outputs to the channels that all candidates share;
    None: the channels are its outputs. guess: of the training traces, where to begin; None: from the prior."""

    name: str
    system: System
    observation: Observation | None = None
    guess: Guess | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSettings:
    """refine: of every candidate; a noise_sd_range that it does not give is taken from the data, the same for all.
    warm_up: samples of a held-out trace that tell its initial state (and are not judged), where it is not the
    continuation of a training trace. n_draws: of the predicted course. confidence: that all which are said to be behind
    the best are, over the groups of traces there might have been."""

    refine: RefineSettings = field(default_factory=RefineSettings)
    warm_up: int = 20
    n_draws: int = 200
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.warm_up < 2 or self.n_draws < 2 or not 0.0 < self.confidence < 1.0:
            raise SeriesInvalid("comparison settings: warm_up and n_draws must be at least 2, confidence within 0..1")


@dataclass(frozen=True, slots=True)
class CompareEvent:
    """candidate: its name. number, n_candidates: how far through them. refining: what its refinement says, or None when it
    is judged; log_density and nrmse are then its scores."""

    candidate: str
    number: int
    n_candidates: int
    refining: RefineEvent | None = None
    log_density: float | None = None
    nrmse: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CandidateScore:
    """log_density: (trace,), natural logarithm of the predictive density per held-out sample (of one channel), in the
    channels' units; -inf where the equation ran away. nrmse: (trace,), of the predicted course over the held-out samples:
    see ``twins.goku.scoring.scores``. mean_log_density: over groups, of the mean over each group's traces. difference: of it to
    the best candidate's (0 for the best); standard_error: of that over groups, NaN for a single one. tied: it cannot be
    told from the best. n_untrusted: traces whose posterior is not trusted."""

    name: str
    n_parameters: int
    log_density: Float64[np.ndarray, " trace"]
    nrmse: Float64[np.ndarray, " trace"]
    mean_log_density: float
    difference: float
    standard_error: float
    tied: bool
    n_untrusted: int
    refined: Refined

    @property
    def difference_in_words(self) -> str:
        """With its standard error, where there is one."""
        error = "unknown" if math.isnan(self.standard_error) else f"{self.standard_error:.2g}"
        return f"{self.difference:+.3g} ± {error}"


@dataclass(frozen=True, slots=True, eq=False)
class EquationComparison:
    """scores: the best first. n_judged: held-out samples of all traces. n_groups: of judged traces. quantile: standard
    errors within which two candidates cannot be told apart, inf for a single group. verdict: in words."""

    scores: tuple[CandidateScore, ...]
    n_judged: int
    n_groups: int
    quantile: float
    verdict: str

    @property
    def best(self) -> str:
        """Name of the candidate with the highest density."""
        return self.scores[0].name

    @property
    def tied(self) -> tuple[str, ...]:
        """Names of those that cannot be told from the best, itself included."""
        return tuple(score.name for score in self.scores if score.tied)

    def lines(self) -> list[str]:
        """In words."""
        text = [self.verdict]
        for score in self.scores:
            line = (
                f"{score.name}: {score.mean_log_density:.4g} nats a sample, NRMSE {score.nrmse.mean():.3g}, "
                f"{score.n_parameters} parameters"
            )
            if score is not self.scores[0]:
                line += f"; {score.difference_in_words} nats a sample to the best"
            if score.n_untrusted:
                line += f"; the posterior of {score.n_untrusted} traces is not trusted"
            text.append(line)
        return text

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without posteriors."""
        rows = []
        for score in self.scores:
            row = {name: getattr(score, name) for name in CandidateScore.__dataclass_fields__ if name != "refined"}
            rows.append({k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in row.items()})
        return {
            "scores": rows,
            "n_judged": self.n_judged,
            "n_groups": self.n_groups,
            "quantile": self.quantile,
            "best": self.best,
            "tied": self.tied,
            "verdict": self.verdict,
        }


def compare_equations(
    candidates: Sequence[Candidate],
    training: Series,
    held_out: Series,
    *,
    seed: int,
    settings: ComparisonSettings | None = None,
) -> Generator[CompareEvent, None, EquationComparison]:
    """Refine every candidate on `training`, judge it on `held_out`.

    held_out: the continuation of every training trace (see ``split_in_time``: the same traces and groups, later times
    on the same clock), or other traces of the same groups, of which the first ``warm_up`` samples are shown.
    Raises SeriesInvalid where held-out traces share nothing with training, EquationInvalid for candidates that are
    fewer than two or named alike.
    """
    settings = settings or ComparisonSettings()
    names = [candidate.name for candidate in candidates]
    if len(names) < 2 or len(set(names)) < len(names):
        raise EquationInvalid(f"a comparison needs at least two candidates with different names, not {names}")
    shown = shown_of(training, held_out, settings.warm_up)
    own = settings.refine
    low, high = noise_sd_range_from(own.noise_sd_range, shown.visible)
    fields = {name: getattr(own, name) for name in RefineSettings.__dataclass_fields__}
    refining = RefineSettings(**{**fields, "noise_sd_range": (low, high)})
    found: list[tuple[Candidate, Refined, np.ndarray, np.ndarray]] = []
    for number, candidate in enumerate(candidates):
        guess = None if candidate.guess is None else shown.guess(candidate.guess, training)
        events = refine(candidate.system, candidate.observation, shown.visible, guess, seed=seed, settings=refining)
        while True:
            try:
                event = next(events)
            except StopIteration as stopped:
                refined: Refined = stopped.value
                break
            yield CompareEvent(candidate.name, number, len(names), event)
        density = predictive_density(candidate, shown, refined)
        error = _course_error(candidate, shown, refined, settings, seed)
        found.append((candidate, refined, density, error))
        yield CompareEvent(
            candidate.name, number, len(names), None, float(density.mean()), float(error.mean())
        )  # fmt: skip
    return _compared(found, shown, settings)


def predictive_density(candidate: Candidate, shown: Shown, refined: Refined) -> Float64[np.ndarray, " trace"]:
    """Natural logarithm of p(held-out samples | shown ones) of every judged trace, per held-out sample: draws averaged by
    their weights."""
    posterior = refined.posterior.select(shown.judged)
    draws = [
        torch.from_numpy(np.ascontiguousarray(part.swapaxes(0, 1)))
        for part in (posterior.parameters, posterior.initial, posterior.noise_sd)
    ]
    both = [
        TraceLikelihood(
            candidate.system, candidate.observation, series.select(shown.judged), substeps=refined.substeps
        ).log_likelihood(*draws)
        for series in (shown.whole, shown.visible)
    ]
    gain = torch.where(torch.isfinite(both[0]), both[0] - both[1], -torch.inf)
    weights = torch.from_numpy(np.array(posterior.weights.T)).clamp(min=0.0)
    density: np.ndarray = torch.logsumexp(gain + weights.log(), dim=0).numpy() / shown.n_judged
    return density


def _course_error(
    candidate: Candidate, shown: Shown, refined: Refined, settings: ComparisonSettings, seed: int
) -> Float64[np.ndarray, " trace"]:
    """Of the predicted course where it was held out; inf where it ran away."""
    visible = shown.visible.select(shown.judged)
    posterior: Posterior = refined.posterior.select(shown.judged)
    course = predict_course(
        candidate.system, candidate.observation, visible, posterior, n_draws=settings.n_draws,
        substeps=refined.substeps, generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    truth = np.where(visible.seen, np.nan, shown.whole.values[shown.judged])
    return nrmse(course.mean(), truth)


def _compared(
    found: list[tuple[Candidate, Refined, np.ndarray, np.ndarray]], shown: Shown, settings: ComparisonSettings
) -> EquationComparison:
    groups = shown.whole.groups[shown.judged]
    means = [float(by_group(density, groups).mean()) for _, _, density, _ in found]
    order = sorted(range(len(found)), key=lambda k: -means[k])
    best = found[order[0]][2]
    n_groups = len(np.unique(groups))
    quantile = student_quantile(n_groups, len(found), settings.confidence)
    scores = []
    for k in order:
        candidate, refined, density, by_course = found[k]
        apart, error = difference_over_groups(density, best, groups)
        scores.append(
            CandidateScore(
                candidate.name, candidate.system.n_parameters, density, by_course, means[k], apart, error,
                k == order[0] or not is_behind(apart, error, quantile),
                int((~refined.posterior.trusted[shown.judged]).sum()), refined,
            )
        )  # fmt: skip
    verdict = _verdict(scores, n_groups, settings.confidence)
    return EquationComparison(tuple(scores), int(shown.n_judged.sum()), n_groups, quantile, verdict)


def _verdict(scores: list[CandidateScore], n_groups: int, confidence: float) -> str:
    first = scores[0]
    if not np.isfinite(first.log_density).all():
        return "no candidate predicts the held-out data: all ran away"
    tied = [score.name for score in scores if score.tied]
    others = [score.name for score in scores if not score.tied]
    behind = f"; {', '.join(others)} {'is' if len(others) == 1 else 'are'} behind" if others else ""
    if len(tied) == 1 and all(math.isinf(score.difference) for score in scores[1:]):
        return f"{first.name} predicts best: all others run away on held-out data"
    if len(tied) == 1:
        return f"{first.name} predicts best, with a confidence of {100.0 * confidence:.3g} %"
    if n_groups == 1:
        return (
            f"{first.name} is ahead, but with one group of traces that share their parameters nothing is known of the "
            f"error: {' and '.join(tied)} cannot be told apart{behind}"
        )
    return f"{' and '.join(tied)} cannot be told apart with a confidence of {100.0 * confidence:.3g} %{behind}"


__all__ = [
    "Candidate", "CandidateScore", "CompareEvent", "ComparisonSettings", "EquationComparison",
    "compare_equations", "predictive_density",
]  # fmt: skip
