"""Train an amortised posterior: simulate, learn, calibrate."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from twins.errors import EquationInvalid, SeriesInvalid
from twins.fitting.adam import FlatAdam
from twins.goku.amortised.budget import Budget
from twins.goku.amortised.calibration import LevelMap, calibrated_draws, coverage_of
from twins.goku.amortised.design import Design, Simulations, Simulator
from twins.goku.amortised.mixture import Mixture
from twins.goku.amortised.network import NetworkShape, PosteriorNetwork
from twins.goku.amortised.posterior import AmortisedPosterior, coordinate_names
from twins.goku.amortised.settings import AmortisedCalibrated, AmortisedEvent, AmortisedPass, AmortisedSettings
from twins.goku.amortised.substeps import enough_substeps
from twins.goku.amortised.trust import TrustReference, misfit, neighbour_distance
from twins.goku.observation import KnownObservation, Observation
from twins.goku.series import Series
from twins.goku.system import System

_WARM_UP = 0.05
_LAST_RATE = 0.01
_CALIBRATION_DRAWS = 200
_KEPT_CALIBRATION = 400  # simulations, where somebody waits for the end

Measured = tuple[Tensor, Tensor, Tensor]  # values with NaN, coordinates, rows of the design


def fit_amortised(
    system: System,
    observation: Observation | None,
    design: Series,
    *,
    noise_sd_range: tuple[float | np.ndarray, float | np.ndarray],
    seed: int,
    settings: AmortisedSettings | None = None,
    keep: Callable[[AmortisedPosterior], None] | None = None,
) -> Generator[AmortisedEvent, None, AmortisedPosterior]:
    """Yield what happens, return the posterior.

    keep: called with the best network so far, calibrated on few simulations, where the training is closed or interrupted.

    observation: from the system's outputs to the channels; None takes the outputs as the channels. design: series with the
    times, gaps and drives that are to come; its values are not used. noise_sd_range: (lowest, highest) standard deviation of
    the measurement noise in the channels' units, numbers or one a channel; every factor between is as likely.
    Raises SeriesInvalid, EquationInvalid (nothing but simulations that run away).
    """
    began = time.monotonic()
    settings = settings or AmortisedSettings()
    system.check()
    generator = torch.Generator().manual_seed(seed)
    simulator = _simulator(system, observation, design, noise_sd_range, settings, generator)
    course = _Course(simulator, settings, generator, Budget(settings, began))
    try:
        yield from course.train()
    except (GeneratorExit, KeyboardInterrupt):
        if keep is not None and course.best:
            course.take_best()
            keep(_calibrated(course, design, n_simulations=_KEPT_CALIBRATION))
        raise
    posterior = _calibrated(course, design)
    after, before = posterior.coverage90_after, posterior.coverage90_before
    yield AmortisedCalibrated(tuple(after), tuple(before.values()), tuple(after.values()), posterior.seconds)
    return posterior


@dataclass(slots=True)
class _Course:
    """Training, and what it has come to."""

    simulator: Simulator
    settings: AmortisedSettings
    generator: torch.Generator
    budget: Budget
    network: PosteriorNetwork = field(init=False)
    held_out: Measured = field(init=False)
    chunk: Simulations = field(init=False)  # the last one
    ends_s: float = math.inf
    best_loss: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    n_simulations: int = 0
    n_diverged: int = 0

    def train(self) -> Iterator[AmortisedPass]:
        """The network's weights, until the steps, the time or the patience are spent; the best are kept."""
        settings, number, stale = self.settings, 0, 0
        budget = self.budget
        budget.measure(self._draw)
        self.held_out = self._measure(self._draw(budget.held_out))
        size = budget.chunk
        budget.drawn(size, self._fresh)
        self.ends_s = budget.training_seconds
        self.network = _network(self.simulator, settings, self._measure(self.chunk), self.generator)
        optimiser = FlatAdam(self.network.parameters(), largest_gradient=10.0, betas=(0.9, 0.99))
        for made in range(settings.chunks):
            if made and budget.worth(size):
                self._fresh(size)
            for _ in range(settings.passes):
                number += 1
                train_loss = self._pass(self.chunk, number, optimiser)
                loss = self._held_out_loss()
                better = loss < self.best_loss
                stale = 0 if better else stale + 1
                if better:
                    self.best_loss, self.best = loss, copy.deepcopy(self.network.state_dict())
                progress = self._progress(number)
                yield AmortisedPass(
                    number, train_loss, loss, self.n_simulations, self.n_diverged / self.n_simulations,
                    self.seconds, better, min(1.0, progress),
                )  # fmt: skip
                if stale >= settings.patience or progress >= 1.0:
                    break
            else:
                continue
            break
        if not self.best:
            raise EquationInvalid(f"{self.simulator.system.name}: training never gave a finite loss; check the ranges")
        self.take_best()

    def take_best(self) -> None:
        """The best network so far, to be asked."""
        self.network.load_state_dict(self.best)
        self.network.eval()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self.budget.seconds

    def _progress(self, passes: float) -> float:
        return max(passes / (self.settings.chunks * self.settings.passes), self.seconds / self.ends_s)

    def _draw(self, n: int) -> Simulations:
        drawn = self.simulator.draw(n, self.generator)
        self.n_simulations += n
        self.n_diverged += drawn.diverged
        return drawn

    def _fresh(self, n: int) -> None:
        self.chunk = self._draw(n)

    def _measure(self, simulations: Simulations) -> Measured:
        values, coordinates = self.simulator.measured(simulations, self.generator)
        return values, coordinates, simulations.rows

    def _pass(self, chunk: Simulations, number: int, optimiser: FlatAdam) -> float:
        order = torch.randperm(len(chunk), generator=self.generator)
        batches = torch.split(order, self.settings.batch)
        total, seen = 0.0, 0
        for place, batch in enumerate(batches):
            loss = -density(self.network, self.simulator, self._measure(chunk.take(batch))).mean()
            rate = _schedule(self._progress(number - 1 + place / len(batches)))
            optimiser.step(loss, self.settings.learning_rate * rate)
            total, seen = total + float(loss.detach()) * len(batch), seen + len(batch)
            if self.seconds >= self.ends_s:
                break
        return total / seen

    @torch.no_grad()
    def _held_out_loss(self) -> float:
        return -float(density(self.network, self.simulator, self.held_out).mean())


