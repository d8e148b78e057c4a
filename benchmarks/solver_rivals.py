"""The equations of solver_speed.py, and each implementation's way to solve them: forward, loss, gradients.

Every implementation draws its own noise in every run, as in training, and returns the gradients of the mean square of
the path. The rivals are made as strong as we could: drift and diffusion of all nodes in one batched product, tanh by
the faster of torch.tanh and 2 sigmoid(2 x) - 1 (ours uses the latter), float64 times, Brownian motion with its step
told, and once with the increments drawn beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torchsde
from torch import Tensor, nn
from torch.nn.functional import softplus

from twins.solver import PairedSDE, solve

DT = 0.01
SPREAD, FLOOR = 0.3, 0.1
Run = Callable[[], Any]


@dataclass(frozen=True)
class Size:
    """One benchmark: N nodes of `state` states each, coupled through one input each if there are several."""

    nodes: int
    state: int
    hidden: tuple[int, ...]
    batch: int
    steps: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Of all layers, the input's and the output's included."""
        return (self.state + (self.nodes > 1), *self.hidden, self.state)


SIZES = {
    "S1": Size(nodes=1, state=4, hidden=(64, 64), batch=64, steps=200),
    "S2": Size(nodes=1, state=8, hidden=(128, 128, 128), batch=256, steps=500),
    "S3": Size(nodes=20, state=4, hidden=(64, 64), batch=32, steps=300),
}


@dataclass(frozen=True)
class Case:
    """Numbers of one benchmark: weights (2, node, in, out), biases (2, node, 1, out), coupling (or None), start."""

    size: Size
    weights: list[Tensor]
    biases: list[Tensor]
    coupling: Tensor | None
    x0: Tensor
    generator: torch.Generator

    @property
    def trained(self) -> list[Tensor]:
        """What gets gradients: the weights, or only the coupling of frozen nodes."""
        return [*self.weights, *self.biases] if self.coupling is None else [self.coupling]

    @property
    def noise_shape(self) -> tuple[int, int, int]:
        """(step, batch, channel)."""
        return self.size.steps, self.size.batch, self.size.nodes * self.size.state


def make_case(name: str, seed: int) -> Case:
    """Weights and starts of this size."""
    size, generator = SIZES[name], torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    pairs, coupling = list(pairwise(size.widths)), None
    weights = [draw(2, size.nodes, n_in, n_out) / math.sqrt(n_in) for n_in, n_out in pairs]
    biases = [0.1 * draw(2, size.nodes, 1, n_out) for _, n_out in pairs]
    if size.nodes > 1:
        coupling = draw(size.nodes * size.state, size.nodes) / math.sqrt(size.nodes * size.state)
    case = Case(size, weights, biases, coupling, draw(size.batch, size.nodes * size.state), generator)
    for tensor in case.trained:
        tensor.requires_grad_()
    return case


def gradients(path: Tensor, case: Case) -> tuple[Tensor, ...]:
    """Of the mean square of the path (step + 1, batch, state)."""
    return torch.autograd.grad(path.square().mean(), case.trained)


def ours(case: Case, backend: str, noise: Tensor | None = None) -> Run:
    """solve() of this repository."""
    sde = PairedSDE(
        weights=tuple(case.weights),
        biases=tuple(case.biases),
        coupling=case.coupling,
        diffusion_scale=SPREAD,
        diffusion_floor=FLOOR,
    )
    arguments: dict[str, Any] = {"dt": DT, "n_steps": case.size.steps, "backend": backend, "noise": noise}
    return lambda: gradients(solve(sde, case.x0, generator=case.generator, **arguments), case)


