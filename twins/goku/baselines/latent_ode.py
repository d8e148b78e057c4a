"""Latent ODE: a recognition network gives the initial state of a neural ODE, whose states are decoded frame by frame.

Reference: Chen, Rubanova, Bettencourt, Duvenaud (NeurIPS 2018), section 5; not variational, as in the comparison of
Abrevaya et al. (TMLR 2024).
"""

from __future__ import annotations

from collections.abc import Generator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.goku.baselines.nets import FEATURES, WIDTH, drawn_from, frame_net, remember
from twins.goku.baselines.scaling import Frames
from twins.goku.baselines.training import BaselineEpoch, BaselineFitSettings, FittedSequence, fit_sequence
from twins.goku.network.schedule import PlateauCosine
from twins.goku.series import Series

PEAK_RATE = 1e-3


class LatentOde(nn.Module):
    """`states` latent states (6 in the reference's synthetic experiment), integrated by RK4 from sample to sample."""

    name = "latent_ode"

    def __init__(self, n_channels: int, n_drives: int = 0, *, states: int = 6, generator: torch.Generator) -> None:
        super().__init__()
        with drawn_from(generator):
            self.extractor = frame_net(n_channels + n_drives, FEATURES, linear_end=False)
            self.encoder = nn.LSTM(FEATURES, FEATURES, batch_first=True)
            self.to_state = nn.Sequential(nn.Linear(FEATURES, WIDTH), nn.Mish(), nn.Linear(WIDTH, states))
            self.rate = nn.Sequential(
                nn.Linear(states + n_drives, WIDTH), nn.Mish(), nn.Linear(WIDTH, WIDTH), nn.Mish(),
                nn.Linear(WIDTH, states),
            )  # fmt: skip
            self.decoder = frame_net(states + n_drives, n_channels, linear_end=True)
        remember(self.encoder)
        with torch.no_grad():  # a slow start: fast latent dynamics make the first gradients useless
            last = self.rate[-1]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(0.1)
            last.bias.zero_()

    def forward(self, frames: Frames, drive: Tensor, steps: Tensor) -> Float[Tensor, "trace time channel"]:
        """Decode as many samples as `drive` (trace, time, drive channel) has; steps: (trace, time - 1). Scaled."""
        features = self.extractor(torch.cat((frames.values, frames.drive), dim=-1))
        _, (last, _) = self.encoder(features.flip(1))
        state = self.to_state(last[0])
        states = [state]
        for now in range(drive.shape[1] - 1):
            state = self._stepped(state, drive[:, now], steps[:, now, None])
            states.append(state)
        decoded: Tensor = self.decoder(torch.cat((torch.stack(states, dim=1), drive), dim=-1))
        return decoded

    def _stepped(self, state: Tensor, drive: Tensor, step: Tensor) -> Tensor:
        """One step of the classical Runge-Kutta scheme, the drive held."""

        def rate(at: Tensor) -> Tensor:
            result: Tensor = self.rate(torch.cat((at, drive), dim=-1))
            return result

        first = rate(state)
        second = rate(state + 0.5 * step * first)
        third = rate(state + 0.5 * step * second)
        fourth = rate(state + step * third)
        return state + step / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)


def fit_latent_ode(
    series: Series,
    validation: Series | None = None,
    *,
    seed: int,
    states: int = 6,
    settings: BaselineFitSettings | None = None,
) -> Generator[BaselineEpoch, None, FittedSequence]:
    """Train a ``LatentOde``; see ``fit_sequence``. By default its rate is a fifth of the others': what is learned here is
    a flow, and at theirs it comes apart (the reference goes down to 1e-4)."""
    settings = settings or BaselineFitSettings(schedule=PlateauCosine(peak=PEAK_RATE))
    generator = torch.Generator().manual_seed(seed)
    n_drives = 0 if series.drive is None else series.drive.shape[-1]
    net = LatentOde(series.n_channels, n_drives, states=states, generator=generator)
    return (yield from fit_sequence(net, series, validation, generator=generator, settings=settings))
