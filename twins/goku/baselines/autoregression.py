"""Vector autoregression: the next sample as a linear function of the last ones, fitted by ridge regression.

Many channels are forecast on their principal components. Order and ridge are those with the least error of free runs on
held-out traces, which is what the method is asked for later, not the one-step error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from twins.errors import SeriesInvalid
from twins.goku.baselines.drives import checked_drive
from twins.goku.baselines.scaling import filled
from twins.goku.baselines.training import held_out
from twins.goku.direct.principal import PrincipalComponents
from twins.goku.series import Series

_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoregressionSettings:
    """orders and ridges to choose from (ridge: a share of the mean squared input). context_samples: of the traces that
    will be forecast, which bounds the order; horizon_samples: of the free runs that are compared."""

    orders: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
    ridges: tuple[float, ...] = (1e-10, 1e-8, 1e-6, 1e-4, 1e-2)
    context_samples: int | None = None
    horizon_samples: int = 20
    kept_variance: float = 1.0 - 1e-6
    most_components: int = 32


@dataclass(frozen=True, slots=True, eq=False)
class VectorAutoregression:
    """score[t+1] = Σ_l past[l] score[t-l] + Σ_l drive[l] u[t+1-l] + constant, in scaled principal components.

    weights: (order · component + (order + 1) · drive + 1, component), newest lag first. order, ridge: as chosen.
    """

    order: int
    ridge: float
    components: PrincipalComponents
    scale: float
    weights: Float64[np.ndarray, "input component"]

    def reconstruct(self, series: Series) -> Float64[np.ndarray, "trace time channel"]:
        """A free run from the first `order` samples, which are shown as the components hold them."""
        scores, drive = self._scores(series), _drive_of(series)
        start = scores[:, : self.order]
        run = self._run(start, drive, series.n_samples - self.order)
        return self.components.values(np.concatenate((start, run), axis=1) * self.scale)

    def forecast(
        self, series: Series, *, n_samples: int, drive: np.ndarray | None = None
    ) -> Float64[np.ndarray, "trace time channel"]:
        """The n_samples after the last one. drive: (trace, n_samples, drive channel), at them."""
        coming = checked_drive(series, n_samples, drive)
        scores = self._scores(series)[:, -self.order :]
        past = _drive_of(series)[:, -self.order :]
        whole = past if coming is None else np.concatenate((past, coming), axis=1)
        if coming is None:
            whole = np.zeros((series.n_traces, self.order + n_samples, 0))
        return self.components.values(self._run(scores, whole, n_samples) * self.scale)

    def _scores(self, series: Series) -> np.ndarray:
        if series.n_samples < self.order:
            raise SeriesInvalid(
                f"the autoregression looks {self.order} samples back; traces of {series.n_samples} are too short. "
                "Fit it with context_samples set to what it will be asked with"
            )
        scores: np.ndarray = self.components.scores(filled(series)) / self.scale
        return scores

    def _run(self, past: np.ndarray, drive: np.ndarray, n_samples: int) -> np.ndarray:
        """past: (trace, order, component); drive: (trace, order + n_samples, drive), from the first of them on."""
        with np.errstate(over="ignore", invalid="ignore"):  # a run that explodes is told by inf, and never chosen
            return _free_run(past, drive, n_samples, self.weights, self.order)


def fit_autoregression(
    series: Series, validation: Series | None = None, *, settings: AutoregressionSettings | None = None
) -> VectorAutoregression:
    """Least squares on all traces for every order and ridge; the pair that forecasts `validation` best.

    Gaps are bridged by straight lines. Raises SeriesInvalid where traces are too short for the least order.
    """
    settings = settings or AutoregressionSettings()
    if validation is None:
        series, validation = held_out(series)
    components = PrincipalComponents.of(series, kept=settings.kept_variance, largest=settings.most_components)
    scale = float(np.sqrt(components.variances.sum() / components.n_components))
    context = min(settings.context_samples or validation.n_samples, validation.n_samples - settings.horizon_samples)
    orders = [order for order in settings.orders if order <= min(context, series.n_samples - 1)]
    if not orders:
        raise SeriesInvalid(
            f"traces of {validation.n_samples} samples are too short for a forecast of {settings.horizon_samples} "
            f"with order {min(settings.orders)}"
        )
    moments = _Moments.of(series, components, scale, max(orders))
    best: tuple[float, VectorAutoregression] | None = None
    for order in orders:
        for ridge in settings.ridges:
            model = VectorAutoregression(order, ridge, components, scale, moments.weights(order, ridge))
            error = _forecast_error(model, validation, context, settings.horizon_samples)
            if best is None or error < best[0]:
                best = (error, model)
    assert best is not None
    return best[1]


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """Inner products of inputs and targets at the largest order, of which lower orders take a part."""

    gram: np.ndarray
    cross: np.ndarray
    n: int
    n_components: int
    n_drives: int
    largest: int

    @classmethod
    def of(cls, series: Series, components: PrincipalComponents, scale: float, largest: int) -> _Moments:
        n_drives = 0 if series.drive is None else series.drive.shape[-1]
        width = largest * components.n_components + (largest + 1) * n_drives + 1
        gram, cross, n = np.zeros((width, width)), np.zeros((width, components.n_components)), 0
        for start in range(0, series.n_traces, _AT_ONCE):
            part = series.select(np.arange(start, min(start + _AT_ONCE, series.n_traces)))
            scores, drive = components.scores(filled(part)) / scale, _drive_of(part)
            n_rows = part.n_samples - largest
            inputs = _inputs(scores, drive, largest, largest, n_rows).reshape(-1, width)
            targets = scores[:, largest:].reshape(-1, components.n_components)
            gram, cross, n = gram + inputs.T @ inputs, cross + inputs.T @ targets, n + len(inputs)
        return cls(gram, cross, n, components.n_components, n_drives, largest)

    def weights(self, order: int, ridge: float) -> np.ndarray:
        past, driven = self.largest * self.n_components, (order + 1) * self.n_drives
        index = np.r_[0 : order * self.n_components, past : past + driven, len(self.gram) - 1]
        gram, cross = self.gram[np.ix_(index, index)], self.cross[index]
        penalty = np.full(len(index), ridge * float(np.trace(gram)) / len(index))
        penalty[-1] = 1e-12 * self.n  # the constant is free
        return np.linalg.solve(gram + np.diag(penalty), cross)


def _inputs(scores: np.ndarray, drive: np.ndarray, first: int, order: int, n_rows: int) -> np.ndarray:
    """(trace, row, input) to predict samples first, first + 1 …: scores and drive, newest first, and a one."""
    lags = [scores[:, first - lag : first - lag + n_rows] for lag in range(1, order + 1)]
    driven = [drive[:, first - lag : first - lag + n_rows] for lag in range(order + 1)]
    return np.concatenate((*lags, *driven, np.ones((len(scores), n_rows, 1))), axis=-1)


def _free_run(past: np.ndarray, drive: np.ndarray, n_samples: int, weights: np.ndarray, order: int) -> np.ndarray:
    scores = np.concatenate((past, np.zeros((len(past), n_samples, past.shape[-1]))), axis=1)
    for now in range(order, order + n_samples):
        scores[:, now] = _inputs(scores, drive, now, order, 1)[:, 0] @ weights
    return scores[:, order:]


def _forecast_error(model: VectorAutoregression, validation: Series, context: int, horizon: int) -> float:
    """Mean squared error of the scores, over windows spread over the held-out traces."""
    scores, drive = model.components.scores(filled(validation)) / model.scale, _drive_of(validation)
    order, errors = model.order, []
    last = validation.n_samples - horizon
    for end in np.unique(np.linspace(min(context, last), last, 8).astype(int)):
        run = model._run(scores[:, end - order : end], drive[:, end - order : end + horizon], horizon)
        errors.append(np.square(run - scores[:, end : end + horizon]).mean())
    error = float(np.mean(errors))
    return error if np.isfinite(error) else float("inf")


def _drive_of(series: Series) -> np.ndarray:
    return np.zeros((*series.values.shape[:2], 0)) if series.drive is None else series.drive
