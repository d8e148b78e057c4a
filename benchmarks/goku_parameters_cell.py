"""One equation of goku_parameters.py: train on simulations, infer traces never seen, refine some or all of them, score."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from goku_parameters_cases import CASES, Case, noise_range
from goku_parameters_oscillator import NAME as OSCILLATOR
from goku_parameters_oscillator import NOISE_V, equation, record
from goku_parameters_score import Answers, bound_factors, matched_posterior, scores

from twins.goku.amortised.fit import fit_amortised
from twins.goku.amortised.posterior import AmortisedPosterior
from twins.goku.amortised.settings import AmortisedSettings
from twins.goku.inference.cramer_rao import cramer_rao_bound
from twins.goku.inference.refine import refine
from twins.goku.inference.refine_settings import Refined, RefineSettings
from twins.goku.observation import KnownObservation
from twins.goku.posterior import Guess, Posterior
from twins.goku.series import Series
from twins.goku.simulated.generate import Design, generate
from twins.goku.system import System

_Result = TypeVar("_Result")
N_DRAWS = 1000
N_REFINED_RECORDED, LOT_RECORDED = 100, 20  # of the recorded traces: by --quick at most, and at once
UNKNOWN_BEHIND = "the state in which a device is when its record begins is known to nobody"


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything. n_devices: of the oscillator; its traces are n_traces in all. refine_seconds: of wall time;
    once it is over, no further lot of traces is refined."""

    n_traces: int
    refine_all: bool
    n_devices: int
    settings: AmortisedSettings
    refine_seconds: float = math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a cell infers from: an equation, its observation, traces, the truth behind them, and what was known before."""

    system: System
    observation: KnownObservation
    series: Series
    truth: np.ndarray  # (trace, parameter)
    behind: Guess | None  # the same with initial states and noise levels, where these are known
    noise_sd_range: tuple[np.ndarray, np.ndarray]
    n_refined: int
    components: int = 6  # of the mixture
    lot: int = 50  # traces refined at once


def run_cell(name: str, seed: int, size: Size) -> dict[str, Any]:
    """The figures of one equation."""
    torch.set_num_threads(1)
    began = time.process_time()
    number = [OSCILLATOR, *(case.name for case in CASES)].index(name)
    material = _recorded(seed, size) if name == OSCILLATOR else _simulated(CASES[number - 1], 100 * seed + number, size)
    settings = replace(size.settings, components=material.components)
    posterior, training = _trained(material, 100 * seed + number, settings)
    generator = torch.Generator().manual_seed(1000 * seed + number)
    found = posterior.infer(material.series, N_DRAWS, generator=generator)
    answers = _answers(material, found, np.arange(material.series.n_traces))
    amortised = scores(material.system, answers, material.truth)
    refined = _refined(material, found, seed, size.refine_seconds)
    headline, stage = (refined["refined"], "refined") if size.refine_all else (amortised, "amortised")
    return {
        "name": name,
        "n": headline["n"],
        "stage": stage,
        "relative_error": headline["relative_error"],
        "coverage90": headline["coverage90"],
        "cramer_rao_factor": refined["cramer_rao_factor"],
        "parameters": list(material.system.parameter_names),
        "simulated": True,
        "training": training,
        "amortised": amortised,
        **refined,
        "cpu_seconds": time.process_time() - began,
    }


def _simulated(case: Case, seed: int, size: Size) -> Material:
    """Truth and traces from streams of their own, each trace with noise levels of its own, as even in the logarithm."""
    system, design = case.system(), case.design(seed)
    observation = KnownObservation.of_outputs(system, case.observed)
    low, high = noise_range(system, observation, design, seed)
    clean = generate(
        system,
        size.n_traces,
        Design(
            times_s=design.times_s[0],
            drive=None if design.drive is None else design.drive[0],
            observation=observation,
            channel_names=design.names,
            channel_units=design.units,
        ),
        seed=seed,
        name="test",
    )
    rng = np.random.default_rng([seed, 1])
    noise_sd = low * (high / low) ** rng.uniform(size=(size.n_traces, len(low)))
    values = clean.series.values + noise_sd[:, None] * rng.standard_normal(clean.series.values.shape)
    return Material(
        system=system,
        observation=observation,
        series=replace(clean.series, values=values),
        truth=clean.parameters,
        behind=Guess(clean.parameters, clean.initial, noise_sd),
        noise_sd_range=(low, high),
        n_refined=size.n_traces if size.refine_all else min(case.refined_quick, size.n_traces),
        components=case.components,
        lot=case.lot,
    )


def _recorded(seed: int, size: Size) -> Material:
    """The oscillator's traces, in an order that mixes the devices."""
    system = equation()
    recorded = record(size.n_devices, -(-size.n_traces // size.n_devices), seed=seed)
    order = np.random.default_rng([seed, 2]).permutation(len(recorded.truth))[: size.n_traces]
    return Material(
        system=system,
        observation=KnownObservation.of_outputs(system, ["voltage"]),
        series=recorded.series.select(order),
        truth=recorded.truth[order],
        behind=None,
        noise_sd_range=(np.array([NOISE_V[0]]), np.array([NOISE_V[1]])),
        n_refined=size.n_traces if size.refine_all else min(N_REFINED_RECORDED, size.n_traces),
        lot=LOT_RECORDED,
    )


def _trained(material: Material, seed: int, settings: AmortisedSettings) -> tuple[AmortisedPosterior, dict[str, Any]]:
    began = time.process_time()
    design = material.series.select([0])
    low, high = material.noise_sd_range
    posterior = finished(
        fit_amortised(
            material.system, material.observation, design, noise_sd_range=(low, high), seed=seed, settings=settings
        )
    )
    return posterior, {
        "cpu_seconds": time.process_time() - began,
        "n_simulations": posterior.n_simulations,
        "n_diverged": posterior.n_diverged,
        "substeps": posterior.simulator.substeps,
        "held_out_loss": posterior.held_out_loss,
        "coverage90_on_simulations": dict(posterior.coverage90_after),
        "coverage90_uncalibrated": dict(posterior.coverage90_before),
    }


def _refined(material: Material, found: Posterior, seed: int, refine_seconds: float) -> dict[str, Any]:
    """Refine the first traces, in lots, from what the network said of them, and compare with the Cramér-Rao bound."""
    if not material.n_refined:
        return {"n_refined": 0, "cramer_rao_factor": None}
    began, began_s = time.monotonic(), time.process_time()
    lots: list[Answers] = []
    converged: list[np.ndarray] = []
    how_many: Counter[str] = Counter()
    for traces in np.array_split(np.arange(material.n_refined), max(1, round(material.n_refined / material.lot))):
        refined = _refined_lot(material, found, traces, seed)
        lots.append(_answers(material, refined.posterior, traces))
        converged.append(refined.converged)
        how_many.update(refined.how_many)
        if time.monotonic() - began > refine_seconds:
            break
    after = Answers.joined(lots)
    chosen = np.arange(len(after.trusted))
    before, truth = _answers(material, found.select(chosen), chosen), material.truth[chosen]
    figures: dict[str, Any] = {
        "n_refined": len(chosen),
        "amortised_of_the_refined": scores(material.system, before, truth),
        "refined": scores(material.system, after, truth),
        "refined_where_trusted": scores(material.system, after.where_trusted_else(before), truth),
        "refined_how_many": dict(how_many),
        "refined_converged": float(np.concatenate(converged).mean()),
        "refining_cpu_seconds": time.process_time() - began_s,
    }
    return figures | _beside_the_bound(material, chosen, after, seed)


def _refined_lot(material: Material, found: Posterior, traces: np.ndarray, seed: int) -> Refined:
    settings = RefineSettings(noise_sd_range=material.noise_sd_range)
    guess, series = found.select(traces), material.series.select(traces)
    seed = seed + int(traces[0])  # a lot has chance of its own
    return finished(refine(material.system, material.observation, series, guess, seed=seed, settings=settings))


def _beside_the_bound(material: Material, chosen: np.ndarray, after: Answers, seed: int) -> dict[str, Any]:
    """Errors over the Cramér-Rao bound at the truth; of an equation with noise, averaged over paths simulated anew."""
    if material.behind is None:
        return {"cramer_rao_factor": None, "cramer_rao_not_computable": UNKNOWN_BEHIND}
    began, known = time.process_time(), material.behind
    bound = cramer_rao_bound(
        material.system, material.observation, material.series.select(chosen), known.parameters[chosen],
        known.initial[chosen], known.noise_sd[chosen], generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    factors = bound_factors(material.system, after.estimate, material.truth[chosen], np.asarray(bound), after.trusted)
    return {**factors, "bound_cpu_seconds": time.process_time() - began}


def _answers(material: Material, posterior: Posterior, chosen: np.ndarray) -> Answers:
    truth = material.truth[chosen]
    return Answers.of(matched_posterior(material.system, material.series.names, posterior, truth), truth)


def finished(work: Generator[Any, None, _Result]) -> _Result:
    """What a generator of events returns."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: _Result = stop.value
            return result
