"""MEASURED data: a Duffing equation with noise of its own, inferred from the Silverbox, against methods without equation.

    python benchmarks/goku_measured.py --data SNLS80mV.csv --json goku_measured.json

The data (V1 drive, V2 response, 610.35 Hz; nonlinearbenchmark.org, Wigren and Schoukens 2013) are not part of this
repository. Training: nine multisine realisations; tests: the tenth, and the "arrow", noise whose amplitude grows beyond
anything in training. The circuit is told to be a driven Duffing oscillator: velocity hidden, a spring that may be
lopsided, strength of the process noise and of the observation noise unknown.

The way: a network trained on SIMULATIONS guesses the parameters of every stretch (amortised posterior); the likelihood
(cubature Kalman filter) refines the guess for each stretch alone, and for all of them as one group. That the stretches
alone agree within their stated intervals is the check of the intervals, on measured data: the same is done without
process noise, where the intervals take the equation as exact. Where the stretches still differ by more than stated
(the offset does: it drifts from one to the next), the interval of all together is too narrow by `spread_by_stated`.
About nine samples make a period, so neither Euler's
steps nor a drive held at its samples will do: the drive is interpolated (it is band-limited) and the steps of the
solver are as many as the likelihood asks for; `drive_check` shows what each is worth.

Forecasts: from 128 samples on, with the future drive given, 20, 100 and 500 samples ahead. Reconstruction: a free run
from the first sample through all 628, the initial state by those samples. Rivals: naive; vector autoregression, orders
up to 64 chosen by held-out forecasts; the LSTM autoencoder with the drive as an input; the LSTM of silverbox.py, which
turns the whole drive since the part's beginning into the response and is handed no response at all. All see the same
training samples, and the drive up to two samples ahead. NRMSE = sqrt(mean error²) / mean |value| of each stretch,
averaged over stretches; "rmse_mV" of all stretches together.

Figures of others, leads only (see silverbox.py): about 0.3 mV over the arrow for polynomial nonlinear state space. The
circuit's own parameters, from another recording of it at another rate: natural frequency 68.58 Hz and damping ratio
4.68 % at a low level, cubic coefficient 3.96 to 3.98, quadratic -0.26 (Noël and Schoukens, Int. J. Control 91, 2018,
doi 10.1080/00207179.2017.1308557; as the public examples of pyvib quote it, the paper itself was not read).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from goku_measured_data import DRIVE_ON, Silverbox, duffing, physical, test_starts, training_starts
from goku_measured_equation import Fitted, fit_equation, free_run, refined, with_inferred_start
from goku_measured_rivals import DriveRival, fit_rivals
from measuring import read_options, write_results

from twins.goku.baselines import TemporalMean
from twins.goku.identifiability import identifiability
from twins.goku.observation import KnownObservation
from twins.goku.posterior import Guess
from twins.goku.predictive import predict_course
from twins.goku.profile import ProfileSettings, profile

HORIZONS, CONTEXT = (20, 100, 500), 128
LENGTH = CONTEXT + HORIZONS[-1]
ARROW_START = 20
LEVEL = 0.9
PUBLISHED = {
    "natural_frequency": 68.58,
    "damping_ratio": 4.68,
    "hardening_by_stiffness": 3.97,
    "asymmetry_by_stiffness": -0.26,
}
T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> None:
    """Infer, compare, write."""
    options = read_options(__doc__, more=add_options, arguments=arguments)
    torch.set_num_threads(min(2, torch.get_num_threads()))
    began = time.perf_counter()
    data = Silverbox.read(options.data, (1, 2, 4))
    length = options.length or (300 if options.quick else 1500)
    fitted = fit_equation(data, length=length, quick=options.quick, seed=options.seed)
    drive_check = checked_drive(data, fitted, length, options.seed)
    figures: dict[str, Any] = {
        "parameters": stated(fitted),
        "interval_check": agreement(fitted),
        "identifiability": told_apart(data, fitted, length),
        "drive_check": drive_check,
        "substeps": fitted.together.substeps,
        "solver_error_sd": float(fitted.together.solver_error.max()),
        "seconds_inference": fitted.seconds,
        "amortised_guess": fitted.guesses,
    }
    print_inference(figures)
    rivals = fit_rivals(data, seconds=options.lstm_seconds or (60.0 if options.quick else 300.0), seed=options.seed)
    figures |= compared(data, fitted, rivals, seed=options.seed)
    figures |= {"arrow_free_run": arrow_run(data, fitted, rivals["drive_lstm"])}
    figures |= {"measured_data": True, "simulated": False, "seconds": time.perf_counter() - began}
    for kind in ("reconstruction", "forecast", "rmse_mV", "coverage90_forecast", "arrow_free_run"):
        print(kind, {name: rounded(value) for name, value in figures[kind].items()})
    write_results(options, figures)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this benchmark alone takes."""
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="SNLS80mV.csv")
    parser.add_argument("--length", type=int, help="samples of a training stretch (default 1500; quick: 300)")
    parser.add_argument("--lstm-seconds", type=float, help="training time of each LSTM (default 300; quick: 60)")


