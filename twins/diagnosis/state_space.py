"""Process noise against observation noise: the likelihood of an extended Kalman filter around a one-step model.

    x[k+1] = f(x[k] …, drive) + w,  w ~ N(0, Q)        y[k] = x[k] + e,  e ~ N(0, R)

White observation noise enters f at the next steps, process noise does not: so the innovations of a filter with the
wrong ratio R / Q keep a structure, and the likelihood says which ratio is right. f is linear in its coefficients; the
sensitivity of the innovations to them follows the filter's own recursion (Ljung, System Identification, 2nd ed.,
section 7.4), so Gauss-Newton fits them together with the ratio. All ratios run side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.diagnosis.features import OneStepModel, products


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One run of the filter for all ratios, in units where Q = 1.

    innovation, variance: (ratio, segment, time). sensitivity: (ratio, segment, time, feature) or None; row: what the
    model saw, (ratio, segment, time, column) or None.
    """

    innovation: np.ndarray
    variance: np.ndarray
    sensitivity: np.ndarray | None = None
    row: np.ndarray | None = None

    def scale(self) -> np.ndarray:
        """Q at its likeliest, (ratio,)."""
        out: np.ndarray = (self.innovation**2 / self.variance).mean((1, 2))
        return out

    def segment_loss(self) -> np.ndarray:
        """Negative log likelihood a sample, each ratio at its likeliest Q, (ratio, segment), up to a constant."""
        scale = self.scale()[:, None, None]
        loss: np.ndarray = 0.5 * (np.log(scale * self.variance) + self.innovation**2 / (scale * self.variance)).mean(2)
        return loss


def run_filter(
    model: OneStepModel,
    coefficients: np.ndarray,
    ratios: np.ndarray,
    response: np.ndarray,
    drive_terms: np.ndarray,
    *,
    loudness: np.ndarray | None = None,
    first_scored: int = 0,
    sensitivity: bool = False,
    keep_rows: bool = False,
) -> Pass:
    """Filter (segment, time) responses with every ratio R / Q and its coefficients (ratio, feature).

    drive_terms: (segment, time, term), where terms at k act on the step from k to k + 1. loudness: (segment, time),
    Q of the step from k to k + 1 over its mean. first_scored: predictions of samples before it are left out.
    """
    order, n_time = model.n_response, response.shape[1]
    shape = (len(ratios), len(response))  # the last axes of all that follows: long contiguous rows
    state = np.stack([np.broadcast_to(response[:, order - 1 - lag], shape) for lag in range(order)])
    covariance = np.eye(order)[:, :, None, None] * np.broadcast_to(ratios[:, None], shape)
    slope_terms, slope_weights = model.slope_form(coefficients)
    moved = np.zeros((order, len(model.terms), *shape)) if sensitivity else None
    row = np.ones((1 + order + drive_terms.shape[2], *shape))
    innovations, variances, sensitivities, rows = [], [], [], []
    for k in range(order - 1, n_time - 1):
        row[1 : 1 + order] = state
        row[1 + order :] = drive_terms[:, k].T[:, None]
        features = products(row, model.terms)
        slopes = np.einsum("oml,mls->ols", slope_weights, products(row, slope_terms))
        predicted = np.einsum("lf,fls->ls", coefficients, features)
        carried = np.einsum("ils,ijls->jls", slopes, covariance)
        ahead = np.empty_like(covariance)
        ahead[0, 0] = (carried * slopes).sum(0) + (1.0 if loudness is None else loudness[:, k])
        ahead[0, 1:] = ahead[1:, 0] = carried[:-1]
        ahead[1:, 1:] = covariance[:-1, :-1]
        variance = ahead[0, 0] + ratios[:, None]
        gain = ahead[0] / variance
        innovation = response[:, k + 1] - predicted
        scored = k + 1 >= first_scored
        if scored and keep_rows:
            rows.append(row.copy())
        if moved is not None:
            ahead_moved = features + np.einsum("ils,ifls->fls", slopes, moved)
            if scored:
                sensitivities.append(ahead_moved)
            moved = np.concatenate((ahead_moved[None], moved[:-1])) - gain[:, None] * ahead_moved
        state = np.concatenate((predicted[None], state[:-1])) + gain * innovation
        covariance = ahead - gain[:, None] * gain * variance
        if scored:
            innovations.append(innovation)
            variances.append(variance)
    return Pass(
        np.stack(innovations, axis=-1),
        np.stack(variances, axis=-1),
        np.moveaxis(np.stack(sensitivities), (0, 1), (2, 3)) if sensitivity else None,
        np.moveaxis(np.stack(rows), (0, 1), (2, 3)) if keep_rows else None,
    )
