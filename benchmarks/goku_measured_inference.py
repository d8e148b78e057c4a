"""What goku_measured.py says of the inferred equation: parameters, whether intervals agree, what cannot be told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from goku_measured_data import Silverbox, duffing, physical, training_starts
from goku_measured_equation import Fitted, refined

from labctl.campaigns.told import drained
from twins.goku.diagnosis.identifiability import identifiability
from twins.goku.diagnosis.profile import ProfileSettings, profile
from twins.goku.observation import KnownObservation
from twins.goku.posterior import Guess, Posterior

PUBLISHED = {
    "natural_frequency": 68.58,
    "damping_ratio": 4.68,
    "hardening_by_stiffness": 3.97,
    "asymmetry_by_stiffness": -0.26,
}


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


def in_physical_units(posterior: Posterior) -> Posterior:
    """The same draws as what people ask for."""
    told = physical(posterior.parameters, posterior.parameter_names)
    return replace(
        posterior,
        parameters=np.stack([values for _, values in told.values()], axis=-1),
        parameter_names=tuple(told),
        parameter_units=tuple(unit for unit, _ in told.values()),
    )


def stated(fitted: Fitted) -> list[dict[str, Any]]:
    """The parameters of all stretches together, in physical units with 90 % intervals, and each stretch's alone."""
    together = in_physical_units(fitted.together.posterior.select([0]))
    low, middle, high = together.quantiles((0.05, 0.5, 0.95))[:, 0]
    told = physical(fitted.alone.posterior.median(), fitted.system.parameter_names)
    rows: list[dict[str, Any]] = [
        {
            "name": name, "unit": unit, "estimate": float(middle[k]), "low": float(low[k]), "high": float(high[k]),
            "stretches_alone": told[name][1], "published_elsewhere": PUBLISHED.get(name),
        }
        for k, (name, unit) in enumerate(zip(together.parameter_names, together.parameter_units, strict=True))
    ]  # fmt: skip
    noise = 1e3 * fitted.together.estimate.noise_sd[:, 0]
    rows.append({"name": "observation_noise", "unit": "mV", "estimate": float(np.median(noise)),
                 "low": float(noise.min()), "high": float(noise.max()), "note": "range over stretches"})  # fmt: skip
    return rows


def agreement(fitted: Fitted) -> dict[str, Any]:
    """Do independent stretches agree within their intervals? spread_by_stated: root of chi² a degree of freedom about the
    weighted mean, 1 where the intervals are right; covers90: share of intervals of one stretch that hold the weighted
    mean of the others (widened by its own error)."""
    figures: dict[str, Any] = {}
    for kind, found in (("with_process_noise", fitted.alone), ("without_process_noise", fitted.alone_exact)):
        posterior = in_physical_units(found.posterior)
        columns = zip(posterior.parameter_names, posterior.mean().T, posterior.sd().T, strict=True)
        rows = {name: _agreement_of(mean, sd) for name, mean, sd in columns}
        figures[kind] = {
            "n_stretches": posterior.n_traces,
            "covers90": float(np.mean([row["covers90"] for row in rows.values()])),
            "parameters": rows,
            "trusted": int(posterior.trusted.sum()),
        }
    return figures


def _agreement_of(mean: np.ndarray, sd: np.ndarray) -> dict[str, float]:
    """Of one parameter: (stretch,) each."""
    precision = 1.0 / sd**2
    centre = (precision * mean).sum() / precision.sum()
    chi = (precision * (mean - centre) ** 2).sum() / (len(mean) - 1)
    others = precision.sum() - precision
    centre_of_others = ((precision * mean).sum() - precision * mean) / others
    inside = np.abs(mean - centre_of_others) < 1.645 * np.sqrt(sd**2 + 1.0 / others)
    return {
        "spread_by_stated": float(np.sqrt(chi)),
        "covers90": float(inside.mean()),
        "relative_spread": float(mean.std(ddof=1) / abs(mean.mean())),
    }


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
