"""Automata whose weights are set by hand and do something known exactly: what a trained one could have become.

The first layer has no bias and its activation is relu, so anything linear passes as relu(x) - relu(-x), and a constant comes
in as an environment channel of ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.automaton import Automaton
from twins.nca.spec import NcaSpec, Padding

_BIRTH_AND_DEATH = ((4.0, 1.0), (5.0, -1.0), (7.0, -1.0), (8.0, 1.0))


def heat_automaton(
    diffusion: float = 0.33,
    *,
    n_channels: int = 1,
    padding: Padding = "periodic",
    dt: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> Automaton:
    """The heat equation du/dt = diffusion·∇²u in every channel: one step is one Euler step of `dt`."""
    return linear_automaton([diffusion] * n_channels, padding=padding, dt=dt, dtype=dtype)


def linear_automaton(
    diffusion: Sequence[float],
    *,
    reaction: Sequence[Sequence[float]] | None = None,
    feed: Sequence[float] | None = None,
    padding: Padding = "periodic",
    dt: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> Automaton:
    """Linear reaction and diffusion, dx/dt = diffusion ∇²x + reaction·x + feed: one step is one Euler step of `dt`.

    diffusion, feed: one value a channel. reaction[i][j]: what channel j does to channel i. All channels are observed.
    Raises AutomatonInvalid for sizes that do not fit.
    """
    n_channels = len(diffusion)
    coupling = torch.zeros(n_channels, n_channels, dtype=dtype)
    constant = torch.zeros(n_channels, dtype=dtype)
    if reaction is not None:
        coupling = _sized("reaction", reaction, coupling)
    if feed is not None:
        constant = _sized("feed", feed, constant)
    spec = NcaSpec(
        n_channels=n_channels, n_observed=n_channels, kernels="ID_LAP", padding=padding, hidden_per_channel=2
    )
    rule = torch.stack((coupling, torch.diag(torch.tensor(list(diffusion), dtype=dtype))), dim=2).flatten(1)
    unit = torch.eye(n_channels, dtype=dtype)
    return _with_weights(
        spec, first=torch.cat((rule, -rule)), last=dt * torch.cat((unit, -unit), dim=1), bias=dt * constant
    )


def life_automaton(*, padding: Padding = "periodic", dtype: torch.dtype = torch.float32) -> Automaton:
    """Conway's Game of Life, exactly: one observed channel of 0 and 1, and one environment channel that must be all ones.

    With m = 2·(living neighbours) + (the cell itself), a cell lives next if m is 5, 6 or 7; and relu(m - 4) - relu(m - 5)
    - relu(m - 7) + relu(m - 8) is 1 there and 0 at every other whole number.
    """
    spec = NcaSpec(n_channels=2, n_observed=1, n_environment=1, kernels="GOL", padding=padding)
    first, last = torch.zeros(spec.hidden[0], spec.n_features, dtype=dtype), torch.zeros(2, spec.hidden[0], dtype=dtype)
    for unit, (threshold, weight) in enumerate(_BIRTH_AND_DEATH):
        # what is seen: the cell, its neighbours, the one, the sum of the neighbours' ones
        first[unit] = torch.tensor((1.0, 2.0, -threshold, 0.0))
        last[0, unit] = weight
    first[len(_BIRTH_AND_DEATH), 0], last[0, len(_BIRTH_AND_DEATH)] = 1.0, -1.0  # the cell as it was
    return _with_weights(spec, first=first, last=last, bias=torch.zeros(2, dtype=dtype))


def _with_weights(
    spec: NcaSpec,
    *,
    first: Float[Tensor, "hidden feature"],
    last: Float[Tensor, "channel hidden"],
    bias: Float[Tensor, " channel"],
) -> Automaton:
    automaton = Automaton(spec, generator=torch.Generator()).to(first.dtype)
    with torch.no_grad():
        automaton.hidden_weights[0].copy_(first)
        automaton.out_weight.copy_(last)
        automaton.out_bias.copy_(bias)
    return automaton


def _sized(name: str, given: Sequence[Sequence[float]] | Sequence[float], like: Tensor) -> Tensor:
    values = torch.tensor(given, dtype=like.dtype)
    if values.shape != like.shape:
        raise AutomatonInvalid(f"{name} must have the shape {tuple(like.shape)}, not {tuple(values.shape)}")
    return values