def rounded(value: Any) -> Any:
    """For the screen."""
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def drained(events: Generator[Any, None, T]) -> T:
    """The result of a generator of events."""
    while True:
        try:
            next(events)
        except StopIteration as stopped:
            result: T = stopped.value
            return result


def checked_drive(data: Silverbox, fitted: Fitted, length: int, seed: int) -> dict[str, Any]:
    """What the noise-free equation leaves over (mV, its noise sd) by the steps a sample in which the drive is held; and the
    solver's steps within each that the likelihood asked for."""
    starts, rows = training_starts(length, 1)[:3], {}
    known = fitted.alone_exact.estimate
    guess = Guess(known.parameters[:3], known.initial[:3], known.noise_sd[:3])
    for finer in (1, 2, 4):
        series = data.fine(starts, length, finer, shared=True)
        found = refined(duffing(noisy=False), series, guess, seed=seed, n_starts=1)
        noise = float(1e3 * found.estimate.noise_sd.mean())
        rows[str(finer)] = {
            "noise_sd_mV": noise,
            "solver_substeps": found.substeps,
            "converged": bool(found.converged.all()),
        }
        print(f"drive in {finer} steps a sample: {noise:.3f} mV left, {found.substeps} solver steps in each")
    return rows


def stated(fitted: Fitted) -> list[dict[str, Any]]:
    """The parameters of all stretches together, in physical units with 90 % intervals, and each stretch's alone."""
    draws, weights = fitted.together.posterior.parameters[0], fitted.together.posterior.weights[0]
    names = fitted.system.parameter_names
    rows = []
    alone = physical(fitted.alone.posterior.median(), names)
    for name, (unit, values) in physical(draws, names).items():
        low, middle, high = quantiles(values, weights, (0.05, 0.5, 0.95))
        rows.append({
            "name": name, "unit": unit, "estimate": middle, "low": low, "high": high,
            "stretches_alone": alone[name][1], "published_elsewhere": PUBLISHED.get(name),
        })  # fmt: skip
    noise = 1e3 * fitted.together.estimate.noise_sd[:, 0]
    rows.append({"name": "observation_noise", "unit": "mV", "estimate": float(np.median(noise)),
                 "low": float(noise.min()), "high": float(noise.max()), "note": "range over stretches"})  # fmt: skip
    return rows


def quantiles(values: np.ndarray, weights: np.ndarray, levels: tuple[float, ...]) -> tuple[float, ...]:
    """Weighted."""
    order = np.argsort(values)
    below = np.cumsum(weights[order]) - 0.5 * weights[order]
    return tuple(float(np.interp(level, below, values[order])) for level in levels)