def mixture_of(network: PosteriorNetwork, simulator: Simulator, measured: Measured) -> Mixture:
    """What the network makes of simulated traces."""
    values, _, rows = measured
    drive = simulator.design.drive
    mixture: Mixture = network(values, simulator.design.steps_s[rows], None if drive is None else drive[rows])
    return mixture


def density(network: PosteriorNetwork, simulator: Simulator, measured: Measured) -> Tensor:
    """Log density of the true coordinates, trace by trace."""
    return mixture_of(network, simulator, measured).log_density(measured[1].to(torch.float32))


def _schedule(progress: float) -> float:
    if progress < _WARM_UP:
        return (progress + 1e-3) / _WARM_UP
    along = min(1.0, (progress - _WARM_UP) / (1.0 - _WARM_UP))
    return _LAST_RATE + (1.0 - _LAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * along))


def _simulator(
    system: System,
    observation: Observation | None,
    series: Series,
    noise_sd_range: tuple[float | np.ndarray, float | np.ndarray],
    settings: AmortisedSettings,
    generator: torch.Generator,
) -> Simulator:
    open_ended = [quantity.name for quantity in system.flat_states if not quantity.bounded]
    if open_ended:
        raise EquationInvalid(f"{system.name}: the state {open_ended[0]!r} needs a finite range of initial values")
    observation = observation or KnownObservation(torch.eye(system.n_outputs))
    middle = torch.zeros((1, system.n_outputs), dtype=torch.float64)
    n_channels = observation(middle).shape[-1]
    if n_channels != series.n_channels:
        raise SeriesInvalid(
            f"{system.name}: the observation gives {n_channels} channels, the series have {series.n_channels}"
        )
    low, high = (torch.as_tensor(np.array(end, dtype=np.float64)).expand(n_channels).clone() for end in noise_sd_range)
    if not bool(((low > 0.0) & (low < high) & torch.isfinite(high)).all()):
        raise EquationInvalid(
            f"noise_sd_range must be 0 < lowest < highest, finite, not {noise_sd_range}; "
            "for a level that is known, give a narrow range around it"
        )
    simulator = Simulator(
        system, observation, Design.of(series, system), low, high, settings.substeps or 1, settings.method
    )
    if settings.substeps is None:
        substeps = enough_substeps(simulator, generator)
        simulator = Simulator(system, observation, simulator.design, low, high, substeps, settings.method)
    return simulator


