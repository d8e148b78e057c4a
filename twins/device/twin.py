"""DeviceTwin: a delay-embedded neural SDE of one device's response."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from twins.device.history import Histories, pick_histories
from twins.device.nets import PairedNets
from twins.device.ranges import check_drive
from twins.device.spec import DeviceTwinSpec
from twins.errors import TracesInvalid, TwinNotFitted
from twins.solver import solve


@final
class DeviceTwin(nn.Module):
    """dx = drift(x̃, ũ) dt + diffusion(x̃, ũ) dW with one independent noise a response channel (Itô).

    x̃ is the response and its `response_delays` earlier samples, newest first; ũ the drive that acts now and its
    `drive_delays` earlier samples. A step of the twin is a sample of the recordings it was fitted on: what is learned
    is the map from one sample to the next, in the form of an Euler–Maruyama step, in normalised units, as a linear
    model (least squares) plus a net, and a net for the standard deviation with a floor. The nets see their inputs
    whitened: delayed samples are so alike that gradient descent would hardly find a velocity among them.

    Everything that goes with the fit is inside, as buffers: normalisation, the ranges of drive and response seen, and
    a bank of measured start histories taken from the recorded preparations.
    """

    sde_type = "ito"
    noise_type = "diagonal"

    drive_centre: Tensor
    drive_scale: Tensor
    response_centre: Tensor
    response_scale: Tensor
    increment_scale: Tensor
    features: Tensor
    linear_weight: Tensor
    linear_bias: Tensor
    drive_range: Tensor
    response_range: Tensor
    bank_response: Tensor
    bank_drive: Tensor
    fitted: Tensor

    def __init__(self, spec: DeviceTwinSpec) -> None:
        super().__init__()
        self.spec = spec
        m, n = spec.n_drive, spec.n_response
        self.nets = PairedNets(spec.n_inputs, spec.hidden, n, spec.activation)
        self.register_buffer("drive_centre", torch.zeros(m))
        self.register_buffer("drive_scale", torch.ones(m))
        self.register_buffer("response_centre", torch.zeros(n))
        self.register_buffer("response_scale", torch.ones(n))
        self.register_buffer("increment_scale", torch.ones(n))  # of the linear model's residual, normalised units
        self.register_buffer("features", torch.eye(spec.n_inputs))  # whitens the nets' inputs
        self.register_buffer("linear_weight", torch.zeros(spec.n_inputs, n))
        self.register_buffer("linear_bias", torch.zeros(n))
        self.register_buffer("drive_range", torch.zeros(m, 2, dtype=torch.float64))
        self.register_buffer("response_range", torch.zeros(n, 2, dtype=torch.float64))
        self.register_buffer("bank_response", torch.zeros(0, spec.response_delays + 1, n))
        self.register_buffer("bank_drive", torch.zeros(0, spec.drive_delays, m))
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def n_delays(self) -> int:
        """Delays of the response, as the solver counts them."""
        return self.spec.response_delays

    def drift(
        self, x: Float[Tensor, "*batch delay response"], u: Float[Tensor, "*batch drive_inputs"]
    ) -> Float[Tensor, "*batch response"]:
        """Drift in response units a second, of the delay-embedded response and drive (newest first)."""
        return self.f_and_g_u(x, u)[0]

    def diffusion(
        self, x: Float[Tensor, "*batch delay response"], u: Float[Tensor, "*batch drive_inputs"]
    ) -> Float[Tensor, "*batch response"]:
        """Diffusion in response units a root second: the standard deviation of a step is diffusion · sqrt(dt_s)."""
        return self.f_and_g_u(x, u)[1]

    f_u, g_u = drift, diffusion

    def f_and_g_u(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Drift and diffusion in physical units, for any solver (x without the delay axis if n_delays is 0)."""
        spec = self.spec
        if spec.response_delays == 0:
            x = x.unsqueeze(-2)
        u = u.reshape(*u.shape[:-1], spec.drive_delays + 1, spec.n_drive)
        mean, std = self.normalised_step(
            (x - self.response_centre) / self.response_scale, ((u - self.drive_centre) / self.drive_scale).flatten(-2)
        )
        scale = self.response_scale
        return mean * (scale / spec.dt_s), std * (scale / math.sqrt(spec.dt_s))

    def normalised_step(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the next increment, all in normalised units.

        x: (…, response_delays + 1, response), u: (…, (drive_delays + 1) · drive), newest first; returns (…, response).
        """
        batch = np.broadcast_shapes(x.shape[:-2], u.shape[:-1])
        rows = torch.cat((x.flatten(-2).expand(*batch, -1), u.expand(*batch, -1)), dim=-1).reshape(
            -1, self.spec.n_inputs
        )
        mean, std = self.normalised_rows(rows)
        return mean.reshape(*batch, -1), std.reshape(*batch, -1)

    def normalised_rows(self, rows: Float[Tensor, "row inputs"]) -> tuple[Tensor, Tensor]:
        """The same for rows of inputs, response first."""
        pair = self.nets(rows @ self.features)
        mean = torch.addmm(self.linear_bias, rows, self.linear_weight) + pair[0] * self.increment_scale
        return mean, (softplus(pair[1]) + self.spec.noise_floor) * self.increment_scale

    def histories(self, n: int | Sequence[int] | Tensor, *, generator: torch.Generator | None = None) -> Histories:
        """Start histories from the bank: these entries, or n of them at random. Raises TwinNotFitted if it is empty."""
        self._require_fitted()
        return pick_histories(self.bank_response, self.bank_drive, n, generator)

    def respond(
        self,
        drive: Float[Tensor, "*batch time drive"],
        *,
        generator: torch.Generator | None = None,
        history: Histories | None = None,
        noise: Float[Tensor, "steps *batch response"] | None = None,
        check_range: bool = True,
    ) -> Float[Tensor, "*batch time response"]:
        """One sampled response to each drive, in physical units, differentiable in the drive and in the weights.

        response[…, 0, :] is the newest sample of the history, and drive[…, k, :] acts between samples k and k + 1, so
        the last drive sample has no effect. history: measured histories (…, see Histories); by default one is drawn
        from the bank for every batch element. noise: (time - 1, …, response) standard normal numbers.

        Raises TwinNotFitted, TracesInvalid, OutsideFittedRange (unless check_range is False).
        """
        self._require_fitted()
        self._check_shape(drive)
        if check_range:
            check_drive(drive, self.drive_range, self.spec)
        batch, n_time = drive.shape[:-2], drive.shape[-2]
        if history is None:
            flat = self.histories(math.prod(batch), generator=generator)
            history = Histories(
                flat.response.reshape(*batch, *flat.response.shape[1:]),
                flat.drive.reshape(*batch, *flat.drive.shape[1:]),
            )
        history.check(self.spec)
        dtype = self.linear_weight.dtype
        x0 = ((history.response - self.response_centre) / self.response_scale).to(dtype)
        if n_time == 1:
            return history.response[..., :1, :].to(dtype)
        u = (
            (self._embed(drive, history.drive) - self.drive_centre.repeat(self.spec.drive_delays + 1))
            / self.drive_scale.repeat(self.spec.drive_delays + 1)
        ).to(dtype)
        step = _NormalisedStep(self)
        path = solve(
            step,
            x0.expand(*batch, -1, -1) if step.n_delays else x0.expand(*batch, -1, -1).squeeze(-2),
            u[..., :-1, :].movedim(-2, 0),
            dt=1.0,
            n_steps=n_time - 1,
            noise=noise,
            generator=generator,
        )
        return path.movedim(0, -2) * self.response_scale + self.response_centre

    def _embed(self, drive: Tensor, before: Tensor) -> Tensor:
        """(…, time, drive) -> (…, time, (drive_delays + 1) · drive), newest first; `before` is newest first too."""
        delays = self.spec.drive_delays
        if delays == 0:
            return drive
        earlier = before.to(drive.dtype).flip(-2).expand(*drive.shape[:-2], -1, -1)
        longer = torch.cat((earlier, drive), dim=-2)
        n_time = drive.shape[-2]
        return torch.cat([longer[..., delays - d : delays - d + n_time, :] for d in range(delays + 1)], dim=-1)

    def _check_shape(self, drive: Tensor) -> None:
        if drive.ndim < 2 or drive.shape[-1] != self.spec.n_drive or drive.shape[-2] < 1:
            raise TracesInvalid(f"drive must be (…, time, {self.spec.n_drive}), not {tuple(drive.shape)}")
        if not torch.isfinite(drive).all():
            raise TracesInvalid("drive holds values that are not finite")

    def _require_fitted(self) -> None:
        if not bool(self.fitted):
            raise TwinNotFitted("this twin has not been fitted; run fit(twin, traces, …) or load_twin(path)")


class _NormalisedStep:
    """The twin as an equation in normalised units whose unit of time is one sample."""

    sde_type = "ito"
    noise_type = "diagonal"

    def __init__(self, twin: DeviceTwin) -> None:
        self._twin = twin
        self.n_delays = twin.spec.response_delays

    def f_u(self, x: Tensor, u: Tensor) -> Tensor:
        return self.f_and_g_u(x, u)[0]

    def g_u(self, x: Tensor, u: Tensor) -> Tensor:
        return self.f_and_g_u(x, u)[1]

    def f_and_g_u(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        return self._twin.normalised_step(x if self.n_delays else x.unsqueeze(-2), u)
