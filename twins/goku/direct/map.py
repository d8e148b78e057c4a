"""States read off the channels by one linear map, which is learned from how the states must move.

Where as many independent channels are seen as the equation has states, and with little noise, the states z = W s + c follow
from the principal components s of the channels. With z[t+1] = Φ_θ(z[t]) + noise, the likelihood of the traces is exact,

    log p = Σ_t log N(z[t+1]; Φ_θ(z[t]), diag(sd²)) + log|det W|,

so that map, noise and the parameters θ of every trace are found together without an encoder and without shooting.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.errors import EquationInvalid, SeriesInvalid
from twins.fitting.adam import FlatAdam
from twins.goku.direct.principal import PrincipalComponents
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.trajectories import ran_away, solve_system

PRIOR_SD = 1.7
"""A logit of a uniform number has about this standard deviation (π/sqrt(3) = 1.8, with heavier tails)."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Principal components of traces, as tensors (float64), with what a step needs.

    scores: (trace, time, component), 0 where not seen; seen: (trace, time), all channels; steps_s: (trace, step);
    drive: (trace, time, drive channel) or None.
    """

    scores: Float[Tensor, "trace time component"]
    seen: Bool[Tensor, "trace time"]
    steps_s: Float[Tensor, "trace step"]
    drive: Float[Tensor, "trace time drive"] | None

    @classmethod
    def of(cls, series: Series, components: PrincipalComponents) -> Scores:
        """Of a series with the same channels."""
        if series.n_channels != len(components.offset):
            raise SeriesInvalid(f"fitted on {len(components.offset)} channels, asked with {series.n_channels}")
        scores = torch.tensor(components.scores(series.values))
        seen = torch.isfinite(scores).all(-1)
        drive = None if series.drive is None else torch.tensor(series.drive)
        steps_s = torch.tensor(np.diff(series.times_s, axis=1))
        return cls(torch.where(seen[..., None], scores, 0.0), seen, steps_s, drive)

    @property
    def pairs(self) -> Bool[Tensor, "trace step"]:
        """Steps of which both ends were seen."""
        return self.seen[:, 1:] & self.seen[:, :-1]

    def part(self, traces: Tensor | slice, span: slice) -> Scores:
        """Some traces, some samples."""
        drive = None if self.drive is None else self.drive[traces, span]
        stop = span.stop - 1 if span.stop is not None else None
        return Scores(
            self.scores[traces, span], self.seen[traces, span], self.steps_s[traces, span.start : stop], drive
        )


@dataclass(frozen=True, slots=True, eq=False)
class StateMap:
    """z = weight · score + offset; sd: (state,), of what a step of this step_s adds to each state."""

    weight: Float[Tensor, "state component"]
    offset: Float[Tensor, " state"]
    log_sd: Float[Tensor, " state"]

    def states(self, scores: Float[Tensor, "... component"]) -> Float[Tensor, "... state"]:
        """The states that these components stand for."""
        return scores @ self.weight.mT + self.offset

    def scores(self, states: Float[Tensor, "... state"]) -> Float[Tensor, "... component"]:
        """And back."""
        back: Tensor = (states - self.offset) @ torch.linalg.inv(self.weight).mT
        return back


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSettings:
    """n_starts random turns of the map are tried for first_updates; the best `n_kept` go on for kept_updates, the best of
    these for last_updates. traces, samples: at most so many are looked at in the first and last of these."""

    n_starts: int = 10
    n_kept: int = 3
    first_updates: int = 150
    kept_updates: int = 300
    last_updates: int = 1500
    first_traces: int = 32
    first_samples: int = 60
    last_traces: int = 128
    last_rows: int = 12_000
    rate: float = 0.03
    substeps: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.n_kept <= self.n_starts or min(self.first_updates, self.kept_updates, self.last_updates) < 1:
            raise SeriesInvalid(
                "a search for the map needs 1 <= n_kept <= n_starts, and at least one update of each kind"
            )

    @property
    def n_updates(self) -> int:
        """Of the whole search."""
        return self.n_starts * self.first_updates + self.n_kept * self.kept_updates + self.last_updates


@dataclass(frozen=True, slots=True)
class MapFound:
    """A start, or the whole search, came to an end: nats a step and state, lower is better. progress: 0..1."""

    stage: str
    start: int
    nats: float
    progress: float


@dataclass(slots=True, eq=False)
class Trial:
    """What one start has come to: the map and the logits (trace, parameter) of the traces it looked at."""

    map: StateMap
    logits: Tensor
    nats: float = math.inf
    leaves: list[torch.nn.Parameter] = field(default_factory=list)


def flow(
    system: System, states: Tensor, logits: Tensor, steps_s: Tensor, drive: Tensor | None, *, substeps: int
) -> Float[Tensor, "trace step state"]:
    """Where the equation takes states (trace, step, state) in one step, parameters as logits (trace, parameter)."""
    parameters = system.parameters_from_unit(torch.sigmoid(logits))[:, None]
    moved = solve_system(
        system, states, parameters.expand(*states.shape[:2], -1), step_s=_step(steps_s), n_steps=1, substeps=substeps,
        drive=None if drive is None else drive[None],
    )  # fmt: skip
    after: Tensor = moved[1]
    return after


def _step(steps_s: Tensor) -> float | Tensor:
    """One number where all steps are equal, which is cheaper."""
    first = float(steps_s.flatten()[0])
    return first if bool(((steps_s - first).abs() <= 1e-6 * first).all()) else steps_s[None]


def find_map(
    system: System, data: Scores, *, generator: torch.Generator, settings: MapSettings
) -> Generator[MapFound, None, Trial]:
    """The likeliest map and parameters over several starts."""
    if system.outputs or data.scores.shape[-1] != system.n_states:
        raise EquationInvalid(
            f"{system.name}: its {system.n_states} states must themselves be what is seen, in as many components; "
            f"here are {data.scores.shape[-1]}. Use fit_goku and refine where states are hidden"
        )
    few = _portion(data, settings.first_traces, settings.first_traces * settings.first_samples)
    moments = _simulated_moments(system, data, generator)
    trials = []
    for start in range(settings.n_starts):
        trial = Trial(_turned(moments, few, generator), torch.zeros(len(few.scores), system.n_parameters).double())
        _climb(system, few, trial, settings.first_updates, settings)
        done = (start + 1) * settings.first_updates
        yield MapFound("first", start, trial.nats, done / settings.n_updates)
        trials.append(trial)
    trials = sorted(trials, key=lambda trial: trial.nats)[: settings.n_kept]
    for start, trial in enumerate(trials):
        _climb(system, few, trial, settings.kept_updates, settings)
        done += settings.kept_updates
        yield MapFound("kept", start, trial.nats, done / settings.n_updates)
    best = min(trials, key=lambda trial: trial.nats)
    many = _portion(data, settings.last_traces, settings.last_rows)
    last = Trial(best.map, torch.zeros(len(many.scores), system.n_parameters).double())
    _climb(system, many, last, settings.last_updates, settings)
    yield MapFound("last", 0, last.nats, 1.0)
    return last


def _portion(data: Scores, n_traces: int, n_rows: int) -> Scores:
    n_traces = min(n_traces, len(data.scores))
    evenly = torch.linspace(0, len(data.scores) - 1, n_traces).long()
    return data.part(evenly, slice(0, min(data.scores.shape[1], max(3, n_rows // n_traces))))


def _climb(system: System, data: Scores, trial: Trial, n_updates: int, settings: MapSettings) -> None:
    """Adam on map, noise and logits together; the rate falls along a cosine."""
    leaves = [
        torch.nn.Parameter(tensor.clone())
        for tensor in (trial.map.weight, trial.map.offset, trial.map.log_sd, trial.logits)
    ]
    optimiser = FlatAdam(leaves, largest_gradient=10.0, betas=(0.9, 0.99))
    best = trial.nats = math.inf
    for update in range(n_updates):
        found = StateMap(*leaves[:3])
        loss = nats(system, data, found, leaves[3], substeps=settings.substeps)
        value = float(loss.detach())
        if value < best:
            best = trial.nats = value
            trial.map = StateMap(*(leaf.detach().clone() for leaf in leaves[:3]))
            trial.logits = leaves[3].detach().clone()
        optimiser.step(loss, settings.rate * (0.02 + 0.49 * (1.0 + math.cos(math.pi * update / n_updates))))


def nats(system: System, data: Scores, found: StateMap, logits: Tensor, *, substeps: int) -> Tensor:
    """Minus the log-likelihood with the logits' prior, a step and state."""
    states = found.states(data.scores)
    drive = None if data.drive is None else data.drive[:, :-1]
    predicted = flow(system, states[:, :-1], logits, data.steps_s, drive, substeps=substeps)
    error = (states[:, 1:] - predicted) * torch.exp(-found.log_sd)
    pairs = data.pairs
    n = pairs.sum() * states.shape[-1]
    _, volume = torch.linalg.slogdet(found.weight)
    misfit = 0.5 * (error.square() * pairs[..., None]).sum()
    prior = 0.5 * (logits / PRIOR_SD).square().sum()
    total: Tensor = (misfit + prior) / n + found.log_sd.mean() - volume / states.shape[-1]
    return total