def _network(
    simulator: Simulator, settings: AmortisedSettings, measured: Measured, generator: torch.Generator
) -> PosteriorNetwork:
    design = simulator.design
    varying = ["gaps"] if design.has_gaps else []
    if design.uniform_step_s is None:
        varying.append("times")
    if design.drive is not None and not bool((design.drive == design.drive[:1]).all()):
        varying.append("drive")
    shape = NetworkShape(
        n_samples=design.n_samples,
        n_channels=design.n_channels,
        n_drives=len(simulator.system.drives),
        n_coordinates=simulator.n_coordinates,
        varying=tuple(varying),
        width=settings.width,
        blocks=settings.blocks,
        components=settings.components,
    )
    network = PosteriorNetwork(shape)
    network.begin(generator)
    values, _, rows = measured
    network.learn_scales(values, design.steps_s[rows], None if design.drive is None else design.drive[rows])
    return network


@torch.no_grad()
def _calibrated(course: _Course, series: Series, *, n_simulations: int | None = None) -> AmortisedPosterior:
    simulator, network, generator = course.simulator, course.network, course.generator
    measured = course._measure(course._draw(n_simulations or course.budget.calibration))
    values, coordinates, rows = measured
    mixture = mixture_of(network, simulator, measured).to(torch.float64)
    ranks = mixture.marginal_cdf(coordinates.unsqueeze(1)).squeeze(1)
    names = coordinate_names(simulator, series.names)
    half = len(ranks) // 2
    one, other = LevelMap.of(ranks[:half]).coverage(ranks[half:]), LevelMap.of(ranks[half:]).coverage(ranks[:half])
    level_map = LevelMap.of(ranks)
    draws = calibrated_draws(mixture, mixture.draw(_CALIBRATION_DRAWS, generator), level_map)
    return AmortisedPosterior(
        simulator=simulator,
        network=network,
        level_map=level_map,
        trust=_reference(course, values, draws, rows),
        names=series.names,
        units=series.units,
        coverage90_before=dict(zip(names, coverage_of(ranks), strict=True)),
        coverage90_after=dict(zip(names, (0.5 * (a + b) for a, b in zip(one, other, strict=True)), strict=True)),
        n_simulations=course.n_simulations,
        n_diverged=course.n_diverged,
        held_out_loss=course.best_loss,
        seconds=course.seconds,
    )


def _reference(course: _Course, values: Tensor, draws: Tensor, rows: Tensor) -> TrustReference:
    simulator, network, generator = course.simulator, course.network, course.generator
    steps = simulator.design.steps_s
    near_values, _, near_rows = course._measure(course.chunk)  # others than those whose distances are measured
    near = network.summary(network.scaled(near_values, steps[near_rows]))
    own = network.summary(network.scaled(values, steps[rows]))
    fits = misfit(simulator, values, draws, rows, generator)
    return TrustReference(near, neighbour_distance(own, near).sort().values, fits.sort().values)
