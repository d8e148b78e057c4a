"""Fitting one-step models inside the filter, for several ratios of observation to process noise side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from twins.diagnosis.features import OneStepModel
from twins.diagnosis.segments import Segments
from twins.diagnosis.state_space import Pass, run_filter

MAX_ORDER = 5  # samples of the response that a model sees
ENOUGH = 3e-5  # nats a sample that a step must bring
_BURN_IN = 8  # predictions that still feel a segment's raw start
_HOPELESS = 0.1  # nats a sample behind after two steps


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Models of one structure for several ratios R / Q, each with its own coefficients (ratio, feature)."""

    model: OneStepModel
    ratios: np.ndarray
    coefficients: np.ndarray
    done: Pass
    loudness: np.ndarray | None

    @property
    def losses(self) -> np.ndarray:
        """Negative log likelihood a sample, (ratio,)."""
        out: np.ndarray = self.done.segment_loss().mean(1)
        return out

    @property
    def best(self) -> int:
        """The number of the likeliest ratio."""
        return int(np.argmin(self.losses))


def run_profile(
    segments: Segments,
    model: OneStepModel,
    ratios: np.ndarray,
    coefficients: np.ndarray,
    loudness: np.ndarray | None,
    *,
    sensitivity: bool = False,
    keep_rows: bool = False,
) -> Pass:
    with np.errstate(over="ignore", invalid="ignore"):  # a step too far diverges; its loss then says so
        return run_filter(
            model,
            coefficients,
            ratios,
            segments.response,
            segments.drive_terms,
            loudness=loudness,
            first_scored=MAX_ORDER + min(_BURN_IN, segments.response.shape[1] // 4),
            sensitivity=sensitivity,
            keep_rows=keep_rows,
        )


def start_profile(
    segments: Segments, model: OneStepModel, ratios: np.ndarray, start: np.ndarray, loudness: np.ndarray | None
) -> Profile:
    return Profile(
        model, ratios, start, run_profile(segments, model, ratios, start, loudness, sensitivity=True), loudness
    )


def newton_steps(segments: Segments, fitted: Profile, n_steps: int, *, enough: float = ENOUGH) -> Profile:
    """Damped Gauss-Newton steps of the coefficients, each ratio on its own."""
    damping = np.full(len(fitted.ratios), 1e-3)
    for _ in range(n_steps):
        proposal = _proposal(fitted, damping)
        tried = run_profile(segments, fitted.model, fitted.ratios, proposal, fitted.loudness, sensitivity=True)
        old, new = fitted.losses, tried.segment_loss().mean(1)
        better = new < np.where(np.isfinite(old), old, np.inf)
        damping = np.where(better, 0.3 * damping, 10.0 * damping)
        fitted = replace(
            fitted,
            coefficients=np.where(better[:, None], proposal, fitted.coefficients),
            done=_merged(better, tried, fitted.done),
        )
        if not (better & (old - new > enough)).any():
            break
    return fitted


def _proposal(fitted: Profile, damping: np.ndarray) -> np.ndarray:
    assert fitted.done.sensitivity is not None
    proposal = fitted.coefficients.copy()
    for number, (innovation, variance, sensitivity) in enumerate(
        zip(fitted.done.innovation, fitted.done.variance, fitted.done.sensitivity, strict=True)
    ):
        if not np.isfinite(innovation).all() or not np.isfinite(sensitivity).all():
            proposal[number] = fitted.coefficients[fitted.best]
            continue
        slopes = sensitivity.reshape(-1, sensitivity.shape[-1])
        weighted = slopes / variance.reshape(-1, 1)
        gram = weighted.T @ slopes
        gram[np.diag_indices_from(gram)] *= 1.0 + damping[number] + 1e-9
        gram[np.diag_indices_from(gram)] += 1e-12 * np.trace(gram) / len(gram)
        proposal[number] += np.linalg.solve(gram, weighted.T @ innovation.reshape(-1))
    return proposal


def _merged(better: np.ndarray, new: Pass, old: Pass) -> Pass:
    assert new.sensitivity is not None and old.sensitivity is not None
    choose = better[:, None, None]
    return Pass(
        np.where(choose, new.innovation, old.innovation),
        np.where(choose, new.variance, old.variance),
        np.where(choose[..., None], new.sensitivity, old.sensitivity),
    )


def promising(fitted: Profile) -> Profile:
    """The ratios that may still win, zero always among them."""
    kept = (fitted.losses < fitted.losses.min() + _HOPELESS) | (fitted.ratios == 0.0)
    done = fitted.done
    assert done.sensitivity is not None
    part = Pass(done.innovation[kept], done.variance[kept], done.sensitivity[kept])
    return replace(fitted, ratios=fitted.ratios[kept], coefficients=fitted.coefficients[kept], done=part)


def criterion(fitted: Profile) -> float:
    """Bayesian information criterion, per sample."""
    n = fitted.done.innovation[0].size
    return float(fitted.losses.min() + 0.5 * fitted.coefficients.shape[1] * np.log(n) / n)
