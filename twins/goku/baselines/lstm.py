"""LSTM autoencoder: a trace becomes one vector, and an LSTM that feeds on its own output gives the trace back."""

from __future__ import annotations

from collections.abc import Generator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.goku.baselines.nets import FEATURES, drawn_from, frame_net, remember
from twins.goku.baselines.scaling import Frames
from twins.goku.baselines.training import BaselineEpoch, BaselineFitSettings, FittedSequence, fit_sequence
from twins.goku.series import Series


class LstmAutoencoder(nn.Module):
    """The encoder reads a trace backwards into `code` numbers (42 in the reference's synthetic experiment); the decoder
    begins there and is handed its own last output, and the drive if there is one. Forecasting is going on.
    """

    name = "lstm"

    def __init__(self, n_channels: int, n_drives: int = 0, *, code: int = 42, generator: torch.Generator) -> None:
        super().__init__()
        with drawn_from(generator):
            self.extractor = frame_net(n_channels + n_drives, FEATURES, linear_end=False)
            self.encoder = nn.LSTM(FEATURES, FEATURES, batch_first=True)
            self.to_code = nn.Linear(FEATURES, code)
            self.to_hidden = nn.Linear(code, FEATURES)
            self.to_cell = nn.Linear(code, FEATURES)
            self.cell = nn.LSTMCell(code + n_drives, FEATURES)
            self.read_out = nn.Linear(FEATURES, code)
            self.decoder = frame_net(code + n_drives, n_channels, linear_end=True)
        remember(self.encoder)
        remember(self.cell)

    def forward(self, frames: Frames, drive: Tensor, _steps: Tensor) -> Float[Tensor, "trace time channel"]:
        """Decode as many samples as `drive` (trace, time, drive channel) has, from what `frames` hold. Scaled."""
        features = self.extractor(torch.cat((frames.values, frames.drive), dim=-1))
        _, (last, _) = self.encoder(features.flip(1))
        code = self.to_code(last[0])
        hidden, cell = torch.tanh(self.to_hidden(code)), self.to_cell(code)
        emitted = self.read_out(hidden)
        latents = [emitted]
        for now in range(drive.shape[1] - 1):
            hidden, cell = self.cell(torch.cat((emitted, drive[:, now]), dim=-1), (hidden, cell))
            emitted = self.read_out(hidden)
            latents.append(emitted)
        decoded: Tensor = self.decoder(torch.cat((torch.stack(latents, dim=1), drive), dim=-1))
        return decoded


def fit_lstm(
    series: Series,
    validation: Series | None = None,
    *,
    seed: int,
    code: int = 42,
    settings: BaselineFitSettings | None = None,
) -> Generator[BaselineEpoch, None, FittedSequence]:
    """Train an ``LstmAutoencoder``; see ``fit_sequence``."""
    generator = torch.Generator().manual_seed(seed)
    n_drives = 0 if series.drive is None else series.drive.shape[-1]
    net = LstmAutoencoder(series.n_channels, n_drives, code=code, generator=generator)
    return (yield from fit_sequence(net, series, validation, generator=generator, settings=settings))