def agreement(fitted: Fitted) -> dict[str, Any]:
    """Do independent stretches agree within their intervals? spread_by_stated: root of chi² a degree of freedom about the
    weighted mean, 1 where the intervals are right; covers90: share of intervals of one stretch that hold the weighted
    mean of the others (widened by its own error)."""
    figures: dict[str, Any] = {}
    for kind, found in (("with_process_noise", fitted.alone), ("without_process_noise", fitted.alone_exact)):
        names = found.posterior.parameter_names
        rows, covered = {}, []
        drawn = physical(found.posterior.parameters, names)
        for name, (_, draws) in drawn.items():
            weights = found.posterior.weights
            mean = (weights * draws).sum(1)
            sd = np.sqrt((weights * (draws - mean[:, None]) ** 2).sum(1))
            precision = 1.0 / sd**2
            centre = (precision * mean).sum() / precision.sum()
            chi = (precision * (mean - centre) ** 2).sum() / (len(mean) - 1)
            inside = []
            for k in range(len(mean)):
                others = np.delete(precision, k)
                centre_of_others = (others * np.delete(mean, k)).sum() / others.sum()
                width = np.sqrt(sd[k] ** 2 + 1.0 / others.sum())
                inside.append(abs(mean[k] - centre_of_others) < 1.645 * width)
            rows[name] = {
                "spread_by_stated": float(np.sqrt(chi)), "covers90": float(np.mean(inside)),
                "relative_spread": float(mean.std(ddof=1) / abs(mean.mean())),
            }  # fmt: skip
            covered += inside
        figures[kind] = {
            "n_stretches": len(found.posterior.weights), "covers90": float(np.mean(covered)), "parameters": rows,
            "trusted": int(found.posterior.trusted.sum()),
        }  # fmt: skip
    return figures


def told_apart(data: Silverbox, fitted: Fitted, length: int) -> dict[str, Any]:
    """The identifiability report of all stretches together, in words, and a profile of the damping by one of them."""
    starts = training_starts(length, 1)
    system, observation = fitted.system, KnownObservation.of_outputs(fitted.system, ["position"])
    series = data.fine(starts, length, fitted.finer, shared=True)
    report = identifiability(
        system, observation, series, fitted.together.estimate,
        posterior=fitted.together.posterior, substeps=fitted.together.substeps,
    )[0]  # fmt: skip
    one = data.fine(starts[:1], length, fitted.finer)
    exact = duffing(noisy=False)
    estimate = Guess(*(part[:1] for part in (
        fitted.alone_exact.estimate.parameters, fitted.alone_exact.estimate.initial, fitted.alone_exact.estimate.noise_sd
    )))  # fmt: skip
    (shape,) = drained(
        profile(
            exact, observation, one, estimate, "damping", settings=ProfileSettings(substeps=fitted.together.substeps)
        )
    )
    return {"lines": report.lines(), "condition_number": report.condition_number, "profile_damping": shape.lines()}


def print_inference(figures: dict[str, Any]) -> None:
    """For the screen."""
    for row in figures["parameters"]:
        print(f"{row['name']:24} {row['estimate']:10.5g} {row['unit']:8} {row['low']:.5g} .. {row['high']:.5g}")
    for kind, check in figures["interval_check"].items():
        spread = {name: round(row["spread_by_stated"], 2) for name, row in check["parameters"].items()}
        print(f"{kind}: {check['covers90']:.2f} of 90 % intervals hold the others' mean; spread by stated {spread}")
    print(*figures["identifiability"]["lines"], *figures["identifiability"]["profile_damping"], sep="\n")


