"""Factors of many small symmetric matrices at once: plain operations where the matrices are small.

A matrix that has no factor gives NaN and harms no other one (LAPACK's routines would refuse the whole batch). Forward
and reverse derivatives go through.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_SMALL = 3  # beyond it, a batched LAPACK call takes less time than the operations one by one


def lower_factor(matrix: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch n n"]:
    """The lower triangular L with L L' = matrix (Cholesky); NaN where there is none."""
    n = matrix.shape[-1]
    if n > _SMALL:
        factor, failed = torch.linalg.cholesky_ex(matrix)
        return torch.where((failed > 0)[..., None, None], torch.nan, factor)
    rows: list[list[Tensor]] = []
    for i in range(n):
        row: list[Tensor] = []
        for j in range(i + 1):
            left = matrix[..., i, j]
            for k in range(j):
                left = left - row[k] * (row[k] if i == j else rows[j][k])
            row.append(torch.sqrt(left) if i == j else left / rows[j][j])
        rows.append(row)
    if n == 1:
        return rows[0][0][..., None, None]
    nothing = torch.zeros_like(matrix[..., 0, 0])
    flat = [entry for row in rows for entry in (*row, *([nothing] * (n - len(row))))]
    return torch.stack(flat, dim=-1).reshape(matrix.shape)


def solve_lower(factor: Float[Tensor, "*batch n n"], right: Float[Tensor, "*batch n m"]) -> Float[Tensor, "*batch n m"]:
    """L^-1 right, for a lower triangular L."""
    n = factor.shape[-1]
    if n > _SMALL:
        solved: Tensor = torch.linalg.solve_triangular(factor, right, upper=False)
        return solved
    rows: list[Tensor] = []
    for i in range(n):
        left = right[..., i, :]
        for k in range(i):
            left = left - factor[..., i, k, None] * rows[k]
        rows.append(left / factor[..., i, i, None])
    return torch.stack(rows, dim=-2)
