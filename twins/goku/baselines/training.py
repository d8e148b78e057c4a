"""Train a sequence network on random windows; keep what reconstructs held-out windows best."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from twins.errors import SeriesInvalid
from twins.fitting.adam import FlatAdam
from twins.goku.baselines.drives import checked_drive
from twins.goku.baselines.scaling import Frames, Scaling
from twins.goku.network.schedule import LearningRate, PlateauCosine
from twins.goku.series import Series

_AT_ONCE, _HELD_OUT_WINDOWS = 256, 256


class SequenceNet(Protocol):
    """What is trained here: an ``nn.Module`` that encodes frames and decodes as many samples as the drive has."""

    name: str

    def __call__(self, frames: Frames, drive: Tensor, steps: Tensor) -> Tensor:
        """Frames of an encoded window, drive and steps of the samples to decode -> (trace, time, channel), scaled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineFitSettings:
    """How long, on what, and how fast.

    window_samples: of a random window to encode and give back; None: whole traces. horizon_samples: decoded beyond it,
    and in the loss (0 in the reference: forecasting is not trained).
    max_updates, cpu_s: the end, whichever comes first; CPU seconds of this process, which do not depend on what else
    the machine does. schedule: of the rate, judged at every check; annealed: it also falls along a cosine over that
    budget, to a hundredth.
    """

    window_samples: int | None = None
    horizon_samples: int = 0
    batch_windows: int = 64
    max_updates: int = 20_000
    cpu_s: float = math.inf
    updates_a_check: int = 9
    largest_gradient: float = 1.0
    annealed: bool = True
    schedule: PlateauCosine = field(default_factory=PlateauCosine)

    def __post_init__(self) -> None:
        if self.horizon_samples < 0 or min(self.batch_windows, self.max_updates, self.updates_a_check) < 1:
            raise SeriesInvalid("batch_windows, max_updates and updates_a_check must be 1 or more, horizon_samples 0")
        if not self.cpu_s > 0.0:
            raise SeriesInvalid(f"cpu_s must be positive, not {self.cpu_s}")


@dataclass(frozen=True, slots=True)
class BaselineEpoch:
    """One check. Errors are mean squared, in units of the training data's variance; best: this state is kept."""

    method: str
    update: int
    train_error: float
    validation_error: float
    best: bool
    rate: float
    cpu_s: float
    progress: float


@dataclass(frozen=True, slots=True, eq=False)
class FittedSequence:
    """A trained network with its scaling. n_updates, cpu_s: what it took; validation_error: of what was kept."""

    net: SequenceNet
    scaling: Scaling
    n_updates: int
    cpu_s: float
    validation_error: float

    def reconstruct(self, series: Series) -> Float64[np.ndarray, "trace time channel"]:
        """The series encoded and decoded, in its own units."""
        return self._decoded(series, self.scaling.frames(series).drive, 0)

    def forecast(
        self, series: Series, *, n_samples: int, drive: np.ndarray | None = None
    ) -> Float64[np.ndarray, "trace time channel"]:
        """The n_samples after the last one, a typical step apart. drive: (trace, n_samples, drive channel), at them."""
        coming = checked_drive(series, n_samples, drive)
        width = np.zeros((series.n_traces, n_samples, 0)) if coming is None else coming
        whole = torch.cat((self.scaling.frames(series).drive, self.scaling.drive(width)), dim=1)
        return self._decoded(series, whole, n_samples)[:, series.n_samples :]

    @torch.no_grad()
    def _decoded(self, series: Series, drive: Tensor, beyond: int) -> np.ndarray:
        frames = self.scaling.frames(series)
        steps = torch.cat((frames.steps, torch.ones(len(frames.steps), beyond)), dim=1)
        parts = []
        for start in range(0, series.n_traces, _AT_ONCE):
            traces = torch.arange(start, min(start + _AT_ONCE, series.n_traces))
            part = frames.window(traces, torch.zeros_like(traces), series.n_samples)
            parts.append(self.net(part, drive[traces], steps[traces]))
        return self.scaling.values(torch.cat(parts))


