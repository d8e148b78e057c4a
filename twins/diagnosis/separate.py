"""How much of what a one-step model misses is the device's own noise, and how much the instrument's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.diagnosis.features import OneStepModel, least_squares, polynomial_terms, products, select_terms
from twins.diagnosis.figures import Estimate
from twins.diagnosis.profile import MAX_ORDER, Profile, criterion, newton_steps, promising, run_profile, start_profile
from twins.diagnosis.segments import Segments

_COARSE = np.array([0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 400.0])
_FINE = 10.0 ** np.array([-0.5, -0.25, -0.1, 0.1, 0.25, 0.5])
_COARSE_SAMPLES = 5000
_MAX_TERMS = 36
_STEPS, _MORE_STEPS = 8, 5  # of Gauss and Newton
_WORTH_AN_ORDER = 0.004  # nats a sample, beyond the criterion: free runs add up what one step hides in the noise
_ENOUGH = 3e-4  # nats a sample that a step must bring while orders are compared
_SHORTEST = 8  # samples beyond twice a model's memory that a segment must hold
_QUIETEST = 0.02  # variance of the quietest step over the mean
_N_BOOTSTRAP = 100
_CHANCE = 2.0  # nats: two standard errors of a likelihood
_UNCLEAR_SHARE = 0.4  # of the one-step variance: a wider range of the observation share tells nothing apart


@dataclass(frozen=True, slots=True, eq=False)
class Separation:
    """Process and observation noise of one channel, in the units of the response.

    order: samples of the response that the model needs. observation_share: lowest and highest share of observation
    noise in the variance R + Q that the data allow. loss: negative log likelihood a sample. innovation: what the
    filter did not foresee over its own spread, (segment, time).
    """

    process: Estimate
    observation: Estimate
    order: int
    observation_share: tuple[float, float]
    loss: float
    innovation: np.ndarray
    loudness_range: float

    @property
    def told_apart(self) -> bool:
        """Whether the data say how the noise divides."""
        low, high = self.observation_share
        return high - low <= _UNCLEAR_SHARE


def separate_noise(
    segments: Segments, *, polynomial_order: int, max_order: int = MAX_ORDER, rng: np.random.Generator
) -> Separation:
    """Fit one-step models of growing order in a filter, then say how process and observation noise divide.

    segments: one response channel. polynomial_order: 1 where the response is known to be linear in its own past. max_order:
    most samples of the response that are tried.
    """
    few = segments.fewer(_COARSE_SAMPLES, rng)
    best: Profile | None = None
    n_vain = 0
    for order in range(1, max_order + 1):
        if few.response.shape[1] < 2 * order + _SHORTEST:
            break  # segments too short to judge a longer memory
        fitted = _coarse(few, order, polynomial_order)
        if best is not None and criterion(fitted) > criterion(best) - _WORTH_AN_ORDER:
            n_vain += 1
            if n_vain == 2:
                break
            continue
        best, n_vain = fitted, 0
    assert best is not None
    if polynomial_order > 1 and best.ratios[best.best] > 0.0:
        best = _reselected(few, best, _terms(few, best.model.n_response, polynomial_order))
    return _summary(segments, _refined(segments, best), best, rng)


def _terms(segments: Segments, order: int, polynomial_order: int) -> np.ndarray:
    n_lags = segments.n_drive_lags
    return polynomial_terms(order, n_lags, segments.drive_terms.shape[2] - n_lags, polynomial_order)


def _coarse(segments: Segments, order: int, polynomial_order: int) -> Profile:
    terms = _terms(segments, order, polynomial_order)
    rows, target = segments.rows(order)
    features = products(rows.T, terms).T
    n_linear = 1 + order + segments.n_drive_lags
    kept = select_terms(features, target, n_kept=n_linear, n_most=max(_MAX_TERMS, n_linear))
    model = OneStepModel(order, terms[kept])
    start = np.tile(least_squares(features[:, kept], target), (len(_COARSE), 1))
    fitted = newton_steps(segments, start_profile(segments, model, _COARSE, start, None), 2)
    return newton_steps(segments, promising(fitted), _STEPS, enough=_ENOUGH)


def _reselected(segments: Segments, fitted: Profile, terms: np.ndarray) -> Profile:
    """Choose the products again, with what the filter knows: raw samples favour what averages their noise."""
    best = fitted.best
    whole = OneStepModel(fitted.model.n_response, terms)
    where = [int(np.flatnonzero((terms == term).all(1))[0]) for term in fitted.model.terms]
    coefficients = np.zeros((1, len(terms)))
    coefficients[0, where] = fitted.coefficients[best]
    seen = run_profile(segments, whole, fitted.ratios[best : best + 1], coefficients, fitted.loudness, sensitivity=True)
    assert seen.sensitivity is not None
    weight = 1.0 / np.sqrt(seen.variance[0])
    sensitivity = (seen.sensitivity[0] * weight[..., None]).reshape(-1, len(terms))
    target = (seen.innovation[0] * weight).reshape(-1) + sensitivity @ coefficients[0]
    n_linear = 1 + fitted.model.n_response + segments.n_drive_lags
    kept = select_terms(sensitivity, target, n_kept=n_linear, n_most=max(_MAX_TERMS, n_linear))
    model = OneStepModel(fitted.model.n_response, terms[kept])
    start = np.tile(least_squares(sensitivity[:, kept], target), (len(fitted.ratios), 1))
    again = newton_steps(segments, start_profile(segments, model, fitted.ratios, start, fitted.loudness), _STEPS)
    return again if criterion(again) < criterion(fitted) else fitted


def _refined(segments: Segments, coarse: Profile) -> Profile:
    """All data, ratios close to the best, and noise as loud as drive and response make it."""
    best = coarse.best
    centre = coarse.ratios[best] if coarse.ratios[best] > 0 else _COARSE[1]
    coefficients = coarse.coefficients[best]
    while True:
        ratios = np.concatenate(([0.0], centre * _FINE))
        start = np.tile(coefficients, (len(ratios), 1))
        fitted = newton_steps(segments, start_profile(segments, coarse.model, ratios, start, None), _MORE_STEPS)
        if fitted.best < len(ratios) - 1 or ratios[-1] >= _COARSE[-1]:
            break
        centre, coefficients = ratios[-1], fitted.coefficients[-1]  # the likeliest ratio lies beyond
    loudness = _loudness(segments, fitted)
    louder = newton_steps(
        segments, start_profile(segments, coarse.model, ratios, fitted.coefficients, loudness), _MORE_STEPS
    )
    n, n_terms = fitted.done.innovation[0].size, 1 + 3 * (1 + segments.n_drive_lags)
    worth = 0.5 * n_terms * np.log(n) / n  # by the Bayesian information criterion
    return louder if louder.losses.min() < fitted.losses.min() - worth else fitted


def _loudness(segments: Segments, fitted: Profile) -> np.ndarray:
    """Q of each step over its mean, from squared innovations against squares of state and drive, (segment, time)."""
    best = fitted.best
    seen = run_profile(
        segments,
        fitted.model,
        fitted.ratios[best : best + 1],
        fitted.coefficients[best : best + 1],
        None,
        keep_rows=True,
    )
    assert seen.row is not None
    scale = seen.scale()[0]
    excess = seen.innovation[0] ** 2 / scale - (seen.variance[0] - 1.0)  # its mean is Q of the step, over the mean Q
    columns = seen.row[0][..., 1:]
    order = fitted.model.n_response
    keep = [0, *range(order, order + segments.n_drive_lags)]
    regressors = _even_terms(columns[..., keep])
    coefficients = least_squares(regressors.reshape(-1, regressors.shape[-1]), excess.reshape(-1), ridge=1e-3)
    lagged = np.concatenate((segments.response[..., None], segments.drive_terms[..., : segments.n_drive_lags]), axis=-1)
    predicted = _even_terms(lagged) @ coefficients
    mean = float(predicted.mean())
    if not mean > 0.0:
        return np.ones_like(predicted)
    floored = np.maximum(predicted, _QUIETEST * mean)
    out: np.ndarray = floored / floored.mean()
    return out


def _even_terms(columns: np.ndarray) -> np.ndarray:
    """1, the columns, their magnitudes and squares: what a spread can depend on, (…, term)."""
    return np.concatenate((np.ones((*columns.shape[:-1], 1)), columns, np.abs(columns), columns**2), axis=-1)


def _summary(segments: Segments, fitted: Profile, coarse: Profile, rng: np.random.Generator) -> Separation:
    n_segments = fitted.done.innovation.shape[1]
    squares = (fitted.done.innovation**2 / fitted.done.variance).mean(2)  # (ratio, segment)
    logs = np.log(fitted.done.variance).mean(2)
    everything = np.ones((1, n_segments)) / n_segments
    resampled = rng.multinomial(n_segments, np.full(n_segments, 1.0 / n_segments), _N_BOOTSTRAP) / n_segments
    process, observation = _likeliest(fitted.ratios, squares, logs, everything)
    some_process, some_observation = _likeliest(fitted.ratios, squares, logs, resampled)
    low, high = _allowed_shares(fitted, coarse)
    total = float(np.sqrt(process[0] ** 2 + observation[0] ** 2)) * segments.scale
    upper, lower = total * np.sqrt(high), total * np.sqrt(1.0 - high)
    best = fitted.best
    seen = run_profile(
        segments,
        fitted.model,
        fitted.ratios[best : best + 1],
        fitted.coefficients[best : best + 1],
        fitted.loudness,
        keep_rows=True,
    )
    assert seen.row is not None
    unseen = bool(fitted.ratios[fitted.best] >= _COARSE[-1])  # the process noise is below what shows
    value_process, value_observation = process[0] * segments.scale, observation[0] * segments.scale
    return Separation(
        process=Estimate(
            float(value_process),
            float(max(some_process.std() * segments.scale, 0.5 * abs(value_process - lower), value_process * unseen)),
        ),
        observation=Estimate(
            float(value_observation),
            float(max(some_observation.std() * segments.scale, 0.5 * abs(upper - value_observation))),
        ),
        order=fitted.model.n_response,
        observation_share=(low, high),
        loss=float(fitted.losses.min()) + float(np.log(segments.scale)),
        innovation=seen.innovation[0] / np.sqrt(seen.scale()[0] * seen.variance[0]),
        loudness_range=_range(fitted.loudness),
    )


def _range(loudness: np.ndarray | None) -> float:
    if loudness is None:
        return 1.0
    quiet, loud = np.quantile(loudness, (0.1, 0.9))
    return float(np.sqrt(loud / max(quiet, 1e-12)))


def _likeliest(
    ratios: np.ndarray, squares: np.ndarray, logs: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Process and observation std where segments have these weights (resample, segment), each (resample,)."""
    scale = weights @ squares.T
    losses = 0.5 * (np.log(scale) + weights @ logs.T)
    process, observation = [], []
    for row, scales in zip(losses, scale, strict=True):
        best = int(np.argmin(row))
        ratio, variance = ratios[best], scales[best]
        if 2 <= best < len(ratios) - 1:  # between two positive ratios: the vertex of a parabola in their logarithm
            x = np.log(ratios[best - 1 : best + 2])
            curve = np.polyfit(x - x[1], row[best - 1 : best + 2], 2)
            if curve[0] > 0:
                shift = float(np.clip(-curve[1] / (2 * curve[0]), x[0] - x[1], x[2] - x[1]))
                ratio = float(np.exp(x[1] + shift))
                variance = float(np.exp(np.interp(x[1] + shift, x, np.log(scales[best - 1 : best + 2]))))
        process.append(np.sqrt(variance))
        observation.append(np.sqrt(variance * ratio))
    return np.array(process), np.array(observation)


def _allowed_shares(fitted: Profile, coarse: Profile) -> tuple[float, float]:
    """Shares R / (R + Q) whose likelihood lies within chance of the best."""
    allowed = []
    for one in (fitted, coarse):
        n = one.done.innovation[0].size
        ok = (one.losses - one.losses.min()) * n < _CHANCE
        allowed += [ratio / (1.0 + ratio) for ratio in one.ratios[ok]]
    return float(min(allowed)), float(max(allowed))
