"""From frames to what is known of each window's beginning and of the parameters (Abrevaya et al., section 3; 2021)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from twins.goku.network.batch import all_seen
from twins.goku.network.layers import DenseStack, dense
from twins.goku.network.shooting import Windows
from twins.goku.network.spec import GokuSpec


class Encoder(nn.Module):
    """Dense extractor a frame, then two ways through time.

    Beside the values, a frame's first layer hears which of them are missing, the length of the time step and the drive;
    where nothing is missing and all steps are the usual one, the first two are not there at all.
    """

    def __init__(self, n_channels: int, n_drives: int, spec: GokuSpec) -> None:
        super().__init__()
        first, width = spec.feature_widths[0], spec.feature_widths[-1]
        self.extractor = DenseStack(
            n_channels, spec.feature_widths, activation=spec.activation, residual=spec.residual, end="activation"
        )
        self.gap_layer = dense(n_channels, first, bias=False)
        self.step_layer = dense(1, first, bias=False)
        self.drive_layer = dense(n_drives, first, bias=False) if n_drives else None
        self.state_path = StatePath(width, spec)
        self.parameter_path = ParameterPath(width, spec)

    def forward(
        self,
        values: Float[Tensor, "trace time channel"],
        seen: Bool[Tensor, "trace time channel"],
        log_steps: Float[Tensor, "trace time"],
        drive: Float[Tensor, "trace time drive"] | None,
        windows: Windows,
    ) -> tuple[Float[Tensor, "trace window n"], Float[Tensor, "trace m"]]:
        """(of each window's beginning, of the parameters). values: normalised; those not seen are filled here."""
        added: Tensor | None = None
        if not all_seen(seen):
            values = held_over_gaps(values, seen)
            added = self.gap_layer((~seen).to(values))
        if float(log_steps.abs().max()) > 1e-4:
            steps = self.step_layer(log_steps.unsqueeze(-1))
            added = steps if added is None else added + steps
        if self.drive_layer is not None:
            assert drive is not None
            heard = self.drive_layer(drive)
            added = heard if added is None else added + heard
        features = self.extractor(values, added)
        return self.state_path(features, windows), self.parameter_path(features)


class StatePath(nn.Module):
    """A recurrent network that reads each window backwards; its last output."""

    def __init__(self, width: int, spec: GokuSpec) -> None:
        super().__init__()
        self.network = _recurrent(width, spec.state_hidden, spec.state_layers, spec.state_network)

    def forward(self, features: Float[Tensor, "trace time n"], windows: Windows) -> Float[Tensor, "trace window m"]:
        """All full windows at once, a short last one by itself."""
        stride, length = max(1, windows.length - 1), windows.length
        n_full = windows.count - (windows.last_length < length)
        parts = []
        if n_full:
            full = torch.stack([features[:, k * stride : k * stride + length] for k in range(n_full)], dim=1)
            parts.append(self._last(full.flatten(0, 1)).reshape(len(features), n_full, -1))
        if n_full < windows.count:
            parts.append(self._last(features[:, -windows.last_length :]).unsqueeze(1))
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def _last(self, features: Tensor) -> Tensor:
        output, _ = self.network(features.flip(1).transpose(0, 1))
        result: Tensor = output[-1]
        return result


class ParameterPath(nn.Module):
    """A bidirectional LSTM over the whole trace, pooled by attention over time, or each direction's last output.

    The layers of the two directions are apart. Attention: scores = softmax over TIME of a dense layer of h_t, channel by
    channel; the output is the sum over t of scores * h_t. Both directions' outputs at t belong to sample t.
    """

    def __init__(self, width: int, spec: GokuSpec) -> None:
        super().__init__()
        hidden, layers = spec.parameter_hidden, spec.parameter_layers
        self.ahead = _recurrent(width, hidden, layers, "lstm")
        self.back = _recurrent(width, hidden, layers, "lstm")
        self.attention = dense(2 * hidden, 2 * hidden) if spec.attention else None

    def forward(self, features: Float[Tensor, "trace time n"]) -> Float[Tensor, "trace m"]:
        """Once a trace."""
        steps = features.transpose(0, 1)
        ahead, _ = self.ahead(steps)
        back, _ = self.back(steps.flip(0))
        if self.attention is None:
            return torch.cat((ahead[-1], back[-1]), dim=-1)
        return pooled(torch.cat((ahead, back.flip(0)), dim=-1), self.attention)


def pooled(outputs: Float[Tensor, "time trace m"], attention: nn.Module) -> Float[Tensor, "trace m"]:
    """Attention over time, channel by channel."""
    scores: Tensor = attention(outputs).softmax(dim=0)
    return (scores * outputs).sum(dim=0)


def held_over_gaps(
    values: Float[Tensor, "trace time channel"], seen: Bool[Tensor, "trace time channel"]
) -> Float[Tensor, "trace time channel"]:
    """Missing values as the one seen last; before the first one, that one; zero in a channel never seen in its trace."""
    time = torch.arange(values.shape[1], device=values.device)[None, :, None]
    last = torch.where(seen, time, -1).cummax(dim=1).values
    first = torch.where(seen, time, values.shape[1]).amin(dim=1, keepdim=True)
    source = torch.where(last >= 0, last, first.clamp(max=values.shape[1] - 1))
    held = torch.where(seen, values, 0.0).gather(1, source)
    return torch.where(seen.any(dim=1, keepdim=True), held, 0.0)


def _recurrent(n_in: int, hidden: int, layers: int, kind: str) -> nn.Module:
    """Its weights are still to be set by ``initialise``; made on no device, so that no global seed is used."""
    options: dict[str, Any] = {"num_layers": layers, "device": "meta"}
    network = (
        nn.LSTM(n_in, hidden, **options) if kind == "lstm" else nn.RNN(n_in, hidden, nonlinearity="relu", **options)
    )
    return network.to_empty(device="cpu")
