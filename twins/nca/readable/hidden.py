"""What the hidden channels of an automaton encode, and how much it uses them."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.frames import Frames
from twins.nca.model import NcaModel
from twins.nca.pde.neighbourhood import Neighbourhood
from twins.nca.readable.library import Library, evaluated
from twins.nca.readable.regression import Folds, Rows, sparse_fit
from twins.nca.readable.samples import Samples, samples_of_model

_OPERATORS = ("", "∇²", "∂x", "∂y")
_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class HiddenChannel:
    """number: among all channels of the automaton. sd: over cells and time, in the automaton's units. dead: whether it
    (nearly) never changes; nothing is read from such a channel.

    r2_now: share of its variance that is linear in the observed channels here and around (∇², ∂x, ∂y). r2_products: with
    products of observed channels as well. r2_past: linear in the observed channels now and at the earlier samples. So
    1 - r2_products is what it holds that cannot be seen now in this way, and r2_past - r2_now what it remembers.
    terms: its read-out from now, the few that matter, largest part of the variance first, as (name, coefficient).
    use: by how much the observed channels' update changes where this channel is replaced by its mean, over the update.
    """

    number: int
    sd: float
    dead: bool
    r2_now: float
    r2_products: float
    r2_past: float
    terms: tuple[tuple[str, float], ...]
    use: float


@dataclass(frozen=True, slots=True)
class HiddenReading:
    """channels: all hidden ones. lags: how many steps ago the past lies that was looked at."""

    channels: tuple[HiddenChannel, ...]
    lags: tuple[int, ...]

    @property
    def dead(self) -> tuple[int, ...]:
        """Numbers of the channels that never change."""
        return tuple(one.number for one in self.channels if one.dead)

    def markdown(self) -> str:
        """A table with a line a channel."""
        lines = ["## Hidden channels (SIMULATED)", ""]
        lines += [f"The past: {', '.join(map(str, self.lags))} steps before.", ""]
        lines += [
            "| channel | sd | use | R² now | with products | with the past | mostly |",
            "|---|---|---|---|---|---|---|",
        ]
        for one in self.channels:
            told = (
                "dead" if one.dead else " ".join(f"{value:+.3g} {name}" for name, value in one.terms) or "nothing here"
            )
            lines.append(
                f"| {one.number} | {one.sd:.3g} | {one.use:.2g} | {one.r2_now:.3f} | {one.r2_products:.3f} | "
                f"{one.r2_past:.3f} | {told} |"
            )
        return "\n".join(lines)


def read_hidden(
    model: NcaModel,
    frames: Frames,
    *,
    n_frames: int,
    frame: int = 0,
    every: int | None = None,
    n_lags: int = 2,
    dead_below: float = 1e-3,
    generator: torch.Generator | None = None,
) -> HiddenReading:
    """Read the hidden channels along a free run.

    every: steps from sample to sample, and so from lag to lag; by default a quarter of a frame's. n_lags: how many earlier
    samples make up the past. dead_below: standard deviation under which a channel counts as dead.
    Raises AutomatonInvalid where the run is too short, FramesInvalid where it runs away.
    """
    every = max(1, model.steps_per_frame // 4) if every is None else every
    samples = samples_of_model(model, frames, n_frames=n_frames, frame=frame, every=every, generator=generator)
    n_times = samples.fields.shape[0] // frames.n_trials
    if n_times < n_lags + 3:
        raise AutomatonInvalid(f"{n_times} samples are too few for {n_lags} lags: pass more frames, or a smaller every")
    readout = _ReadOut(samples, frames.n_trials, n_lags)
    first = model.automaton.spec.n_channels - samples.hidden.shape[1]
    found = []
    for number, use in enumerate(_uses(model, frames, samples, n_times)):
        sd = float(samples.hidden[:, number].std())
        if sd < dead_below:
            found.append(HiddenChannel(first + number, sd, True, 0.0, 0.0, 0.0, (), use))
        else:
            shares, terms = readout.of(samples.hidden[:, number])
            found.append(HiddenChannel(first + number, sd, False, *shares, terms, use))
    return HiddenReading(tuple(found), tuple(every * lag for lag in range(1, n_lags + 1)))


class _ReadOut:
    """Features of the observed channels, from which hidden ones are read."""

    def __init__(self, samples: Samples, n_trials: int, n_lags: int) -> None:
        self.samples, self.n_skipped = samples, n_trials * n_lags
        self.lines = _lines(samples)
        self.names = (*(f"{operator}{name}" for name in samples.names for operator in _OPERATORS), "1")
        n, n_still = samples.n_channels, len(samples.names) - samples.n_channels
        terms = Library(laplacian_degree=0, degree=2).terms(n, n_still)
        products = evaluated(terms, samples.fields, samples.padding)
        self.products = torch.cat((self.lines[:, :-1], products), dim=1)
        earlier = [torch.roll(self.lines[:, :-1], n_trials * lag, 0) for lag in range(1, n_lags + 1)]
        self.past = torch.cat((self.lines, *earlier), dim=1)

    def of(self, target: Tensor) -> tuple[tuple[float, float, float], tuple[tuple[str, float], ...]]:
        """r2_now, r2_products and r2_past of one hidden channel, and its main terms."""
        now = self._folds(self.lines, target)
        fit = sparse_fit(now, tolerance=_TOLERANCE)
        order = [k for k in np.argsort(-np.abs(fit.coefficients * now.scales)) if fit.coefficients[k] != 0.0]
        terms = tuple((self.names[k], float(fit.coefficients[k])) for k in order[:4])
        others = [self._folds(features, target) for features in (self.products, self.past)]
        products, past = (folds.r2(range(folds.n_terms)) for folds in others)
        return (fit.r2_all, products, past), terms

    def _folds(self, features: Tensor, target: Tensor) -> Folds:
        """Without the first states, which have no past; every third row of cells."""
        groups: dict[int, list[Rows]] = {}
        for state in range(self.n_skipped, len(features)):
            columns = features[state, :, state % 3 :: 3].flatten(1).T.numpy()
            part = (columns, target[state, state % 3 :: 3].flatten().numpy())
            groups.setdefault(self.samples.fold[state], []).append(part)
        return Folds([(np.concatenate([c for c, _ in g]), np.concatenate([t for _, t in g])) for g in groups.values()])


def _lines(samples: Samples) -> Tensor:
    """Each field through each operator, and a constant behind them: (state, feature, y, x)."""
    near = Neighbourhood(samples.padding)
    fields = samples.fields
    seen = (fields, near.laplacian(fields), near.slope_x(fields), near.slope_y(fields))
    return torch.cat((torch.stack(seen, dim=2).flatten(1, 2), torch.ones_like(fields[:, :1])), dim=1)


def _uses(model: NcaModel, frames: Frames, samples: Samples, n_times: int) -> list[float]:
    """Relative change of the observed update, hidden channel by hidden channel."""
    automaton = copy.deepcopy(model.automaton).double()
    known = model.conditions(frames)
    conditions = None if known is None else known.double().repeat(n_times, 1)
    n_observed, n_hidden = samples.n_channels, samples.hidden.shape[1]
    low = torch.tensor(model.scaling.lows, dtype=torch.float64)[:, None, None]
    high = torch.tensor(model.scaling.highs, dtype=torch.float64)[:, None, None]
    n_environment = automaton.spec.n_environment
    state = torch.cat(
        (
            (samples.fields[:, :n_observed] - low) / (high - low),
            samples.fields[:, n_observed : n_observed + n_environment],
            samples.hidden,
        ),
        dim=1,
    )
    with torch.no_grad():
        usual = (automaton.step(state, None, conditions) - state)[:, :n_observed]
        size = max(float(usual.square().mean().sqrt()), 1e-300)
        uses = []
        for number in range(n_hidden):
            wiped = state.clone()
            channel = n_observed + n_environment + number
            wiped[:, channel] = state[:, channel].mean()
            changed = (automaton.step(wiped, None, conditions) - wiped)[:, :n_observed]
            uses.append(float((changed - usual).square().mean().sqrt()) / size)
    return uses