def compared(data: Silverbox, fitted: Fitted, rivals: dict[str, Any], *, seed: int) -> dict[str, Any]:
    """Reconstruction and forecast on both tests."""
    figures: dict[str, Any] = {"reconstruction": {}, "forecast": {}, "rmse_mV": {}, "coverage90_forecast": {}}
    for part, starts in test_starts(LENGTH).items():
        whole = data.plain(starts, LENGTH)
        context, truth = whole.span(0, CONTEXT), whole.values
        coming = whole.drive[:, CONTEXT:] if whole.drive is not None else None
        rebuilt, ahead = by_equation(data, fitted, starts, seed=seed)
        low, high = ahead.pop("band")
        made = {"goku": rebuilt["goku"], "naive": TemporalMean().reconstruct(whole)}
        for name in ("autoregression", "lstm"):
            made[name] = rivals[name].reconstruct(whole)
            ahead[name] = rivals[name].forecast(context, n_samples=HORIZONS[-1], drive=coming)
        ahead["naive"] = TemporalMean().forecast(context, n_samples=HORIZONS[-1], drive=coming)
        first = 0 if part == "arrow" else int(starts[0]) - DRIVE_ON
        run = rivals["drive_lstm"].at(starts, LENGTH, first)
        made["drive_lstm"], ahead["drive_lstm"] = run, run[:, CONTEXT:]
        figures["reconstruction"][part] = {name: nrmse(values, truth) for name, values in made.items()}
        figures["forecast"][part] = {
            str(h): {name: nrmse(values[:, :h], truth[:, CONTEXT : CONTEXT + h]) for name, values in ahead.items()}
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
    n_forecast = HORIZONS[-1] * finer
    course = predict_course(
        fitted.system, KnownObservation.of_outputs(fitted.system, ["position"]), seen, posterior,
        n_forecast=n_forecast, drive=whole.drive[:, seen.n_samples :], n_draws=60, substeps=substeps,
        generator=torch.Generator().manual_seed(seed),
    ).part(seen.n_samples, seen.n_samples + n_forecast)  # fmt: skip
    at = slice(finer - 1, None, finer)
    low, high = course.band(LEVEL)
    return {"goku": rebuilt}, {"goku": course.mean()[:, at], "band": (low[:, at], high[:, at])}


def arrow_run(data: Silverbox, fitted: Fitted, rival: DriveRival) -> dict[str, float]:
    """One free run over the whole arrow, as benchmarks of this record do it; rmse in mV, also where the response lies beyond
    what training showed (the extrapolation)."""
    n_samples = 40_000
    whole = data.fine(np.array([0]), n_samples, fitted.finer)
    some = whole.span(0, 400 * fitted.finer)
    run = free_run(with_inferred_start(fitted, some, noisy=False), whole, fitted.together.substeps)[
        0, :: fitted.finer, 0
    ]
    truth = data.response[:n_samples]
    largest = np.abs(data.plain(training_starts(8_000, 1), 8_000).values).max()
    beyond = int(np.flatnonzero(np.abs(truth) > largest)[0])
    lstm = rival.at(np.array([0]), n_samples, 0)[0, :, 0]
    figures = {"first_sample_beyond_range": float(beyond)}
    for name, made in (("goku", run), ("drive_lstm", lstm)):
        error = 1e3 * (made - truth)[ARROW_START:]
        figures[f"{name}_rmse_mV"] = float(np.sqrt(np.mean(error**2)))
        figures[f"{name}_rmse_mV_tail"] = float(np.sqrt(np.mean(error[beyond - ARROW_START :] ** 2)))
    return figures


def nrmse(made: np.ndarray, truth: np.ndarray) -> float:
    """sqrt(mean error²) / mean |value| of each stretch, averaged."""
    error = np.sqrt(np.mean((made - truth) ** 2, axis=(1, 2))) / np.abs(truth).mean(axis=(1, 2))
    return float(error.mean())


def rmse_mV(made: np.ndarray, truth: np.ndarray) -> float:
    """Of all stretches together."""
    return float(1e3 * np.sqrt(np.mean((made - truth) ** 2)))


if __name__ == "__main__":
    main()
