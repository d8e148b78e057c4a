"""A training step of GOKU-net of 2021 on a SIMULATED video of pendulums: ours and the 2021 way, on one fixed batch.

step_ours: GokuNet with the preset goku_2021, its loss, its optimiser, as fit_goku takes a step. step_ours_torchdiffeq: the
same, but solved by odeint_adjoint: what the solve alone is worth. step_ours_windows: windows of 8 samples in place of
single shooting (with the posterior that windows need). step_2021: the networks of the 2021 code (github orilinial/GOKU,
models/GOKU_pixel_pendulum.py), written anew in plain torch: same layers and sizes, batch-first recurrent networks,
parameters in the state, odeint_adjoint with rk4, squared error, KL, torch's Adam. Its decoder ends in a sigmoid, so ours does.

step_floor: the products of the dense layers alone, forward and backward, which both have in common, by torch.mm, as the
2021 code has them; step_floor_onednn: the large ones by oneDNN, as ours has them (twins/goku/network/products.py).
step_ours_torch_products: ours without oneDNN: what is left of the ratio where MKL is as fast, as on Intel's processors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

BATCH, SAMPLES, PIXELS, STEP_S, GRAVITY = 64, 50, 28, 0.05, 10.0
KL_WEIGHT, LEARNING_RATE, WINDOW_SAMPLES = 1e-5, 1e-3, 8
Step = Callable[[], Any]


def video(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(frames (trace, time, pixel) in 0..1, times in s): a bright bob on a dark ground."""
    from twins.goku.systems import system_named
    from twins.goku.trajectories import solve_system

    system, generator = system_named("pendulum", gravity_m_per_s2=GRAVITY), torch.Generator().manual_seed(seed)
    initial, lengths = system.draw_states(BATCH, generator), system.draw_parameters(BATCH, generator)
    path = solve_system(system, initial, lengths, step_s=STEP_S, n_steps=SAMPLES - 1, substeps=4, backend="loop")
    angle = path[..., 0].T.numpy()
    grid = (np.arange(PIXELS) - 0.5 * PIXELS) / (0.5 * PIXELS)
    reach = 0.35 * lengths.numpy()
    across, down = reach * np.sin(angle), reach * np.cos(angle)
    squared = (grid[None, None, None, :] - across[..., None, None]) ** 2 + (
        grid[None, None, :, None] - down[..., None, None]
    ) ** 2
    return np.exp(-0.5 * squared / 0.1**2).reshape(BATCH, SAMPLES, -1), np.arange(SAMPLES) * STEP_S


def make(way: str, seed: int) -> Step:
    """The step of this name."""
    if way.startswith("step_floor"):
        return step_floor(onednn=way.endswith("onednn"))
    frames, times = video(seed)
    if way == "step_2021":
        return step_2021(frames, times, seed)
    if way == "step_ours_torch_products":
        import twins.goku.network.products

        twins.goku.network.products._HAS_ONEDNN = False
    if way == "step_ours_torchdiffeq":
        import twins.goku.network.shooting

        twins.goku.network.shooting.solve_guarded = solved_by_torchdiffeq
    return step_ours(frames, times, seed, windows=way == "step_ours_windows")


def step_ours(frames: np.ndarray, times: np.ndarray, seed: int, *, windows: bool) -> Step:
    """As fit_goku's, with the settings of 2021."""
    from twins.fitting.adam import FlatAdam
    from twins.goku.network.batch import batch_of
    from twins.goku.network.loss import goku_loss
    from twins.goku.network.model import GokuNet
    from twins.goku.network.spec import goku_2021
    from twins.goku.series import Series
    from twins.goku.systems import system_named

    names = tuple(f"pixel{number}" for number in range(frames.shape[2]))
    series = Series(frames, times, names, ("",) * len(names))
    changes: dict[str, Any] = (
        {"window_samples": WINDOW_SAMPLES, "posterior": "physical", "parameter_map": "sigmoid"} if windows else {}
    )
    system = system_named("pendulum", gravity_m_per_s2=GRAVITY)
    net = GokuNet(
        system, goku_2021(**changes), n_channels=len(names), generator=torch.Generator().manual_seed(seed)
    )  # fmt: skip
    net.adopt(series)
    weights = [parameter for parameter in net.parameters() if parameter.requires_grad]
    adam = FlatAdam(weights, largest_gradient=1e6, betas=(0.9, 0.999))
    batch, draws = net.prepared(batch_of(series)), torch.Generator().manual_seed(seed)

    def step() -> None:
        loss = goku_loss(net, batch, net(*batch.arguments, generator=draws, normalised=True))
        assert loss is not None
        adam.step(loss.total, LEARNING_RATE)

    return step


def solved_by_torchdiffeq(
    system: Any, initial: Tensor, parameters: Tensor, *, step_s: float, n_steps: int, **_options: Any
) -> Any:
    """In place of solve_guarded: the 2021 way, for the pendulum."""
    from twins.goku.trajectories import Solved

    path = adjoint_path(initial, parameters, torch.arange(n_steps + 1) * step_s)
    assert system.name == "pendulum"
    return Solved(path, torch.zeros(len(initial), dtype=torch.bool))


