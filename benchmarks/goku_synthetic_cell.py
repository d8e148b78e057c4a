"""One cell of goku_synthetic.py: a method trained on so many trajectories, scored on others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from labctl.campaign import Campaign
from labctl.events import Progress
from twins.goku.baselines import (
    AutoregressionSettings,
    BaselineFitSettings,
    TemporalMean,
    fit_autoregression,
    fit_latent_ode,
    fit_lstm,
)
from twins.goku.direct.fit import fit_direct
from twins.goku.direct.principal import PrincipalComponents
from twins.goku.network.fit import fit_goku
from twins.goku.network.fit_settings import GokuFitSettings
from twins.goku.network.model import GokuNet
from twins.goku.network.schedule import PlateauCosine
from twins.goku.network.spec import GokuSpec, goku_ui, goku_ui_basic
from twins.goku.network.window_starts import reconstruct_fitted
from twins.goku.scoring.scores import nrmse
from twins.goku.series import Series
from twins.goku.simulated.generate import CROP_SAMPLES, FORECAST_SAMPLES, goku_ui_synthetic
from twins.goku.systems.stuart_landau_network import StuartLandauNetwork

NOISE_STRENGTH = 0.02
LARGEST_BYTES = 2.5e9  # of one training set in memory: beyond it, stretches shorter than 600 samples are kept
GOKU: dict[str, Callable[[], GokuSpec]] = {
    "goku_ui": goku_ui,
    "goku_ui_single_shooting": lambda: goku_ui(window_samples=None),
    "goku_basic_multiple_shooting": goku_ui_basic,
    "goku_basic": lambda: goku_ui_basic(window_samples=None),
}
ON_COMPONENTS = "_on_components"
BASELINES = (
    "lstm", "latent_ode", f"lstm{ON_COMPONENTS}", f"latent_ode{ON_COMPONENTS}", "naive", "vector_autoregression",
)  # fmt: skip
RIVAL_RATES = {"lstm": 5e-3, "latent_ode": 5e-3}
"""Peaks, those of {5e-3, 2e-3, 1e-3} with the least held-out error (a share of the variance) on principal components of
1200 trajectories: LSTM 0.29, 0.36 after 60 CPU s (1e-3 was last after 30); latent ODE 0.51, 0.55, 0.69 after 30."""
ANNEALED: dict[str, int] = {"warm_up_batches": 60, "first_patience": 1_000_000}
"""Of the rivals, whose rate falls along a cosine over the whole budget: falling at plateaus as well would end it while
they still give every trace back as its mean, which they leave only after some hundred batches."""
METHODS = (*GOKU, *BASELINES, "ours")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the experiment is. cpu_s: of training, the same for every method, or less where it stops by itself.
    first_patience, period: of the GOKU networks' schedule, in checks; shorter ones let the rate come down within a
    short budget."""

    n_channels: int = 784
    n_samples: int = 600
    n_validation: int = 200
    n_test: int = 900
    cpu_s: float = 3600.0
    max_epochs: int = 20_000
    first_patience: int = 50
    period: int = 50


class Fitted(Protocol):
    """What is scored."""

    def reconstruct(self, series: Series) -> np.ndarray:
        """(trace, time, channel)."""

    def forecast(self, series: Series, *, n_samples: int) -> np.ndarray:
        """(trace, time, channel)."""


@dataclass(frozen=True, slots=True)
class Trained:
    """epochs: checks of 9 batches each, as the reference counts; 0 where there are no batches. refitted: the
    reconstruction with the windows' initial states fitted to the trace, where a method solves in windows."""

    fitted: Fitted
    epochs: int
    refitted: Callable[[Series], np.ndarray] | None = None


@dataclass(frozen=True, slots=True)
class _Net:
    """A GOKU network, with the forecast by its means."""

    net: GokuNet

    def reconstruct(self, series: Series) -> np.ndarray:
        return self.net.reconstruct(series)

    def forecast(self, series: Series, *, n_samples: int) -> np.ndarray:
        forecast: np.ndarray = self.net.forecast(series, n_samples=n_samples, generator=torch.Generator())[0]
        return forecast


@dataclass(frozen=True, slots=True)
class _OnComponents:
    """A method fitted on principal components, asked on channels."""

    fitted: Fitted
    components: PrincipalComponents

    def reconstruct(self, series: Series) -> np.ndarray:
        return self.components.values(self.fitted.reconstruct(self.components.series(series)))

    def forecast(self, series: Series, *, n_samples: int) -> np.ndarray:
        return self.components.values(self.fitted.forecast(self.components.series(series), n_samples=n_samples))


