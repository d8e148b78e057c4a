"""How much of what a one-step model misses is the device's own noise, and how much the instrument's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from twins.diagnosis.features import OneStepModel, least_squares, polynomial_terms, products, select_terms
from twins.diagnosis.figures import Estimate
from twins.diagnosis.segments import Segments
from twins.diagnosis.state_space import Pass, run_filter

_COARSE = np.array([0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 400.0])
_FINE = 10.0 ** np.array([-0.5, -0.25, -0.1, 0.1, 0.25, 0.5])
_COARSE_SAMPLES = 5000
_MAX_ORDER = 5
_MAX_TERMS = 36
_BURN_IN = 8  # predictions that still feel a segment's raw start
_STEPS, _MORE_STEPS = 8, 5  # of Gauss and Newton
_WORTH_AN_ORDER = 0.02  # nats a sample: 2 % of the noise
_ENOUGH = 3e-5  # nats a sample
_HOPELESS = 0.1  # nats a sample behind after two steps
_N_BOOTSTRAP = 100
_CHANCE = 2.0  # nats: two standard errors of a likelihood
_UNCLEAR_SHARE = 0.4  # of the one-step variance: a wider range of the observation share tells nothing apart


@dataclass(frozen=True, slots=True, eq=False)
class Separation:
    """Process and observation noise of one channel, in the units of the response.

    order: samples of the response that the model needs. observation_share: lowest and highest share of observation
    noise in the variance R + Q that the data allow. loss: negative log likelihood a sample. innovation: what the
    filter did not foresee over its own spread, (segment, time); row: what the filter saw before, (segment, time,
    column of [1 | response newest first | drive terms]).
    """

    process: Estimate
    observation: Estimate
    order: int
    observation_share: tuple[float, float]
    loss: float
    loss_without_observation_noise: float
    innovation: np.ndarray
    row: np.ndarray
    loudness_range: float

    @property
    def told_apart(self) -> bool:
        """Whether the data say how the noise divides."""
        low, high = self.observation_share
        return high - low <= _UNCLEAR_SHARE


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """Models of one structure for several ratios R / Q, each with its own coefficients (ratio, feature)."""

    model: OneStepModel
    ratios: np.ndarray
    coefficients: np.ndarray
    done: Pass
    loudness: np.ndarray | None

    @property
    def losses(self) -> np.ndarray:
        return self.done.segment_loss().mean(1)

    @property
    def best(self) -> int:
        return int(np.argmin(self.losses))


def separate_noise(segments: Segments, *, polynomial_order: int, rng: np.random.Generator) -> Separation:
    """Fit one-step models of growing order in a filter, then say how process and observation noise divide.

    segments: one response channel. polynomial_order: 1 where the response is known to be linear in its own past.
    """
    few = segments.fewer(_COARSE_SAMPLES, rng)
    best: _Fit | None = None
    n_vain = 0
    for order in range(1, _MAX_ORDER + 1):
        if few.response.shape[1] < 2 * order + _BURN_IN:
            break  # segments too short to judge a longer memory
        fitted = _coarse(few, order, polynomial_order)
        if best is not None and _criterion(fitted) > _criterion(best) - _WORTH_AN_ORDER:
            n_vain += 1
            if n_vain == 2:
                break
            continue
        best, n_vain = fitted, 0
    assert best is not None
    coarse = best
    best = _refined(segments, coarse)
    return _summary(segments, best, coarse, rng)


def _criterion(fitted: _Fit) -> float:
    """Bayesian information criterion, per sample."""
    n = fitted.done.innovation[0].size
    return float(fitted.losses.min()) + 0.5 * fitted.coefficients.shape[1] * np.log(n) / n


def _terms(segments: Segments, order: int, polynomial_order: int) -> np.ndarray:
    n_lags = segments.n_drive_lags
    return polynomial_terms(order, n_lags, segments.drive_terms.shape[2] - n_lags, polynomial_order)


def _coarse(segments: Segments, order: int, polynomial_order: int) -> _Fit:
    terms = _terms(segments, order, polynomial_order)
    rows, target = segments.rows(order)
    features = products(rows.T, terms).T
    n_linear = 1 + order + segments.n_drive_lags
    kept = select_terms(features, target, n_kept=n_linear, n_most=max(_MAX_TERMS, n_linear))
    model = OneStepModel(order, terms[kept])
    start = np.tile(least_squares(features[:, kept], target), (len(_COARSE), 1))
    fitted = _newton(segments, _fit(segments, model, _COARSE, start, None), 2)
    fitted = _newton(segments, _promising(fitted), _STEPS)
    if polynomial_order == 1 or fitted.ratios[fitted.best] == 0.0:
        return fitted
    return _reselected(segments, fitted, terms)


def _promising(fitted: _Fit) -> _Fit:
    """The ratios that may still win, zero always among them."""
    kept = (fitted.losses < fitted.losses.min() + _HOPELESS) | (fitted.ratios == 0.0)
    done = fitted.done
    assert done.sensitivity is not None
    part = Pass(done.innovation[kept], done.variance[kept], done.sensitivity[kept])
    return replace(fitted, ratios=fitted.ratios[kept], coefficients=fitted.coefficients[kept], done=part)


def _reselected(segments: Segments, fitted: _Fit, terms: np.ndarray) -> _Fit:
    """Choose the products again, with what the filter knows: raw samples favour what averages their noise."""
    best = fitted.best
    whole = OneStepModel(fitted.model.n_response, terms)
    where = [int(np.flatnonzero((terms == term).all(1))[0]) for term in fitted.model.terms]
    coefficients = np.zeros((1, len(terms)))
    coefficients[0, where] = fitted.coefficients[best]
    seen = _run(segments, whole, fitted.ratios[best : best + 1], coefficients, fitted.loudness, sensitivity=True)
    assert seen.sensitivity is not None
    weight = 1.0 / np.sqrt(seen.variance[0])
    sensitivity = (seen.sensitivity[0] * weight[..., None]).reshape(-1, len(terms))
    target = (seen.innovation[0] * weight).reshape(-1) + sensitivity @ coefficients[0]
    n_linear = 1 + fitted.model.n_response + segments.n_drive_lags
    kept = select_terms(sensitivity, target, n_kept=n_linear, n_most=max(_MAX_TERMS, n_linear))
    model = OneStepModel(fitted.model.n_response, terms[kept])
    start = np.tile(least_squares(sensitivity[:, kept], target), (len(fitted.ratios), 1))
    again = _newton(segments, _fit(segments, model, fitted.ratios, start, fitted.loudness), _STEPS)
    return again if _criterion(again) < _criterion(fitted) else fitted


def _refined(segments: Segments, coarse: _Fit) -> _Fit:
    """All data, ratios close to the best, and noise as loud as drive and response make it."""
    best = coarse.best
    centre = coarse.ratios[best] if coarse.ratios[best] > 0 else _COARSE[1]
    ratios = np.concatenate(([0.0], centre * _FINE))
    start = np.tile(coarse.coefficients[best], (len(ratios), 1))
    fitted = _newton(segments, _fit(segments, coarse.model, ratios, start, None), _MORE_STEPS)
    loudness = _loudness(segments, fitted)
    louder = _newton(segments, _fit(segments, coarse.model, ratios, fitted.coefficients, loudness), _MORE_STEPS)
    return louder if louder.losses.min() < fitted.losses.min() else fitted


def _loudness(segments: Segments, fitted: _Fit) -> np.ndarray:
    """Q of each step over its mean, from squared innovations against squares of state and drive, (segment, time)."""
    best = fitted.best
    seen = _run(
        segments, fitted.model, fitted.ratios[best : best + 1], fitted.coefficients[best : best + 1], None, keep_rows=True
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
    floored = np.maximum(predicted, 0.02 * max(1e-12, float(predicted.mean())))
    out: np.ndarray = floored / floored.mean()
    return out


def _even_terms(columns: np.ndarray) -> np.ndarray:
    """1, the columns, their magnitudes and squares: what a spread can depend on, (…, term)."""
    return np.concatenate((np.ones((*columns.shape[:-1], 1)), columns, np.abs(columns), columns**2), axis=-1)


def _run(
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
            first_scored=_MAX_ORDER + min(_BURN_IN, segments.response.shape[1] // 4),
            sensitivity=sensitivity,
            keep_rows=keep_rows,
        )


def _fit(
    segments: Segments, model: OneStepModel, ratios: np.ndarray, start: np.ndarray, loudness: np.ndarray | None
) -> _Fit:
    return _Fit(model, ratios, start, _run(segments, model, ratios, start, loudness, sensitivity=True), loudness)


def _newton(segments: Segments, fitted: _Fit, n_steps: int) -> _Fit:
    """Damped Gauss-Newton steps of the coefficients, each ratio on its own."""
    damping = np.full(len(fitted.ratios), 1e-3)
    for _ in range(n_steps):
        proposal = _proposal(fitted, damping)
        tried = _run(segments, fitted.model, fitted.ratios, proposal, fitted.loudness, sensitivity=True)
        old, new = fitted.losses, tried.segment_loss().mean(1)
        better = new < np.where(np.isfinite(old), old, np.inf)
        damping = np.where(better, 0.3 * damping, 10.0 * damping)
        fitted = replace(
            fitted,
            coefficients=np.where(better[:, None], proposal, fitted.coefficients),
            done=_merged(better, tried, fitted.done),
        )
        if not (better & (old - new > _ENOUGH)).any():
            break
    return fitted


def _proposal(fitted: _Fit, damping: np.ndarray) -> np.ndarray:
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


def _summary(segments: Segments, fitted: _Fit, coarse: _Fit, rng: np.random.Generator) -> Separation:
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
    seen = _run(
        segments,
        fitted.model,
        fitted.ratios[best : best + 1],
        fitted.coefficients[best : best + 1],
        fitted.loudness,
        keep_rows=True,
    )
    assert seen.row is not None
    value_process, value_observation = process[0] * segments.scale, observation[0] * segments.scale
    return Separation(
        process=Estimate(
            float(value_process),
            float(max(some_process.std() * segments.scale, 0.5 * abs(value_process - lower))),
        ),
        observation=Estimate(
            float(value_observation),
            float(max(some_observation.std() * segments.scale, 0.5 * abs(upper - value_observation))),
        ),
        order=fitted.model.n_response,
        observation_share=(low, high),
        loss=float(fitted.losses.min()) + float(np.log(segments.scale)),
        loss_without_observation_noise=float(fitted.losses[0]) + float(np.log(segments.scale)),
        innovation=seen.innovation[0] / np.sqrt(seen.scale()[0] * seen.variance[0]),
        row=seen.row[0],
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


def _allowed_shares(fitted: _Fit, coarse: _Fit) -> tuple[float, float]:
    """Shares R / (R + Q) whose likelihood lies within chance of the best."""
    allowed = []
    for one in (fitted, coarse):
        n = one.done.innovation[0].size
        ok = (one.losses - one.losses.min()) * n < _CHANCE
        allowed += [ratio / (1.0 + ratio) for ratio in one.ratios[ok]]
    return float(min(allowed)), float(max(allowed))
