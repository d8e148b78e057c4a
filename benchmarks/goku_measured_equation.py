"""The equation's side of goku_measured.py: guess by a network, refinement, the state at the beginning of a stretch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from goku_measured_data import NOISE_SD_RANGE_V, Silverbox, duffing, physical, training_starts

from labctl.campaigns.told import drained
from twins.goku.amortised.fit import fit_amortised
from twins.goku.amortised.settings import AmortisedSettings
from twins.goku.inference.climb import scoring_step
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.inference.refine import Refined, RefineSettings, refine
from twins.goku.observation import KnownObservation
from twins.goku.posterior import Guess, Posterior
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.trajectories import solve_guarded

GUESSED_SAMPLES = 128
FINER = 2
SUBSTEPS = 2  # of each of these: 0.3 standard deviations of error over 300 samples, by solver_error (1: 4.4, 4: 0.08)


@dataclass(frozen=True)
class Fitted:
    """alone: every stretch by itself; together: all as one group; alone_exact: by itself, without process noise."""

    system: System
    finer: int
    alone: Refined
    together: Refined
    alone_exact: Refined
    guesses: dict[str, Any]
    seconds: dict[str, float]


def fit_equation(data: Silverbox, *, length: int, quick: bool, seed: int) -> Fitted:
    """Guess by a network trained on simulations, then refine."""
    system, exact, starts, seconds = duffing(noisy=True), duffing(noisy=False), training_starts(length, 1), {}
    began = time.perf_counter()
    guess, guesses = amortised_guess(system, data, starts, quick=quick, seed=seed)
    seconds["amortised"] = time.perf_counter() - began
    began = time.perf_counter()
    of_exact = Guess(guess.parameters[:, :-1], guess.initial, guess.noise_sd)
    alone_exact = refined(exact, data.fine(starts, length, FINER), of_exact, seed=seed, n_starts=4)
    better = Guess(
        np.concatenate((alone_exact.estimate.parameters, guess.parameters[:, -1:]), axis=1),
        alone_exact.estimate.initial,
        alone_exact.estimate.noise_sd,
    )
    seconds["refined_exact"] = time.perf_counter() - began
    began = time.perf_counter()
    alone = refined(system, data.fine(starts, length, FINER), better, seed=seed, n_starts=1, substeps=SUBSTEPS)
    seconds["refined_alone"] = time.perf_counter() - began
    began = time.perf_counter()
    shared = data.fine(starts, length, FINER, shared=True)
    together = refined(system, shared, alone.estimate, seed=seed, n_starts=1, substeps=SUBSTEPS)
    seconds["refined_together"] = time.perf_counter() - began
    print("seconds", {name: round(value) for name, value in seconds.items()})
    return Fitted(system, FINER, alone, together, alone_exact, guesses, seconds)


def amortised_guess(
    system: System, data: Silverbox, starts: np.ndarray, *, quick: bool, seed: int
) -> tuple[Guess, dict[str, Any]]:
    """By the first samples of every stretch; the network is trained with the drives of many stretches."""
    design = data.fine(training_starts(GUESSED_SAMPLES, 40), GUESSED_SAMPLES, 1)
    settings = AmortisedSettings(
        chunk=4096,
        chunks=12,
        passes=2,
        held_out=512,
        calibration=1024,
        max_seconds=60.0 if quick else 300.0,
        substeps=2,
    )
    observation = KnownObservation.of_outputs(system, ["position"])
    network = drained(
        fit_amortised(system, observation, design, noise_sd_range=NOISE_SD_RANGE_V, seed=seed, settings=settings)
    )
    seen = data.fine(starts, GUESSED_SAMPLES, 1)
    posterior = network.infer(seen, 500, generator=torch.Generator().manual_seed(seed))
    told = physical(posterior.parameters, system.parameter_names)
    guesses = {
        name: {"median": np.median(values, axis=1), "sd": values.std(axis=1), "unit": unit}
        for name, (unit, values) in told.items()
    }
    frequency = guesses["natural_frequency"]
    print(
        f"network: natural frequency {np.median(frequency['median']):.2f} +- {np.median(frequency['sd']):.2f} Hz a stretch"
    )
    return Guess.of(posterior), {**guesses, "trusted": int(posterior.trusted.sum())}


def refined(
    system: System, series: Series, guess: Guess | None, *, seed: int, n_starts: int, substeps: int | None = None
) -> Refined:
    """As users refine. substeps: None: as many as the likelihood asks for."""
    settings = RefineSettings(
        noise_sd_range=NOISE_SD_RANGE_V,
        n_starts=n_starts,
        n_spans=3 if n_starts > 1 else 1,
        sampler="none",
        substeps=substeps,
    )
    observation, began = KnownObservation.of_outputs(system, ["position"]), time.process_time()
    found = drained(refine(system, observation, series, guess, seed=seed, settings=settings))
    print(
        f"  {time.process_time() - began:.0f} s of CPU  refined: {found.log_likelihood.sum():.1f} nats, "
        f"{int(found.converged.sum())} of {series.n_traces} at their top, k_hat {found.k_hat.max():.2f}, "
        f"{found.substeps} substeps, at edge {dict(found.at_edge)}",
        flush=True,
    )
    return found


def with_inferred_start(fitted: Fitted, series: Series, *, noisy: bool) -> Posterior:
    """The posterior of the training for other stretches, with the state at their first sample as their own samples have it
    (Fisher scoring from the first values)."""
    source = fitted.together.posterior
    keep = slice(None) if noisy else slice(-1)
    parameters, noise = source.parameters[0][:, keep], source.noise_sd.mean(axis=0)
    middle = (source.weights[0][:, None] * parameters).sum(0)
    system = fitted.system if noisy else duffing(noisy=False)
    observation = KnownObservation.of_outputs(system, ["position"])
    likelihood = TraceLikelihood(system, observation, series, substeps=fitted.together.substeps)
    noise_sd = float((source.weights[0][:, None] * noise).sum())
    initial = _initial_state(likelihood, torch.from_numpy(middle), noise_sd, series)
    n_traces, n_draws = series.n_traces, len(parameters)
    spread = (n_traces, n_draws)
    return Posterior(
        system.parameter_names, source.parameter_units[keep],
        np.broadcast_to(parameters, (*spread, parameters.shape[1])),
        np.broadcast_to(initial[:, None], (*spread, 2)), np.broadcast_to(noise, (*spread, 1)),
        np.broadcast_to(source.weights[0], spread), how="shared", trusted=np.ones(n_traces, dtype=bool),
    )  # fmt: skip


def _initial_state(
    likelihood: TraceLikelihood, parameters: torch.Tensor, noise_sd: float, series: Series
) -> np.ndarray:
    n, p = series.n_traces, parameters.expand(series.n_traces, -1)
    sd = torch.full((n, 1), noise_sd, dtype=torch.float64)
    finer = int(np.flatnonzero(series.seen[0, 1:, 0])[0]) + 1
    step = (series.times_s[0, finer] - series.times_s[0, 0]) / likelihood.system.time_unit_s
    rate = (series.values[:, finer, 0] - series.values[:, 0, 0]) / step
    z = torch.from_numpy(np.stack((series.values[:, 0, 0], rate), axis=1))
    states = slice(len(parameters), len(parameters) + 2)
    for _ in range(12):
        found = likelihood.derivatives(p, z, sd)
        step_to, _ = scoring_step(
            found.gradient[:, states], found.information[:, states, states], torch.zeros(n, dtype=torch.float64)
        )
        better = likelihood.log_likelihood(p, z + step_to, sd) > found.value
        z = torch.where(better.unsqueeze(-1), z + step_to, z)
        if not bool(better.any()):
            break
    initial: np.ndarray = z.numpy()
    return initial


def free_run(posterior: Posterior, series: Series, substeps: int) -> np.ndarray:
    """(trace, time, 1), without noise, at the posterior's mean."""
    guess = Guess.of(posterior)
    assert series.drive is not None and series.uniform_step_s is not None
    solved = solve_guarded(
        duffing(noisy=False), torch.from_numpy(guess.initial), torch.from_numpy(guess.parameters),
        step_s=series.uniform_step_s, n_steps=series.n_samples - 1,
        drive=torch.from_numpy(series.drive[:, :-1].swapaxes(0, 1).copy()), substeps=substeps,
    )  # fmt: skip
    position: np.ndarray = solved.states[..., :1].swapaxes(0, 1).numpy()
    return position
