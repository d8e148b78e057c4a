"""Formulations in torch, on any device, in any precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import conv2d, linear

from twins.nca.kernels import KERNELS, kernel
from twins.nca.perceive import padded, products

if TYPE_CHECKING:
    from twins.nca.automaton import Automaton

Change = Callable[[Tensor], Tensor]
"""From a state to by how much it is to change."""

_NORM_FLOOR = 1e-12
"""As in twins.nca.perceive."""


def plain(
    automaton: Automaton, state: Tensor, overshoot: Tensor, masks: Sequence[Tensor | None], conditions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Step by step as the automaton is written: state and overshoot after as many steps as there are masks."""
    for fired in masks:
        state = automaton.step(state, fired, conditions)
        overshoot = overshoot + _overshoot(state)
    return state, overshoot


def folded(
    automaton: Automaton, state: Tensor, overshoot: Tensor, masks: Sequence[Tensor | None], conditions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As plain; not for sets of kernels with NORM, which is no kernel."""
    return _steps(automaton, _folded_change(automaton, conditions), state, overshoot, masks)


def sliced(
    automaton: Automaton, state: Tensor, overshoot: Tensor, masks: Sequence[Tensor | None], conditions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As plain."""
    state = state.contiguous(memory_format=torch.channels_last)
    return _steps(automaton, _sliced_change(automaton, conditions), state, overshoot, masks)


def _steps(
    automaton: Automaton, change: Change, state: Tensor, overshoot: Tensor, masks: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor]:
    for fired in masks:
        state = automaton.changed(state, change(state), fired)
        overshoot = overshoot + _overshoot(state)
    return state.contiguous(), overshoot


def _overshoot(state: Tensor) -> Tensor:
    return (torch.relu(-state) + torch.relu(state - 1.0)).sum(dim=(1, 2, 3))


def _seen(automaton: Automaton, state: Tensor) -> Tensor:
    return torch.cat((state, products(state)), dim=1) if automaton.spec.order == 2 else state


def _folded_change(automaton: Automaton, conditions: Tensor | None) -> Change:
    spec, first = automaton.spec, automaton.hidden_weights[0]
    kernels = torch.stack([kernel(name, like=first) for name in spec.features])
    by_kernel = first.reshape(len(first), spec.n_seen_channels, len(spec.features))
    dense = torch.einsum("hck,kij->hcij", by_kernel, kernels)
    bias = None if conditions is None else (conditions @ automaton.condition_weight.T)[:, :, None, None]

    def change(state: Tensor) -> Tensor:
        hidden = conv2d(padded(_seen(automaton, state), spec.padding), dense)
        return automaton.answer(hidden if bias is None else hidden + bias)

    return change


def _sliced_change(automaton: Automaton, conditions: Tensor | None) -> Change:
    spec = automaton.spec
    first = automaton.hidden_weights[0]
    # features kernel by kernel here, channel by channel there
    by_kernel = first.reshape(len(first), spec.n_seen_channels, len(spec.features)).mT.flatten(1)
    bias = None if conditions is None else (conditions @ automaton.condition_weight.T)[:, None, None]
    activation = automaton.activation

    def change(state: Tensor) -> Tensor:
        features = _slices(padded(_seen(automaton, state), spec.padding).permute(0, 2, 3, 1), spec.features)
        hidden = linear(features, by_kernel)
        hidden = activation(hidden if bias is None else hidden + bias)
        for weight in list(automaton.hidden_weights)[1:]:
            hidden = activation(linear(hidden, weight))
        answer = linear(hidden, automaton.out_weight, automaton.out_bias)
        if spec.gated:
            answer = answer * torch.sigmoid(linear(hidden, automaton.gate_weight, automaton.gate_bias))
        return answer.permute(0, 3, 1, 2)

    return change


def _slices(wide: Tensor, names: tuple[str, ...]) -> Tensor:
    """wide: (batch, y + 2, x + 2, channel). Kernel by kernel, neighbours of equal weight added up first."""
    height, width = wide.shape[1] - 2, wide.shape[2] - 2
    taps = [[wide[:, i : i + height, j : j + width] for j in range(3)] for i in range(3)]
    wanted = names if "NORM" not in names else (*names, *(n for n in ("DX", "DY") if n not in names))
    sums: dict[tuple[tuple[int, int, int], ...], Tensor] = {}
    features: dict[str, Tensor] = {}
    for name in wanted:
        if name == "NORM":
            continue
        groups: dict[float, list[tuple[int, int, int]]] = {}
        for i, row in enumerate(KERNELS[name]):
            for j, weight in enumerate(row):
                if weight:
                    groups.setdefault(abs(weight), []).append((i, j, 1 if weight > 0 else -1))
        parts = []
        for weight, group in groups.items():
            if tuple(group) not in sums:
                sums[tuple(group)] = _sum(taps, group)
            parts.append(sums[tuple(group)] if weight == 1.0 else weight * sums[tuple(group)])
        features[name] = sum(parts[1:], start=parts[0])
    if "NORM" in names:
        features["NORM"] = (features["DX"].square() + features["DY"].square() + _NORM_FLOOR).sqrt()
    return torch.cat([features[name] for name in names], dim=-1)


def _sum(taps: list[list[Tensor]], group: list[tuple[int, int, int]]) -> Tensor:
    total: Tensor | None = None
    for i, j, sign in sorted(group, key=lambda tap: -tap[2]):
        tap = taps[i][j]
        total = (tap if sign > 0 else -tap) if total is None else (total + tap if sign > 0 else total - tap)
    assert total is not None  # every kernel has a weight
    return total
