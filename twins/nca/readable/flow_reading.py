"""The rule of a whole frame: the equation whose own steps over a frame lead where an automaton, or the data, lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.readable.columns import columns_of, hidden_features, numbers_of
from twins.nca.readable.flow import Flow, Place
from twins.nca.readable.flow_choice import FittedFlow, chosen_flow, fitted_flow
from twins.nca.readable.flow_fit import FlowProblem
from twins.nca.readable.library import Library, Term
from twins.nca.readable.pairs import FramePairs
from twins.nca.readable.reading import TOLERANCE
from twins.nca.readable.regression import Folds, Rows, sparse_fit
from twins.nca.readable.rule import ChannelRule, Coefficient, ReadableRule

_MOST_CELLS, _FEWEST_STATES = 10_000, 8
_MOST_TERMS = 12
"""Of a channel, that are tried through the flow; more are sorted out by the rates at first."""


def read_flow(
    pairs: FramePairs,
    library: Library | None = None,
    *,
    tolerance: float = TOLERANCE,
    only: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    most_cells: int = _MOST_CELLS,
) -> ReadableRule:
    """Fit the coefficients with which n_steps Euler steps of an equation lead from the pairs' fields to what is there a
    frame later, by nonlinear least squares from the rates as a start.

    A single step of an automaton with many steps a frame is not told by its data; where a frame leads is. tolerance: the
    share of a frame's mean square change that one gives up for a shorter rule. only: these terms by name, of all channels or
    of each by its name, without choosing. most_cells: evenly spread states of that many cells are looked at, 8 at least. Raises
    AutomatonInvalid as ``read_rule`` does.
    """
    pairs = _thinned(pairs, most_cells)
    names, n = pairs.samples.names, pairs.samples.n_channels
    terms = (library or Library()).terms(n, len(names) - n)
    told = tuple(term.name(names) for term in terms)
    forced = _forced(only, names[:n], told)
    problem = FlowProblem(_flow(terms, pairs), pairs)
    coefficients, likely = _start(pairs, terms, forced)
    wanted = [(channel, k) for channel in range(n) for k in (likely if forced is None else forced)[channel]]
    if pairs.after.numel() < 2 * len(wanted) * len(problem.parts):
        raise AutomatonInvalid(f"{len(wanted)} coefficients need more cells: pass more frames")
    if problem.misfit(coefficients) > 1.0:  # worse than no change
        coefficients = torch.zeros_like(coefficients)
    if forced is None:
        fit, full = chosen_flow(problem, coefficients, wanted, tolerance=tolerance)
    else:
        fit = full = fitted_flow(problem, coefficients, wanted, most_steps=20)
    channels = _channels(problem, fit, full, told)
    n_cells = pairs.after.shape[0] * pairs.after.shape[2] * pairs.after.shape[3]
    samples = pairs.samples
    return ReadableRule(
        channels, told, samples.source, samples.time_unit, samples.simulated, n_cells, n_steps=pairs.n_steps
    )


def left_over(rule: ReadableRule, pairs: FramePairs, library: Library | None = None) -> tuple[float, ...]:
    """How far a rule is off over the frames of these pairs: one a channel, root mean square in units of the change, so that
    predicting no change has 1. library: the one the rule was read with."""
    n, names = pairs.samples.n_channels, pairs.samples.names
    terms = (library or Library()).terms(n, len(names) - n)
    told = [term.name(names) for term in terms]
    coefficients = torch.zeros(n, len(terms), dtype=pairs.fields.dtype)
    for channel, one in enumerate(rule.channels):
        for coefficient in one.coefficients:
            coefficients[channel, told.index(coefficient.term)] = coefficient.value
    return _off(FlowProblem(_flow(terms, pairs), pairs), coefficients)


def _forced(
    only: Sequence[str] | Mapping[str, Sequence[str]] | None, channels: Sequence[str], told: tuple[str, ...]
) -> list[list[int]] | None:
    """Of each channel."""
    if only is None:
        return None
    by_channel = only if isinstance(only, Mapping) else dict.fromkeys(channels, only)
    return [numbers_of(by_channel.get(channel, ()), told) or [] for channel in channels]


def _flow(terms: Sequence[Term], pairs: FramePairs) -> Flow:
    n, padding = pairs.samples.n_channels, pairs.samples.padding
    return Flow(terms, n_channels=n, n_steps=pairs.n_steps, dt=pairs.dt, padding=padding)


def _thinned(pairs: FramePairs, most_cells: int) -> FramePairs:
    n_states, _, n_rows, n_columns = pairs.fields.shape
    n_kept = max(_FEWEST_STATES, most_cells // (n_rows * n_columns))
    if n_kept >= n_states:
        return pairs
    return pairs.of(np.unique(np.linspace(0, n_states - 1, n_kept).round().astype(int)))


def _start(
    pairs: FramePairs, terms: tuple[Term, ...], forced: list[list[int]] | None
) -> tuple[Tensor, list[list[int]]]:
    """Coefficients from the rates, and the likeliest terms of each channel, all of them where they are few."""
    samples = pairs.samples
    coefficients = torch.zeros(samples.n_channels, len(terms), dtype=pairs.fields.dtype)
    parts = columns_of(samples, terms, _MOST_CELLS)
    likely = []
    for channel in range(samples.n_channels):
        folds = Folds([(columns, rates[:, channel]) for columns, rates, _ in parts])
        found = sparse_fit(folds, tolerance=TOLERANCE, only=None if forced is None else forced[channel]).coefficients
        coefficients[channel] = torch.from_numpy(found)
        longest = next(kept for kept in folds.dropped_one_by_one() if len(kept) <= _MOST_TERMS)
        likely.append(sorted({*longest, *np.flatnonzero(found).tolist()}))
    return coefficients, likely


def _off(problem: FlowProblem, coefficients: Tensor) -> tuple[float, ...]:
    over = problem.residuals(coefficients).square().mean(dim=(0, 2, 3)) / _moved(problem)
    found: list[float] = over.sqrt().tolist()
    return tuple(found)


def _moved(problem: FlowProblem) -> Tensor:
    """Of each channel, the mean square change, as it is weighed."""
    return (problem.pairs.changes * problem.weights).square().mean(dim=(0, 2, 3)).clamp_min(1e-24)


def _channels(problem: FlowProblem, fit: FittedFlow, full: FittedFlow, told: Sequence[str]) -> tuple[ChannelRule, ...]:
    pairs, moved = problem.pairs, _moved(problem).numpy()
    shares, all_shares = (1.0 - one.held_out.mean(axis=0) / moved for one in (fit, full))
    off = _off(problem, fit.coefficients)
    rates = (pairs.changes / (pairs.n_steps * pairs.dt)).std(dim=(0, 2, 3)).tolist()
    with_hidden = _with_hidden(problem, full, moved) if pairs.hidden.shape[1] else None
    own = pairs.own_errors or (None,) * len(off)
    return tuple(
        ChannelRule(
            pairs.samples.names[channel], _coefficients(fit, channel, told), float(shares[channel]),
            float(all_shares[channel]), None if with_hidden is None else with_hidden[channel], rates[channel],
            nrmse=off[channel], own_error=own[channel],
        )
        for channel in range(len(off))
    )  # fmt: skip


def _coefficients(fit: FittedFlow, channel: int, told: Sequence[str]) -> tuple[Coefficient, ...]:
    kept: list[Place] = [place for place in fit.kept if place[0] == channel]
    return tuple(
        Coefficient(told[place[1]], float(fit.coefficients[place]), float(fit.errors[place])) for place in kept
    )


def _with_hidden(problem: FlowProblem, full: FittedFlow, moved: np.ndarray) -> list[float]:
    """The share that all terms and the hidden channels as the frame begins explain: of what the terms leave over, linear."""
    residuals, pairs = problem.residuals(full.coefficients), problem.pairs
    n_observed = residuals.shape[1]
    rows: list[list[Rows]] = [[] for _ in range(n_observed)]
    for part in problem.parts:
        columns, values = [], []
        for state in range(len(residuals)):
            inside = problem.folds[state] == part
            features = hidden_features(
                pairs.hidden[state : state + 1], pairs.fields[state : state + 1, :n_observed], pairs.samples.padding
            )[0]
            columns.append(features[:, inside].T.numpy())
            values.append(residuals[state][:, inside].T.numpy())
        for channel in range(n_observed):
            rows[channel].append((np.concatenate(columns), np.concatenate(values)[:, channel]))
    errors = [Folds(one).held_out_errors(range(one[0][0].shape[1])).mean() for one in rows]
    return [float(1.0 - error / change) for error, change in zip(errors, moved, strict=True)]
