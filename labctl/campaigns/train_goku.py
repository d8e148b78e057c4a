"""Train a model of an equation, on simulations or on measured traces, with its learning curve as events."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.campaign import Campaign
from labctl.campaigns.goku_settings import GokuSettings
from labctl.errors import CampaignError
from labctl.events import Figures, Progress, Warned
from labctl.goku_channels import Wired
from labctl.goku_noise import noise_levels

if TYPE_CHECKING:
    from twins.goku.amortised.posterior import AmortisedPosterior
    from twins.goku.amortised.settings import AmortisedSettings
    from twins.goku.network.fit_settings import FittedGoku
    from twins.goku.network.model import GokuNet
    from twins.goku.series import Series
    from twins.goku.system import System

FEWEST_MEASURED = 8
"""Traces from which an encoder can be trained at all."""
_MOST_DIVERGED = 0.02  # of the simulations, before it is said


def train_simulated(
    key: str,
    system: System,
    wired: Wired,
    design: Series,
    settings: GokuSettings,
    *,
    seed: int,
    max_seconds: float,
    amortised: AmortisedSettings | None = None,
    keep: Callable[[AmortisedPosterior], None] | None = None,
) -> Campaign[AmortisedPosterior]:
    """Learn the posterior from simulations that are measured as `design` was. keep: called with the best so far where the
    training is cut short. Raises CampaignError, twins.TwinError."""
    from twins.goku.amortised.fit import fit_amortised
    from twins.goku.amortised.settings import AmortisedCalibrated

    observation = wired.known(system)
    if observation is None:
        raise CampaignError(
            f"a {wired.kind} operator is learned from measured traces, and simulations show none: give --training measured, or "
            "say which channel shows which output (--observe CHANNEL=OUTPUT)"
        )
    levels = noise_levels(design, settings.noise_sd)
    events = fit_amortised(
        system, observation, design, noise_sd_range=levels, seed=seed,
        settings=amortised or _amortised_settings(settings, max_seconds), keep=keep,
    )  # fmt: skip
    diverged = 0.0
    try:
        while True:
            try:
                event = next(events)
            except StopIteration as finished:
                posterior: AmortisedPosterior = finished.value
                break
            if isinstance(event, AmortisedCalibrated):
                coverage = dict(zip(event.names, event.coverage90_after, strict=True))
                yield Progress(key, 1.0, 1.0, f"90 % intervals hold {_told(coverage)} of the truth in simulations")
                continue
            diverged = event.diverged_fraction
            figures = {"train_loss": event.train_loss, "held_out_loss": event.held_out_loss}
            yield Figures(key, event.number, {name: one for name, one in figures.items() if math.isfinite(one)})
            note = f"{event.n_simulations} simulations, held-out loss {event.held_out_loss:.3f} nats"
            yield Progress(key, event.progress, 1.0, note)
    finally:
        events.close()
    if diverged > _MOST_DIVERGED:
        yield Warned(
            key,
            f"{100 * diverged:.3g} % of the simulations ran away and were left out: what these ranges allow is not all "
            "possible; narrow them (--range) where you know better",
        )
    return posterior


def _amortised_settings(settings: GokuSettings, max_seconds: float) -> AmortisedSettings:
    from twins.goku.amortised.settings import AmortisedSettings

    plain = AmortisedSettings(max_seconds=max_seconds)
    if settings.simulations is None:
        return plain
    chunk = min(plain.chunk, settings.simulations)
    return AmortisedSettings(
        chunk=chunk, chunks=max(1, math.ceil(settings.simulations / chunk)), batch=min(plain.batch, chunk),
        held_out=min(plain.held_out, max(200, chunk // 4)), calibration=min(plain.calibration, max(200, chunk // 2)),
        max_seconds=max_seconds,
    )  # fmt: skip


def _told(coverage: dict[str, float]) -> str:
    return f"{np.mean(list(coverage.values())):.3f} ({min(coverage.values()):.3f} to {max(coverage.values()):.3f})"


def train_measured(
    key: str,
    system: System,
    wired: Wired,
    series: Series,
    settings: GokuSettings,
    *,
    seed: int,
    max_seconds: float,
    keep: Callable[[GokuNet], None],
    spec: dict[str, Any] | None = None,
) -> Campaign[FittedGoku]:
    """Train the encoder on measured traces. keep: called with the best network so far where the training is cut short.

    spec: choices that differ from the preset's. Raises CampaignError for too few traces, twins.TwinError.
    """
    import torch

    from twins.goku.network.fit import fit_goku
    from twins.goku.network.fit_settings import GokuFitSettings, settings_2021
    from twins.goku.network.model import GokuNet
    from twins.goku.network.spec import goku_2021, goku_posterior, goku_ui, goku_ui_basic

    if series.n_traces < FEWEST_MEASURED:
        raise CampaignError(
            f"{series.n_traces} traces are too few to train an encoder on, at least {FEWEST_MEASURED} are needed; cut them to "
            "shorter ones (--segment), or train on simulations (--training simulated)"
        )
    presets = {
        "goku_ui": goku_ui, "goku_ui_basic": goku_ui_basic, "goku_2021": goku_2021, "goku_posterior": goku_posterior,
    }  # fmt: skip
    make = presets[settings.preset]
    changes = {"observation": wired.kind, "initial_map": "range", "normalisation": "standardise", **(spec or {})}
    if settings.preset == "goku_2021" and wired.kind == "decoder":
        changes["normalisation"] = "min_max"
    network = GokuNet(
        system, make(**changes), n_channels=series.n_channels, observation=wired.known(system),
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    options = settings_2021 if settings.preset == "goku_2021" else GokuFitSettings
    epochs = fit_goku(network, series, seed=seed, settings=options(max_seconds=max_seconds))
    try:
        return (yield from _epochs(key, epochs))
    except BaseException as stopped:
        epochs.close()  # the network has the best weights so far
        if network.fitted:
            keep(network)
            if isinstance(stopped, KeyboardInterrupt):
                stopped.add_note("the network as far as it was trained is kept")
        raise


def _epochs(key: str, epochs: Generator[Any, None, FittedGoku]) -> Campaign[FittedGoku]:
    while True:
        try:
            epoch = next(epochs)
        except StopIteration as finished:
            fitted: FittedGoku = finished.value
            break
        figures = {"train_loss": epoch.train_loss, "validation": epoch.validation, "continuity": epoch.continuity}
        yield Figures(key, epoch.epoch, {name: one for name, one in figures.items() if math.isfinite(one)})
        yield Progress(key, epoch.progress, 1.0, f"epoch {epoch.epoch}, validation {epoch.validation:.4g}")
    if fitted.diverged:
        yield Warned(
            key,
            f"{len(fitted.diverged)} traces ran away under inferred parameters at some time and were left out of those steps; "
            "narrower ranges (--range) keep the equation where it is stable",
        )
    if not math.isfinite(fitted.validation):
        raise CampaignError(
            "the training never gave a finite reconstruction: all traces ran away; narrow the ranges (--range)"
        )
    return fitted
