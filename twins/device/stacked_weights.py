"""The weights of N twins, folded with what whitens their inputs and laid out for one product a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import pad

from twins.device.twin import DeviceTwin


def kernel_expresses(twin: DeviceTwin) -> bool:
    """Whether the fast kernel can advance it: Euler steps of a linear backbone and paired nets, at most a noise of its own."""
    spec = twin.spec
    if (spec.n_drive, spec.n_response) != (1, 1):
        return False
    own_nets = spec.diffusion_hidden not in (None, spec.hidden)
    others = spec.noise_columns or spec.auxiliaries or spec.backbone_order > 1 or spec.scheme != "euler"
    return not own_nets and not others


def pack(twins: Sequence[DeviceTwin]) -> dict[str, Tensor]:
    """The tensors of StackedWeights, "bias_in" (node, 1, C) and "condition_in" (node, condition, C), what conditions add to it.

    The first layer gives [drift net | diffusion net | linear model], the others keep the two nets apart, and the last
    has the outputs [mean increment, raw spread]. A window's samples are OLDEST first, normalised, and padded with zero
    weights where twins or their response and drive differ in delays, as conditions are; the linear model gives x + its
    increment. Weights of tanh nets are rewritten for sigmoids, tanh x = 2 sigmoid(2 x) - 1, which a CPU computes several
    times faster.
    """
    widths, delays = _widths(twins), longest_delays(twins)
    n_conditions = max(twin.spec.n_conditions for twin in twins)
    nodes = [_pack_node(twin, widths, delays, n_conditions) for twin in twins]
    if twins[0].spec.activation == "tanh":
        nodes = [_for_sigmoid(node) for node in nodes]
    nodes = [_laid_out(node) for node in nodes]
    return {
        name: (torch.cat if name.startswith("inner_") else torch.stack)([node[name] for node in nodes])
        for name in nodes[0]
    }


def n_inner_layers(packed: Mapping[str, Tensor]) -> int:
    """Layers between the first and the last."""
    return sum(name.startswith("inner_weight_") for name in packed)


def _widths(twins: Sequence[DeviceTwin]) -> tuple[int, ...]:
    return tuple(max(widths) for widths in zip(*(twin.spec.hidden for twin in twins), strict=True))


def longest_delays(twins: Sequence[DeviceTwin]) -> tuple[int, int]:
    """Of response and drive."""
    return max(t.spec.response_delays for t in twins), max(t.spec.drive_delays for t in twins)


def _pack_node(
    twin: DeviceTwin, widths: tuple[int, ...], delays: tuple[int, int], n_conditions: int
) -> dict[str, Tensor]:
    """Weights as (…, in, out)."""
    spec, n_state = twin.spec, twin.spec.response_delays + 1
    weights, biases = ([p.detach() for p in part] for part in (twin.nets.weights, twin.nets.biases))
    scale = twin.increment_scale
    loudness = scale * twin.noise_mask * spec.noise_diagonal
    first, bias = _beside(twin.features @ weights[0], widths[0]), _beside(biases[0], widths[0])
    linear = twin.linear_weight.detach().clone()
    linear[0] += 1.0  # the newest sample itself: the column gives the next state, not the increment
    first, bias = torch.cat((first, linear), 1), torch.cat((bias, twin.linear_bias.detach().unsqueeze(0)), 1)
    n_driven = n_state + spec.drive_delays + 1
    packed = {
        "state_in": pad(first[:n_state].flip(0), (0, 0, delays[0] - spec.response_delays, 0)),
        "drive_in": pad(first[n_state:n_driven].flip(0), (0, 0, delays[1] - spec.drive_delays, 0)),
        "bias_in": bias,
        "condition_in": pad(first[n_driven:], (0, 0, 0, n_conditions - spec.n_conditions)),
        "out_weight": torch.cat([_below(weights[-1][net], widths[-1], net) for net in (0, 1)], 1)
        * torch.cat((scale, torch.ones_like(scale))),
        "out_bias": torch.cat((biases[-1][0] * scale, biases[-1][1]), 1),
        "noise_scale": loudness,
        "noise_floor": loudness * spec.noise_floor,
    }
    for number, (n_in, n_out) in enumerate(pairwise(widths)):
        packed[f"inner_weight_{number}"] = _padded(weights[number + 1], n_in, n_out)
        packed[f"inner_bias_{number}"] = _padded(biases[number + 1], 1, n_out)
    return packed


def _laid_out(node: dict[str, Tensor]) -> dict[str, Tensor]:
    """Response and drive in one window, and weights as (…, out, in)."""
    state, drive = node["state_in"], node["drive_in"]
    n_window = max(len(state), len(drive))
    sides = [pad(side, (0, 0, n_window - len(side), 0)) for side in (state, drive)]
    turned = {name: tensor.mT for name, tensor in node.items() if name.startswith(("inner_", "out_"))}
    kept = {name: node[name] for name in ("bias_in", "condition_in", "noise_scale", "noise_floor")}
    return {"window_in": torch.stack(sides, 1).flatten(0, 1).mT, **turned, **kept}


def _for_sigmoid(node: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same function with sigmoids: hidden sums doubled, hidden values h replaced by 2 h - 1 in what follows."""
    changed = dict(node)
    for name in ("state_in", "drive_in", "bias_in", "condition_in"):
        changed[name] = torch.cat((2.0 * node[name][:, :-1], node[name][:, -1:]), 1)
    for name, weight in node.items():
        if name.startswith("inner_weight_"):
            bias = name.replace("weight", "bias")
            changed[name], changed[bias] = 4.0 * weight, 2.0 * (node[bias] - weight.sum(-2, keepdim=True))
    changed["out_bias"] = node["out_bias"] - node["out_weight"].sum(0, keepdim=True)
    changed["out_weight"] = 2.0 * node["out_weight"]
    return changed


def _beside(pair: Tensor, width: int) -> Tensor:
    """(2, rows, out) -> (rows, 2 · width): the two nets side by side."""
    return torch.cat([pad(net, (0, width - net.shape[1])) for net in pair], 1)


def _below(weight: Tensor, width: int, net: int) -> Tensor:
    """(in, 1) of one net -> (2 · width, 1) with zeros at the other's rows."""
    before = net * width
    return pad(weight, (0, 0, before, 2 * width - before - len(weight)))


def _padded(nets: Tensor, n_in: int, n_out: int) -> Tensor:
    """(net, in, out) with zeros up to these numbers."""
    return pad(nets, (0, n_out - nets.shape[2], 0, n_in - nets.shape[1]))