class _Pendulum(nn.Module):
    """Angle, rate and what does not change: the length first."""

    def forward(self, _t: Tensor, state: Tensor) -> Tensor:
        z, fixed = state[:, :2], state[:, 2:]
        rates = torch.zeros_like(z)
        rates[:, 0] = z[:, 1]
        rates[:, 1] = -GRAVITY / fixed[:, 0] * torch.sin(z[:, 0])
        return torch.cat((rates, torch.zeros_like(fixed)), dim=1)


def adjoint_path(initial: Tensor, parameters: Tensor, times: Tensor) -> Tensor:
    """(time, batch, state)."""
    import torchdiffeq

    state = torch.cat((initial, parameters), dim=1)
    path: Tensor = torchdiffeq.odeint_adjoint(_Pendulum(), state, times.to(initial), method="rk4")
    return path[..., :2]


def step_floor(*, onednn: bool) -> Step:
    """By torch.mm into fixed memory, or by oneDNN."""
    from twins.goku.network.products import product, summed_outer

    n_pixels, rows = PIXELS**2, BATCH * SAMPLES
    pairs = ((n_pixels, 200), (200, 200), (200, 200), (200, 32), (2, 200), (200, 200), (200, 200), (200, n_pixels))
    ways = [(torch.randn(rows, a), torch.randn(a, b), torch.empty(rows, b)) for a, b in pairs]
    into = [(torch.empty(rows, a), torch.empty(a, b)) for a, b in pairs]

    def step_onednn() -> None:
        for x, weight, _ in ways:
            product(x, weight.T)
        for number, (x, weight, y) in enumerate(ways):
            summed_outer(x, y)
            if number:
                product(y, weight)

    def step() -> None:
        for x, weight, y in ways:
            torch.mm(x, weight, out=y)
        for number, ((x, weight, y), (of_x, of_weight)) in enumerate(zip(ways, into, strict=True)):
            torch.mm(x.T, y, out=of_weight)
            if number:  # the frames need no gradient
                torch.mm(y, weight.T, out=of_x)

    return step_onednn if onednn else step


class Net2021(nn.Module):
    """The sizes of 2021: extractor 200, 200, 200, 32; RNN and bidirectional LSTM of 16, two layers; latents of 16."""

    def __init__(self, n_pixels: int, n_parameters: int = 2) -> None:
        super().__init__()
        self.inward = nn.ModuleList(nn.Linear(*pair) for pair in ((n_pixels, 200), (200, 200), (200, 200), (200, 32)))
        self.rnn = nn.RNN(32, 16, nonlinearity="relu", batch_first=True, num_layers=2)
        self.lstm = nn.LSTM(32, 16, batch_first=True, bidirectional=True, num_layers=2)
        self.state_heads = nn.ModuleList(nn.Linear(16, 16) for _ in range(2))
        self.parameter_heads = nn.ModuleList(nn.Linear(32, 16) for _ in range(2))
        self.to_state = nn.Sequential(nn.Linear(16, 200), nn.ReLU(), nn.Linear(200, 2))
        self.to_parameters = nn.Sequential(nn.Linear(16, 200), nn.ReLU(), nn.Linear(200, n_parameters), nn.Softplus())
        self.outward = nn.ModuleList(nn.Linear(*pair) for pair in ((2, 200), (200, 200), (200, 200), (200, n_pixels)))

    def forward(self, frames: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """(reconstruction, KL)."""
        first, second, third, fourth = self.inward
        h = torch.relu(first(frames))
        h = h + torch.relu(second(h))
        h = h + torch.relu(third(h))
        h = torch.relu(fourth(h))
        of_state, _ = self.rnn(torch.flip(h, (1,)))
        of_parameters, _ = self.lstm(h)
        z, kl_z = self._drawn(self.state_heads, of_state[:, -1])
        p, kl_p = self._drawn(self.parameter_heads, of_parameters[:, -1])
        states = adjoint_path(self.to_state(z), self.to_parameters(p), times).permute(1, 0, 2)
        first, second, third, fourth = self.outward
        y = torch.relu(first(states))
        y = y + torch.relu(second(y))
        y = y + torch.relu(third(y))
        return torch.sigmoid(fourth(y)), kl_z + kl_p

    def _drawn(self, heads: nn.ModuleList, h: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = heads[0](h), heads[1](h)
        drawn = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        kl = 0.5 * (log_variance.exp() + mean.square() - 1.0 - log_variance).sum(1).mean()
        return drawn, kl


def step_2021(frames: np.ndarray, times: np.ndarray, seed: int) -> Step:
    """As the 2021 code takes it."""
    torch.manual_seed(seed)
    net = Net2021(frames.shape[2])
    adam = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    batch, t = torch.tensor(frames, dtype=torch.float32), torch.tensor(times, dtype=torch.float32)

    def step() -> None:
        reconstruction, kl = net(batch, t)
        loss = (reconstruction - batch).square().mean((0, 1)).sum() + KL_WEIGHT * kl
        adam.zero_grad()
        loss.backward()
        adam.step()

    return step