def _simulated_moments(system: System, data: Scores, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mean and a square root of the covariance of states, over traces drawn from the prior."""
    n_steps = data.scores.shape[1] - 1
    drive = None if data.drive is None else data.drive[:1, :-1].transpose(0, 1)
    states = solve_system(
        system, system.draw_states(64, generator), system.draw_parameters(64, generator),
        step_s=float(data.steps_s.median()), n_steps=n_steps, drive=drive,
    )  # fmt: skip
    kept = states[:, ~ran_away(system, states)].flatten(0, 1)
    if not len(kept):
        raise EquationInvalid(f"{system.name}: every trace drawn from its prior ran away; narrow the ranges")
    values, vectors = torch.linalg.eigh(torch.cov(kept.mT))
    return kept.mean(0), vectors * values.clamp_min(1e-12).sqrt()


def _turned(moments: tuple[Tensor, Tensor], data: Scores, generator: torch.Generator) -> StateMap:
    """Components made white, turned at random, given the mean and covariance that the equation would give."""
    mean, root = moments
    scores = data.scores[data.seen]
    spread = scores.std(0).clamp_min(1e-9 * float(scores.std()))
    turn, _ = torch.linalg.qr(torch.randn(len(mean), len(mean), dtype=torch.float64, generator=generator))
    weight = root @ turn / spread
    return StateMap(weight, mean - weight @ scores.mean(0), torch.log(0.3 * root.norm(dim=1)))