def score(method: str, n_training: int, seed: int, size: Size) -> Campaign[dict[str, Any]]:
    """Train and score; per test trajectory and in the mean."""
    torch.set_num_threads(1)
    training, validation, test = sets(n_training, seed, size)
    began_s, cpu_s = time.perf_counter(), time.process_time()
    key = f"{method}-{n_training}-seed-{seed}"
    trained = yield from train(method, training, validation, seed, size, key)
    spent = {"seconds": time.perf_counter() - began_s, "cpu_seconds": time.process_time() - cpu_s}
    shown, coming = test.span(0, CROP_SAMPLES), test.values[:, CROP_SAMPLES:]
    scores = {
        "reconstruction": nrmse(trained.fitted.reconstruct(shown), shown.values),
        "forecast": nrmse(trained.fitted.forecast(shown, n_samples=FORECAST_SAMPLES), coming),
    }
    if trained.refitted is not None:
        scores["reconstruction_fitted"] = nrmse(trained.refitted(shown), shown.values)
    return {
        "method": method, "n_training": n_training, "seed": seed, "epochs": trained.epochs, **spent,
        "samples_a_trajectory": training.n_samples, "reconstruction_fitted": None,
        **{name: float(values.mean()) for name, values in scores.items()},
        **{f"{name}_median": float(np.median(values)) for name, values in scores.items()},
        **{f"{name}_by_trace": [round(float(value), 6) for value in values] for name, values in scores.items()},
    }  # fmt: skip


def sets(n_training: int, seed: int, size: Size) -> tuple[Series, Series, Series]:
    """(training, validation, test), independent of each other; the test crops are the same for every n_training."""
    data = goku_ui_synthetic(
        n_training, seed=seed, n_validation=size.n_validation, n_test=size.n_test, n_channels=size.n_channels,
        n_samples=size.n_samples, noise_strength=NOISE_STRENGTH,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    test, _ = data.crops(data.test, rng, n_samples=CROP_SAMPLES + FORECAST_SAMPLES)
    kept = min(size.n_samples, int(LARGEST_BYTES / (8 * size.n_channels * n_training)))
    training, _ = data.crops(data.training, rng, n_samples=max(kept, CROP_SAMPLES + FORECAST_SAMPLES))
    validation, _ = data.crops(data.validation, rng, n_samples=min(size.n_samples, 150))
    return training, validation, test


def train(method: str, training: Series, validation: Series, seed: int, size: Size, key: str) -> Campaign[Trained]:
    """Any method by its name."""
    model = StuartLandauNetwork(ranges="model", noise_strength=NOISE_STRENGTH)
    if method in GOKU:
        return (yield from _train_goku(GOKU[method](), model, training, validation, seed, size, key))
    if method.startswith(("lstm", "latent_ode")):
        return (yield from _train_network(method, training, validation, seed, size, key))
    if method == "ours":
        ours = fit_direct(model, training, seed=seed)
        fitted = yield from _told(ours, key, lambda event: (event.progress, {"nats": event.nats}))
        return Trained(fitted, 0, partial(fitted.reconstruct, fit_starts=True))
    if method == "vector_autoregression":
        settings_of = AutoregressionSettings(context_samples=CROP_SAMPLES, horizon_samples=FORECAST_SAMPLES)
        return Trained(fit_autoregression(training, validation, settings=settings_of), 0)
    assert method == "naive", method
    return Trained(TemporalMean(), 0)


def _train_network(
    method: str, training: Series, validation: Series, seed: int, size: Size, key: str
) -> Campaign[Trained]:
    """A rival network, on the channels as published or on their principal components, which lose nothing here."""
    fit = fit_lstm if method.startswith("lstm") else fit_latent_ode
    settings = BaselineFitSettings(
        window_samples=CROP_SAMPLES, max_updates=9 * size.max_epochs, cpu_s=size.cpu_s,
        schedule=PlateauCosine(peak=RIVAL_RATES[method.removesuffix(ON_COMPONENTS)], **ANNEALED),
    )  # fmt: skip
    components = PrincipalComponents.of(training) if method.endswith(ON_COMPONENTS) else None
    if components is not None:
        training, validation = components.series(training), components.series(validation)
    fitting = fit(training, validation, seed=seed, settings=settings)
    fitted = yield from _told(fitting, key, lambda event: (event.progress, {"validation": event.validation_error}))
    scored = fitted if components is None else _OnComponents(fitted, components)
    return Trained(scored, fitted.n_updates // 9)


def _train_goku(
    spec: GokuSpec, system: StuartLandauNetwork, training: Series, validation: Series, seed: int, size: Size, key: str
) -> Campaign[Trained]:
    """Until it stops by itself or the CPU time is spent; the network keeps the best weights either way."""
    net = GokuNet(system, spec, n_channels=training.n_channels, generator=torch.Generator().manual_seed(seed))
    settings = GokuFitSettings(
        schedule=PlateauCosine(first_patience=size.first_patience, period=size.period),
        max_epochs=size.max_epochs,
        crop_samples=CROP_SAMPLES,
    )
    fitting, began_s, epochs = fit_goku(net, training, validation, seed=seed, settings=settings), time.process_time(), 0
    for event in fitting:
        epochs = event.epoch
        spent = (time.process_time() - began_s) / size.cpu_s
        yield Progress(key, max(event.progress, spent), 1.0, _note({"validation": event.validation}))
        if spent >= 1.0:
            fitting.close()
            break
    return Trained(_Net(net), epochs, partial(reconstruct_fitted, net))


def _told(
    fitting: Generator[Any, None, Any], key: str, what: Callable[[Any], tuple[float, Mapping[str, float]]]
) -> Campaign[Any]:
    """The events of a fit as progress; its result."""
    while True:
        try:
            event = next(fitting)
        except StopIteration as stop:
            return stop.value
        done, figures = what(event)
        yield Progress(key, done, 1.0, _note(figures))


def _note(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items() if not math.isnan(value))
