"""How goku_measured.py compares the equation with methods that know none: reconstruction, forecasts, a run over the arrow."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from goku_measured_data import DRIVE_ON, Silverbox, test_starts, training_starts
from goku_measured_equation import Fitted, free_run, with_inferred_start
from goku_measured_rivals import CONTEXT, HORIZON, LENGTH, DriveRival, Rivals

from twins.goku.baselines import TemporalMean
from twins.goku.inference.predictive import predict_course
from twins.goku.observation import KnownObservation
from twins.goku.scoring.scores import nrmse

HORIZONS = (20, 100, HORIZON)
ARROW_START = 20
ARROW_SAMPLES = 40_000
LEVEL = 0.9


def compared(data: Silverbox, fitted: Fitted, rivals: Rivals, *, seed: int) -> dict[str, Any]:
    """Reconstruction and forecast on both tests."""
    figures: dict[str, Any] = {"reconstruction": {}, "forecast": {}, "rmse_mV": {}, "coverage90_forecast": {}}
    for part, starts in test_starts(LENGTH).items():
        whole = data.plain(starts, LENGTH)
        context, truth = whole.span(0, CONTEXT), whole.values
        coming = whole.drive[:, CONTEXT:] if whole.drive is not None else None
        rebuilt, ahead = by_equation(data, fitted, starts, seed=seed)
        low, high = ahead.pop("band")
        made = {"goku": rebuilt["goku"], "naive": TemporalMean().reconstruct(whole)}
        made |= {
            "autoregression": rivals.autoregression.reconstruct(whole),
            "lstm": rivals.autoencoders["reconstruction"].reconstruct(whole),
        }
        for name, rival in (("autoregression", rivals.autoregression), ("lstm", rivals.autoencoders["forecast"])):
            ahead[name] = rival.forecast(context, n_samples=HORIZON, drive=coming)
        ahead["naive"] = TemporalMean().forecast(context, n_samples=HORIZON, drive=coming)
        first = 0 if part == "arrow" else int(starts[0]) - DRIVE_ON
        run = rivals.drive_lstm.at(starts, LENGTH, first)
        made["drive_lstm"], ahead["drive_lstm"] = run, run[:, CONTEXT:]
        figures["reconstruction"][part] = {name: float(nrmse(values, truth).mean()) for name, values in made.items()}
        figures["forecast"][part] = {
            str(h): {
                name: float(nrmse(values[:, :h], truth[:, CONTEXT : CONTEXT + h]).mean())
                for name, values in ahead.items()
            }
            for h in HORIZONS
        }
        figures["rmse_mV"][part] = {
            "reconstruction": {name: rmse_mV(values, truth) for name, values in made.items()},
            "forecast": {name: rmse_mV(values, truth[:, CONTEXT:]) for name, values in ahead.items()},
        }
        inside = (truth[:, CONTEXT:] >= low) & (truth[:, CONTEXT:] <= high)
        figures["coverage90_forecast"][part] = float(inside.mean())
    return flattened(figures)


def flattened(figures: dict[str, Any]) -> dict[str, Any]:
    """The multisine's figures under the usual keys, the arrow's beside them."""
    arrow = {f"{kind}_arrow": figures[kind]["arrow"] for kind in ("reconstruction", "forecast")}
    multisine = {kind: figures[kind]["multisine"] for kind in ("reconstruction", "forecast")}
    for kind, values in arrow.items():
        print(kind, rounded(values))
    return {**figures, **multisine, **arrow}


def by_equation(
    data: Silverbox, fitted: Fitted, starts: np.ndarray, *, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reconstruction and forecast (trace, time, channel) by the equation, at the samples."""
    finer, substeps = fitted.finer, fitted.together.substeps
    whole = data.fine(starts, LENGTH, finer)
    seen = whole.span(0, (CONTEXT - 1) * finer + 1)
    rebuilt = free_run(with_inferred_start(fitted, whole, noisy=False), whole, substeps)[:, ::finer]
    posterior = with_inferred_start(fitted, seen, noisy=True)
    assert whole.drive is not None
    n_forecast = HORIZON * finer
    course = predict_course(
        fitted.system, KnownObservation.of_outputs(fitted.system, ["position"]), seen, posterior,
        n_forecast=n_forecast, drive=whole.drive[:, seen.n_samples :], n_draws=60, substeps=substeps,
        generator=torch.Generator().manual_seed(seed),
    ).part(seen.n_samples, seen.n_samples + n_forecast)  # fmt: skip
    at = slice(finer - 1, None, finer)
    low, high = course.band(LEVEL)
    return {"goku": rebuilt}, {"goku": course.mean()[:, at], "band": (low[:, at], high[:, at])}


def arrow_run(data: Silverbox, fitted: Fitted, rival: DriveRival) -> dict[str, float]:
    """One free run over the whole arrow, as benchmarks of this record do it; rmse in mV: over all of it; "_beyond": of the
    samples at which the response lies beyond all that training showed (the extrapolation); "_after": from the first of these
    on."""
    whole = data.fine(np.array([0]), ARROW_SAMPLES, fitted.finer)
    some = whole.span(0, 400 * fitted.finer)
    start = with_inferred_start(fitted, some, noisy=False)
    run = free_run(start, whole, fitted.together.substeps)[0, :: fitted.finer, 0]
    largest = float(np.abs(data.plain(training_starts(8_000, 1), 8_000).values).max())
    lstm = rival.at(np.array([0]), ARROW_SAMPLES, 0)[0, :, 0]
    truth = data.response[:ARROW_SAMPLES]
    return {
        f"{name}_{what}": value
        for name, made in (("goku", run), ("drive_lstm", lstm))
        for what, value in errors_beyond(made, truth, largest).items()
    }


def errors_beyond(made: np.ndarray, truth: np.ndarray, largest: float) -> dict[str, float]:
    """rmse (mV) of a run (time,) in V over all, where |truth| > largest, and from the first such sample on."""
    counted = np.arange(len(truth)) >= ARROW_START
    beyond = counted & (np.abs(truth) > largest)
    after = np.maximum.accumulate(beyond)
    spans = {"rmse_mV": counted, "rmse_mV_beyond": beyond, "rmse_mV_after": after}
    errors = {name: rmse_mV(made[span], truth[span]) for name, span in spans.items() if span.any()}
    return {**errors, "samples_beyond": float(beyond.sum()), "samples_after": float(after.sum())}


def rmse_mV(made: np.ndarray, truth: np.ndarray) -> float:
    """Of all stretches together."""
    return float(1e3 * np.sqrt(np.mean((made - truth) ** 2)))


def rounded(value: Any) -> Any:
    """For the screen."""
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value