class TorchsdeModel(nn.Module):
    """The equation as torchsde takes it."""

    sde_type, noise_type = "ito", "diagonal"

    def __init__(self, case: Case, *, sigmoid: bool, fused: bool) -> None:
        super().__init__()
        self.case, self.sigmoid = case, sigmoid
        self.weights, self.biases = ([part.flatten(0, 1) for part in parts] for parts in (case.weights, case.biases))
        self.weights[-1] = self.weights[-1].mT.contiguous().mT  # a narrow product is faster with this order in memory
        if fused:
            self.f_and_g = self._both

    def _rows(self, y: Tensor) -> Tensor:
        nodes, coupling = self.case.size.nodes, self.case.coupling
        if coupling is None:
            return y.unsqueeze(0)
        rows = torch.cat((y.unflatten(1, (nodes, -1)), (y @ coupling).unsqueeze(-1)), dim=-1)
        return rows.transpose(0, 1)

    def _net(self, h: Tensor, part: slice) -> Tensor:
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            if self.sigmoid:
                h = torch.baddbmm(bias[part], h, weight[part], beta=2, alpha=2).sigmoid().mul(2).sub(1)
            else:
                h = torch.baddbmm(bias[part], h, weight[part]).tanh()
        return torch.baddbmm(self.biases[-1][part], h, self.weights[-1][part])

    def _flat(self, out: Tensor) -> Tensor:
        return out[0] if len(out) == 1 else out.transpose(0, 1).flatten(1)

    def _both(self, _t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        nodes, rows = self.case.size.nodes, self._rows(y)
        out = self._net(rows.expand(2, *rows.shape).flatten(0, 1), slice(None))
        return self._flat(out[:nodes]), SPREAD * (softplus(self._flat(out[nodes:])) + FLOOR)

    def f(self, _t: Tensor, y: Tensor) -> Tensor:
        """Drift."""
        return self._flat(self._net(self._rows(y), slice(0, self.case.size.nodes)))

    def g(self, _t: Tensor, y: Tensor) -> Tensor:
        """Diffusion."""
        return SPREAD * (softplus(self._flat(self._net(self._rows(y), slice(self.case.size.nodes, None)))) + FLOOR)


class Drawn:
    """Increments drawn beforehand, handed out in their order."""

    levy_area_approximation = "none"

    def __init__(self, noise: Tensor) -> None:
        increments = noise * math.sqrt(DT)
        self.shape, self.dtype, self.device = noise.shape[1:], noise.dtype, noise.device
        self._next = iter(increments.unbind(0))

    def __call__(self, _ta: Tensor, _tb: Tensor) -> Tensor:
        """The next increment."""
        return next(self._next)


def by_torchsde(case: Case, *, sigmoid: bool, brownian: str, fused: bool = True, noise: Tensor | None = None) -> Run:
    """torchsde.sdeint, method euler, all steps returned; brownian: "drawn", "dt" (its step told) or "default"."""
    times = torch.arange(case.size.steps + 1, dtype=torch.float64) * DT
    # torchsde adds dt up: its last step may be a rounding error long, so it gets an increment more than it needs
    shape = (case.noise_shape[0] + 2, *case.noise_shape[1:])

    def motion() -> Any:
        if brownian == "default":
            return None
        if brownian == "drawn":
            given = torch.randn(shape, generator=case.generator) if noise is None else noise
            return Drawn(torch.cat((given, given[:2])) if noise is not None else given)
        entropy = int(torch.randint(2**31, (1,), generator=case.generator))
        return torchsde.BrownianInterval(0.0, float(times[-1]), size=case.x0.shape, dt=DT, entropy=entropy)

    def run() -> tuple[Tensor, ...]:
        model = TorchsdeModel(case, sigmoid=sigmoid, fused=fused)
        return gradients(torchsde.sdeint(model, case.x0, times, bm=motion(), method="euler", dt=DT), case)

    return run


def gemm_floor(case: Case) -> Run:
    """Only the matrix products that forward and backward cannot do without, a step at a time, into fixed memory."""
    size, rows = case.size, 2 * case.size.nodes

    def laid_out(matrices: Tensor) -> Tensor:  # the order in memory that is faster where columns are few
        return matrices.mT.contiguous().mT if matrices.shape[-1] < 16 else matrices.contiguous()

    weights = [laid_out(weight.detach().flatten(0, 1)) for weight in case.weights]
    turned = [laid_out(weight.mT) for weight in weights]
    layers = [torch.randn(rows, size.batch, width, generator=case.generator) for width in size.widths]
    out = [torch.empty_like(layer) for layer in layers]
    grads = [torch.empty_like(weight) for weight in weights] if case.coupling is None else []

    def run() -> None:
        for _ in range(size.steps):
            for k, weight in enumerate(weights):
                torch.bmm(layers[k], weight, out=out[k + 1])
        for _ in range(size.steps):
            for k in reversed(range(len(weights))):
                torch.bmm(layers[k + 1], turned[k], out=out[k])
                if grads:
                    torch.bmm(layers[k].mT, layers[k + 1], out=grads[k])

    return run