def fit_sequence(
    net: SequenceNet,
    series: Series,
    validation: Series | None = None,
    *,
    generator: torch.Generator,
    settings: BaselineFitSettings | None = None,
) -> Generator[BaselineEpoch, None, FittedSequence]:
    """Train until the budget ends or the rate's schedule stops; return the state with the least held-out error.

    validation: None holds out every fifth trace, or the last fifth of the time where there are fewer than five.
    """
    settings = settings or BaselineFitSettings()
    if validation is None:
        series, validation = held_out(series)
    assert isinstance(net, nn.Module)
    scaling = Scaling.of(series)
    frames, checks = scaling.frames(series), _fixed_windows(scaling.frames(validation), settings)
    optimiser = FlatAdam(net.parameters(), largest_gradient=settings.largest_gradient, betas=(0.9, 0.999))
    learning = LearningRate(settings.schedule, settings.schedule.peak)
    began_s, n_updates, best = time.process_time(), 0, math.inf
    errors: list[Tensor] = []
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    batches = _random_windows(frames, settings, generator)
    while True:
        spent_s = time.process_time() - began_s
        progress = min(1.0, max(n_updates / settings.max_updates, spent_s / settings.cpu_s))
        if n_updates % settings.updates_a_check == 0 or progress >= 1.0:
            error = _held_out_error(net, checks, settings)
            if improved := error < best:
                best, kept = error, {name: value.clone() for name, value in net.state_dict().items()}
            stop = learning.judge(error, n_updates) or progress >= 1.0
            mean = float(torch.stack(errors).mean()) if errors else math.nan
            rate = _rate(learning, settings, n_updates, progress)
            yield BaselineEpoch(net.name, n_updates, mean, error, improved, rate, spent_s, 1.0 if stop else progress)
            errors = []
            if stop:
                break
        loss = _error(net, next(batches), settings)
        optimiser.step(loss, _rate(learning, settings, n_updates, progress))
        errors.append(loss.detach())
        n_updates += 1
    net.load_state_dict(kept)
    return FittedSequence(net, scaling, n_updates, time.process_time() - began_s, best)


def held_out(series: Series) -> tuple[Series, Series]:
    """(training, validation): every fifth trace is held out, or the last fifth of the time of fewer than five."""
    if series.n_traces >= 5:
        last = np.arange(series.n_traces) % 5 == 4
        return series.select(~last), series.select(last)
    cut = series.n_samples - max(2, series.n_samples // 5)
    if cut < 2:
        raise SeriesInvalid("too few samples to hold some out; hand over a validation series")
    return series.span(0, cut), series.span(cut, series.n_samples)


def _rate(learning: LearningRate, settings: BaselineFitSettings, n_updates: int, progress: float) -> float:
    rate = learning.of_batch(n_updates)
    return rate * (0.01 + 0.495 * (1.0 + math.cos(math.pi * progress))) if settings.annealed else rate


def _lengths(frames: Frames, settings: BaselineFitSettings) -> tuple[int, int]:
    """(samples to encode, samples to decode) of a window, as long as the traces allow."""
    n_encoded = min(settings.window_samples or frames.shape[1], frames.shape[1] - settings.horizon_samples)
    if n_encoded < 2:
        raise SeriesInvalid(
            f"traces of {frames.shape[1]} samples are too short for a horizon of {settings.horizon_samples}"
        )
    return n_encoded, n_encoded + settings.horizon_samples


def _random_windows(frames: Frames, settings: BaselineFitSettings, generator: torch.Generator) -> Iterator[Frames]:
    """Batches without end: passes over all traces in a new order, each trace at a random start; traces that are few
    are taken several times a pass."""
    n_traces, n_samples = frames.shape
    _, length = _lengths(frames, settings)
    copies = max(1, settings.batch_windows // n_traces)
    while True:
        order = torch.randperm(n_traces * copies, generator=generator) % n_traces
        for traces in torch.split(order, settings.batch_windows):
            starts = torch.randint(n_samples - length + 1, (len(traces),), generator=generator)
            yield frames.window(traces, starts, length)


def _fixed_windows(frames: Frames, settings: BaselineFitSettings) -> Frames:
    """Held-out windows, spread evenly over traces and starts, the same at every check."""
    n_traces, n_samples = frames.shape
    _, length = _lengths(frames, settings)
    n = min(_HELD_OUT_WINDOWS, n_traces * (n_samples - length + 1))
    fractions = torch.arange(n) * (0.5 * (5.0**0.5 - 1.0)) % 1.0  # golden ratio: starts that do not repeat
    return frames.window(torch.arange(n) % n_traces, (fractions * (n_samples - length + 1)).long(), length)


def _error(net: SequenceNet, windows: Frames, settings: BaselineFitSettings) -> Tensor:
    """Mean squared error of what was seen."""
    length = windows.shape[1] - settings.horizon_samples
    rows = torch.arange(windows.shape[0])
    encoded = windows.window(rows, torch.zeros_like(rows), length) if settings.horizon_samples else windows
    error = (net(encoded, windows.drive, windows.steps) - windows.values).square()
    seen = windows.seen
    return error.mean() if bool(seen.all()) else (error * seen).sum() / seen.sum()


@torch.no_grad()
def _held_out_error(net: SequenceNet, windows: Frames, settings: BaselineFitSettings) -> float:
    return float(_error(net, windows, settings))
