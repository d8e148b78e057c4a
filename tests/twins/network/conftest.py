"""True device equations, vectorised in torch, in the place of fitted twins: a stack of nodes that answers like
twins.StackedTwins.

Leaky integrator (τ = 1 ms): dx = (-x + tanh u) dt + sqrt((s tanh|2u| + 0.1 s)² + (s tanh|3x|)²) dW, t in units of τ.
Duffing: q'' = -0.3 q' + q - q³ + F + 0.05 a, da = -(a/0.2) dt + (1/0.2) dW; only q is seen; it starts settled in the well q = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

DT_S = 2e-4


@dataclass(frozen=True)
class Leaky:
    noise: float = 0.05
    tau_s: float = 1e-3


@dataclass(frozen=True)
class Duffing:
    noise: float = 0.05
    time_unit_s: float = 4e-4


class TrueStack:
    """Nodes of true devices; substeps per sample are settable to trade truth for speed."""

    def __init__(self, devices: Sequence[Any], *, leaky_substeps: int = 4, duffing_substeps: int = 10) -> None:
        self.devices = devices
        self.substeps = {Leaky: leaky_substeps, Duffing: duffing_substeps}
        self.groups = [(kind, [i for i, d in enumerate(devices) if type(d) is kind]) for kind in (Leaky, Duffing)]

    def respond(self, drive: Tensor, *, generator: torch.Generator) -> Tensor:
        parts, order = [], []
        for kind, members in self.groups:
            if not members:
                continue
            answer = leaky_response if kind is Leaky else duffing_response
            parts.append(answer(self.devices[members[0]], drive[members], self.substeps[kind], generator))
            order += members
        inverse = torch.argsort(torch.tensor(order))
        return torch.cat(parts)[inverse]


def leaky_response(device: Leaky, drive: Tensor, substeps: int, generator: torch.Generator) -> Tensor:
    s, h = device.noise, DT_S / device.tau_s / substeps
    target, from_drive = torch.tanh(drive) * h, (s * torch.tanh((2 * drive).abs()) + 0.1 * s) ** 2
    noise = torch.randn(
        (drive.shape[-1], substeps, *drive.shape[:2]), generator=generator, dtype=drive.dtype
    ) * math.sqrt(h)
    x = torch.zeros_like(drive[..., 0])
    out = []
    for k in range(drive.shape[-1]):
        out.append(x)
        for j in range(substeps):
            spread = torch.sqrt(from_drive[..., k] + (s * torch.tanh((3 * x).abs())) ** 2)
            x = x * (1 - h) + target[..., k] + spread * noise[k, j]
    return torch.stack(out, dim=-1)


def duffing_response(device: Duffing, drive: Tensor, substeps: int, generator: torch.Generator) -> Tensor:
    h = DT_S / device.time_unit_s / substeps
    settling = 24  # samples of rest before the first, of the preparation
    n_steps = drive.shape[-1]
    decay = math.exp(-h / 0.2)
    kick = math.sqrt(2.5 * (1 - decay**2))
    noise = torch.randn(((n_steps + settling) * substeps, *drive.shape[:2]), generator=generator, dtype=drive.dtype)
    with torch.no_grad():
        force = torch.empty_like(noise)
        a = math.sqrt(2.5) * torch.randn(drive.shape[:2], generator=generator, dtype=drive.dtype)
        for k in range(len(noise)):
            force[k] = a * device.noise
            a = decay * a + kick * noise[k]
    q, v = torch.ones_like(drive[..., 0]), torch.zeros_like(drive[..., 0])
    out = []
    for k in range(-settling, n_steps):
        if k >= 0:
            out.append(q)
        for j in range(substeps):
            total = force[(k + settling) * substeps + j]
            if k >= 0:
                total = total + drive[..., k]
            v = v * (1 - 0.3 * h) + h * (q - q * q * q + total)
            q = q + h * v
    return torch.stack(out, dim=-1)


@pytest.fixture
def true_devices() -> dict[str, Any]:
    return {"leaky": Leaky(), "duffing": Duffing()}


@pytest.fixture
def true_stack() -> Callable[[Sequence[Any]], TrueStack]:
    return TrueStack
