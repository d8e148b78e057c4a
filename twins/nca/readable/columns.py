"""What is regressed on what: terms of the fields, and what hidden channels hold, cell by cell and in parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.pde.neighbourhood import Neighbourhood
from twins.nca.readable.library import Term, evaluated
from twins.nca.readable.samples import Samples
from twins.nca.spec import Padding

_BANDS = 4
_MOST_PAIRED = 12


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
