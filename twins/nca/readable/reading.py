"""From samples to a rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.frames import Frames
from twins.nca.model import NcaModel
from twins.nca.pde.equation import Pde
from twins.nca.pde.neighbourhood import Neighbourhood
from twins.nca.readable.library import Library, Term, evaluated
from twins.nca.readable.regression import Folds, Rows, SparseFit, sparse_fit
from twins.nca.readable.rule import ChannelRule, Coefficient, ReadableRule
from twins.nca.readable.samples import Samples, samples_of_frames, samples_of_model, samples_of_pde
from twins.nca.spec import Padding

_MOST_CELLS = 100_000
_BANDS = 4
_MOST_PAIRED = 12
TOLERANCE = 1e-3
"""Share of a rate's variance that one gives up for a shorter rule."""


def read_rule(
    samples: Samples,
    library: Library | None = None,
    *,
    tolerance: float = TOLERANCE,
    only: Sequence[str] | None = None,
    most_cells: int = _MOST_CELLS,
) -> ReadableRule:
    """Sparse regression of each channel's rate on the library.

    tolerance: see ``sparse_fit``. only: these terms by name, without choosing. most_cells: evenly spread over all.
    Raises AutomatonInvalid for terms that are not in the library, or fewer cells than terms.
    """
    n = samples.n_channels
    terms = (library or Library()).terms(n, len(samples.names) - n)
    names = tuple(term.name(samples.names) for term in terms)
    kept = numbers_of(only, names)
    parts = columns_of(samples, terms, most_cells)
    channels = []
    for number in range(n):
        rows: list[Rows] = [(columns, rates[:, number]) for columns, rates, _ in parts]
        fit = sparse_fit(Folds(rows), tolerance=tolerance, only=kept)
        rate_sd = float(np.concatenate([rate for _, rate in rows]).std())
        with_hidden = None
        if samples.hidden.shape[1]:
            wide = [(np.column_stack((c, h)), r[:, number]) for c, r, h in parts]
            with_hidden = Folds(wide).r2(range(wide[0][0].shape[1]))
        coefficients = _coefficients(fit, names)
        channels.append(ChannelRule(samples.names[number], coefficients, fit.r2, fit.r2_all, with_hidden, rate_sd))
    n_cells = sum(len(columns) for columns, _, _ in parts)
    return ReadableRule(tuple(channels), names, samples.source, samples.time_unit, samples.simulated, n_cells)


def read_model(
    model: NcaModel,
    frames: Frames,
    *,
    n_frames: int,
    frame: int = 0,
    every: int = 1,
    perturbation_sd: float = 0.0,
    generator: torch.Generator | None = None,
    library: Library | None = None,
    tolerance: float = TOLERANCE,
    only: Sequence[str] | None = None,
) -> ReadableRule:
    """The effective rule of an automaton, from its single steps along a free run (see ``samples_of_model``)."""
    samples = samples_of_model(
        model, frames, n_frames=n_frames, frame=frame, every=every, perturbation_sd=perturbation_sd, generator=generator
    )
    return read_rule(samples, library, tolerance=tolerance, only=only)


def read_frames(
    frames: Frames,
    *,
    padding: Padding = "periodic",
    at: Literal["start", "mean"] = "start",
    library: Library | None = None,
    tolerance: float = TOLERANCE,
    only: Sequence[str] | None = None,
) -> ReadableRule:
    """The rule in image sequences themselves (see ``samples_of_frames``)."""
    return read_rule(samples_of_frames(frames, padding=padding, at=at), library, tolerance=tolerance, only=only)


def read_pde(pde: Pde, like: Samples, *, library: Library | None = None, tolerance: float = TOLERANCE) -> ReadableRule:
    """An equation in the same terms, from its own rates on the same states: what a learned rule is compared with."""
    return read_rule(samples_of_pde(pde, like), library, tolerance=tolerance)


def numbers_of(only: Sequence[str] | None, names: tuple[str, ...]) -> list[int] | None:
    """Of terms by name. Raises AutomatonInvalid for one that is not in the library."""
    unknown = [name for name in only or () if name not in names]
    if unknown:
        raise AutomatonInvalid(f"no term {unknown[0]!r} in the library; there are {', '.join(names)}")
    return None if only is None else [names.index(name) for name in only]


def columns_of(
    samples: Samples, terms: tuple[Term, ...], most_cells: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each fold (cell, term), (cell, channel) and (cell, feature of the hidden channels). Raises AutomatonInvalid for
    fewer cells than terms."""
    n_states, _, n_rows, n_columns = samples.fields.shape
    every = max(1, n_states * n_rows * n_columns // most_cells)
    folds: dict[int, list[tuple[np.ndarray, ...]]] = {}
    bands = len(set(samples.fold)) < 2  # too few states to hold any out: hold out bands of rows
    for state, fold in enumerate(samples.fold):
        one = slice(state, state + 1)
        seen = evaluated(terms, samples.fields[one], samples.padding)
        hidden = hidden_features(samples.hidden[one], samples.fields[one, : samples.n_channels], samples.padding)
        rows = torch.arange(n_rows * n_columns) // n_columns * _BANDS // n_rows
        parts = [(band, rows == band) for band in range(_BANDS)] if bands else [(fold, rows >= 0)]
        for key, inside in parts:
            columns = [
                x[0].flatten(1)[:, inside][:, state % every :: every].T for x in (seen, samples.rates[one], hidden)
            ]
            folds.setdefault(key, []).append(tuple(column.numpy() for column in columns))
    parts_of = [
        (
            np.concatenate([p[0] for p in fold]),
            np.concatenate([p[1] for p in fold]),
            np.concatenate([p[2] for p in fold]),
        )
        for fold in folds.values()
    ]
    if min(len(columns) for columns, _, _ in parts_of) < len(terms) + parts_of[0][2].shape[1]:
        raise AutomatonInvalid(f"{len(terms)} terms need more cells in each part of the data: pass more frames")
    return parts_of


def hidden_features(hidden: Tensor, observed: Tensor, padding: Padding) -> Tensor:
    """Hidden channels, their Laplacians, their products with the observed ones and, where they are few, with each other."""
    n_hidden = hidden.shape[1]
    parts = [hidden, Neighbourhood(padding).laplacian(hidden)]
    parts.append((hidden[:, :, None] * observed[:, None]).flatten(1, 2))
    if n_hidden <= _MOST_PAIRED:
        first, second = torch.triu_indices(n_hidden, n_hidden)
        parts.append(hidden[:, first] * hidden[:, second])
    return torch.cat(parts, dim=1)


def _coefficients(fit: SparseFit, names: tuple[str, ...]) -> tuple[Coefficient, ...]:
    return tuple(
        Coefficient(name, float(value), float(error))
        for name, value, error in zip(names, fit.coefficients, fit.standard_errors, strict=True)
        if value != 0.0
    )
