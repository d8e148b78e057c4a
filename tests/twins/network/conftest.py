"""True device equations, vectorised in torch, in the place of fitted twins: stacks that answer like twins.StackedTwins.

Leaky integrator, t in units of τ: dx = (-x + tanh u) dt + sqrt((s tanh|2u| + 0.1 s)² + (s tanh|3x|)²) dW.
Duffing: q'' = -0.3 q' + q - q³ + F + 0.05 a, da = -(a/0.2) dt + (1/0.2) dW; only q is seen; it begins in the well q = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from twins.network import Architecture, DevicePort, DriveLine, SenseLine, Wiring, random_wiring

DT_S = 2e-4
SETTLING_SAMPLES = 24


@dataclass(frozen=True)
class Leaky:
    noise: float = 0.05
    tau_s: float = 1e-3


@dataclass(frozen=True)
class Duffing:
    noise: float = 0.05
    time_unit_s: float = 4e-4


class TrueStack:
    """Nodes of true devices. Substeps a sample trade truth for speed; 1 and 2 already resemble a fitted twin."""

    def __init__(self, devices: Sequence[Any], *, leaky_substeps: int = 1, duffing_substeps: int = 2) -> None:
        self.devices = devices
        self.substeps = {Leaky: leaky_substeps, Duffing: duffing_substeps}

    def respond(self, drive: Tensor, *, generator: torch.Generator) -> Tensor:
        parts, order = [], []
        for kind, answer in ((Leaky, leaky_response), (Duffing, duffing_response)):
            members = [i for i, device in enumerate(self.devices) if type(device) is kind]
            if members:
                parts.append(answer(self.devices[members[0]], drive[members], self.substeps[kind], generator))
                order += members
        return torch.cat(parts)[torch.argsort(torch.tensor(order))]


def leaky_response(device: Leaky, drive: Tensor, substeps: int, generator: torch.Generator) -> Tensor:
    s, h = device.noise, DT_S / device.tau_s / substeps
    target, from_drive = torch.tanh(drive) * h, (s * torch.tanh((2 * drive).abs()) + 0.1 * s) ** 2
    shape = (drive.shape[-1], substeps, *drive.shape[:2])
    noise = torch.randn(shape, generator=generator, dtype=drive.dtype) * math.sqrt(h)
    x = torch.zeros_like(drive[..., 0])
    out = []
    for k in range(drive.shape[-1]):
        out.append(x)
        for j in range(substeps):
            spread = torch.sqrt(from_drive[..., k] + (s * torch.tanh((3 * x).abs())) ** 2) if s else 0.0
            x = x * (1 - h) + target[..., k] + spread * noise[k, j]
    return torch.stack(out, dim=-1)


def duffing_response(device: Duffing, drive: Tensor, substeps: int, generator: torch.Generator) -> Tensor:
    h = DT_S / device.time_unit_s / substeps
    n_samples = SETTLING_SAMPLES + drive.shape[-1]
    force = device.noise * coloured_noise(n_samples * substeps, drive[..., 0], h, generator)
    pushed = torch.nn.functional.pad(drive, (SETTLING_SAMPLES, 0))
    q, v = torch.ones_like(drive[..., 0]), torch.zeros_like(drive[..., 0])
    out = []
    for k in range(n_samples):
        out.append(q)
        for j in range(substeps):
            v = v * (1 - 0.3 * h) + h * (q - q * q * q + pushed[..., k] + force[k * substeps + j])
            q = q + h * v
    return torch.stack(out[SETTLING_SAMPLES:], dim=-1)


def coloured_noise(n: int, like: Tensor, h: float, generator: torch.Generator) -> Tensor:
    keep = math.exp(-h / 0.2)
    kicks = math.sqrt(2.5 * (1 - keep**2)) * torch.randn((n, *like.shape), generator=generator, dtype=like.dtype)
    a = math.sqrt(2.5) * torch.randn(like.shape, generator=generator, dtype=like.dtype)
    out = torch.empty_like(kicks)
    for k in range(n):
        out[k] = a
        a = keep * a + kicks[k]
    return out


@pytest.fixture
def true_stack() -> Callable[[Sequence[Any]], TrueStack]:
    return TrueStack


@pytest.fixture
def devices() -> dict[str, Any]:
    return {"leaky": Leaky(), "duffing": Duffing()}


@pytest.fixture
def silent_devices() -> dict[str, Any]:
    """The same without noise: every play of the same drive is the same."""
    return {"leaky": Leaky(noise=0.0), "duffing": Duffing(noise=0.0)}


@pytest.fixture
def ports() -> tuple[DevicePort, ...]:
    leaky = DevicePort("leaky", (DriveLine(0.0, 1.999),), (SenseLine(0.0, 0.36),))
    return leaky, DevicePort("duffing", (DriveLine(0.0, 0.3),), (SenseLine(0.88, 0.38),))


@pytest.fixture
def small() -> Architecture:
    return Architecture(
        layers=(("leaky", "duffing", "leaky"), ("duffing", "leaky")),
        samples_per_step=3,
        sample_offsets=(0, 2),
        dt_s=DT_S,
        input_taps=(0, 2),
        coupling_delays=(0, 1),
        n_inputs=2,
    )


@pytest.fixture
def twelve() -> Callable[..., Architecture]:
    """The twelve nodes of the demo; taps differ between tasks."""

    def make(input_taps: Sequence[int], washout: int) -> Architecture:
        layer = ("leaky",) * 4 + ("duffing",) * 2
        return Architecture((layer, layer), 3, (0, 1, 2), DT_S, input_taps=tuple(input_taps), washout=washout)

    return make


@pytest.fixture
def wiring(small: Architecture, ports: tuple[DevicePort, ...]) -> Wiring:
    return random_wiring(small, ports, np.random.default_rng(4))


@pytest.fixture
def drain() -> Callable[[Any], Any]:
    """Run a generator to its end: .events that it yielded, .result that it returned."""

    def run(generator: Any) -> SimpleNamespace:
        events = []
        while True:
            try:
                events.append(next(generator))
            except StopIteration as end:
                return SimpleNamespace(events=events, result=end.value)

    return run
