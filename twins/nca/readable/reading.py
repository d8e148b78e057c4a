"""From rates to a rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twins.nca.pde.equation import Pde
from twins.nca.readable.columns import columns_of, numbers_of
from twins.nca.readable.library import Library
from twins.nca.readable.regression import Folds, Rows, SparseFit, sparse_fit
from twins.nca.readable.rule import ChannelRule, Coefficient, ReadableRule
from twins.nca.readable.samples import Samples, samples_of_pde

_MOST_CELLS = 100_000
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


def read_pde(pde: Pde, like: Samples, *, library: Library | None = None, tolerance: float = TOLERANCE) -> ReadableRule:
    """An equation in the same terms, from its own rates on the same states: what a learned rule is compared with."""
    return read_rule(samples_of_pde(pde, like), library, tolerance=tolerance)


def _coefficients(fit: SparseFit, names: tuple[str, ...]) -> tuple[Coefficient, ...]:
    return tuple(
        Coefficient(name, float(value), float(error))
        for name, value, error in zip(names, fit.coefficients, fit.standard_errors, strict=True)
        if value != 0.0
    )
