"""How a twin answers a drive: start, steps, and what an instrument would see of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from twins.device.filtering import draw_start
from twins.device.history import Histories
from twins.device.ranges import check_conditions, check_drive
from twins.errors import TracesInvalid
from twins.solver import draw_noise, solve

if TYPE_CHECKING:
    from twins.device.twin import DeviceTwin


def respond(
    twin: DeviceTwin,
    drive: Tensor,
    *,
    generator: torch.Generator | None,
    history: Histories | None,
    noise: Tensor | None,
    conditions: Mapping[str, float] | Tensor | None,
    observed: bool,
    check_range: bool,
) -> Tensor:
    """See DeviceTwin.respond."""
    twin.require_fitted()
    spec = twin.spec
    _check_shape(twin, drive)
    batch, n_time = drive.shape[:-2], drive.shape[-2]
    held = condition_values(twin, conditions, batch)
    if check_range:
        check_drive(drive, twin.drive_range, spec)
        check_conditions(held, twin.condition_range, spec)
    if history is None:
        near = held.reshape(math.prod(batch), spec.n_conditions)
        history = twin.histories(math.prod(batch), generator=generator, conditions=near).reshape(*batch)
    history.check(spec)
    x0, auxiliaries = draw_start(twin, history, held, batch, generator)
    if n_time == 1:
        path = x0[..., :1, :]
    else:
        u = embedded(twin, drive, history.drive, held)[..., :-1, :]  # the last drive has no effect
        path = advance(twin, x0, auxiliaries, u, noise=noise, generator=generator)
    if observed and (spec.observation or spec.trial_drift):
        path = path + _measurement_noise(twin, path, generator)
    response = path * twin.response_scale + twin.response_centre  # in float64: the offset may be large
    if not observed:
        return response
    if not spec.hidden_state and not spec.trial_drift:
        return response
    newest = history.response[..., :1, :].to(response).expand(*batch, 1, -1)  # the start was measured already
    return torch.cat((newest, response[..., 1:, :]), dim=-2)


def condition_values(
    twin: DeviceTwin, conditions: Mapping[str, float] | Tensor | None, batch: tuple[int, ...]
) -> Tensor:
    """(…, condition) in physical units. Raises TracesInvalid naming those that are missing or unknown."""
    names, like = twin.spec.condition_names, twin.condition_centre
    if isinstance(conditions, Tensor):
        if conditions.shape[-1] != len(names):
            raise TracesInvalid(f"conditions must be (…, {len(names)}): {names}, not {tuple(conditions.shape)}")
        return _finite(conditions.to(like)).expand(*batch, -1)
    missing = [name for name in names if name not in (conditions or {})]
    if missing:
        raise TracesInvalid(f"this twin was fitted at several values of {', '.join(missing)}; pass conditions={{…}}")
    values = [float((conditions or {})[name]) for name in names]
    return _finite(like.new_tensor(values)).expand(*batch, len(names))


def _finite(conditions: Tensor) -> Tensor:
    if not torch.isfinite(conditions).all():
        raise TracesInvalid(f"conditions hold values that are not finite: {conditions.flatten()[:8].tolist()}")
    return conditions


def embedded(twin: DeviceTwin, drive: Tensor, before: Tensor, conditions: Tensor) -> Tensor:
    """(…, time, drive) -> normalised (…, time, drive with delays + conditions), newest first; so is `before`."""
    delays, n_time = twin.spec.drive_delays, drive.shape[-2]
    drive = drive.to(twin.drive_centre.dtype)  # cast to that of the nets once the offset is gone
    parts = [drive]
    if delays:
        earlier = before[..., :delays, :].to(drive.dtype).flip(-2).expand(*drive.shape[:-2], -1, -1)
        longer = torch.cat((earlier, drive), dim=-2)
        parts = [longer[..., delays - d : delays - d + n_time, :] for d in range(delays + 1)]
    if twin.spec.n_conditions:
        parts.append(conditions.to(drive.dtype).unsqueeze(-2).expand(*drive.shape[:-1], -1))
    return twin.normalised_drive(torch.cat(parts, dim=-1)).to(twin.linear_weight.dtype)


def advance(
    twin: DeviceTwin,
    x0: Tensor,
    auxiliaries: Tensor,
    u: Tensor,
    *,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The states (…, step + 1, response), normalised, the start first; see advance_all."""
    path = advance_all(twin, x0, auxiliaries, u, noise=noise, generator=generator)
    return path[..., : twin.spec.n_response]


def advance_all(
    twin: DeviceTwin,
    x0: Tensor,
    auxiliaries: Tensor,
    u: Tensor,
    *,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The states (…, step + 1, response + auxiliary), normalised, the start first.

    x0: (…, delay, response), newest first. auxiliaries: (…, auxiliary). u: (…, step, drive inputs) as `embedded` gives.
    """
    step = NormalisedStep(twin)
    state = torch.cat((x0, auxiliaries.unsqueeze(-2).expand(*x0.shape[:-1], -1)), dim=-1)
    path = solve(
        step,
        state if step.n_delays else state.squeeze(-2),
        u.movedim(-2, 0),
        dt=1.0,
        n_steps=u.shape[-2],
        noise=noise,
        generator=generator,
    )
    return path.movedim(0, -2)


def _measurement_noise(twin: DeviceTwin, response: Tensor, generator: torch.Generator | None) -> Tensor:
    """White noise of the observation head and one offset a trial, (…, time, response), normalised."""
    spec = twin.spec
    total = torch.zeros_like(response)
    if spec.observation:
        own = draw_noise(tuple(response.shape), response, generator)
        total = total + own * torch.exp(twin.observation_log_std)
        if spec.observation_columns:
            shared = draw_noise((*response.shape[:-1], spec.observation_columns), response, generator)
            total = total + shared @ twin.observation_patterns.T
    if spec.trial_drift:
        offset = draw_noise((*response.shape[:-2], 1, spec.n_response), response, generator)
        total = total + offset @ twin.trial_offsets.T
    return total


def _check_shape(twin: DeviceTwin, drive: Tensor) -> None:
    if drive.ndim < 2 or drive.shape[-1] != twin.spec.n_drive or drive.shape[-2] < 1:
        raise TracesInvalid(f"drive must be (…, time, {twin.spec.n_drive}), not {tuple(drive.shape)}")
    if not torch.isfinite(drive).all():
        raise TracesInvalid("drive holds values that are not finite")


class NormalisedStep:
    """The twin as an equation in normalised units whose unit of time is one sample. State: response, then auxiliaries.

    An Euler step of it is the twin's own step: the drift's stages are inside, and the auxiliaries' step is exact.
    """

    sde_type = "ito"

    def __init__(self, twin: DeviceTwin) -> None:
        self._twin = twin
        self.noise_type = twin.noise_type
        self.n_delays = twin.spec.response_delays
        self._correlation = twin.auxiliary_correlation
        gain = (1.0 - self._correlation.square()).clamp_min(0.0).sqrt()
        self._gain = torch.cat((torch.ones_like(twin.increment_scale), gain))

    def f_u(self, x: Tensor, u: Tensor) -> Tensor:
        """Increment a sample."""
        return self.f_and_g_u(x, u)[0]

    def g_u(self, x: Tensor, u: Tensor) -> Tensor | None:
        """Noise a root sample."""
        return self.f_and_g_u(x, u)[1]

    def f_and_g_u(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor | None]:
        """(…, response + auxiliary), and the same or (…, response + auxiliary, noise)."""
        twin, n = self._twin, self._twin.spec.n_response
        if not self.n_delays:
            x = x.unsqueeze(-2)
        batch = np.broadcast_shapes(x.shape[:-2], u.shape[:-1])
        seen, auxiliaries = x[..., :n].flatten(-2), x[..., 0, n:].expand(*batch, -1)
        rows = torch.cat((seen.expand(*batch, -1), u.expand(*batch, -1)), dim=-1).reshape(-1, twin.spec.n_inputs)
        has_auxiliaries = twin.spec.auxiliaries > 0
        force = twin.force(auxiliaries).reshape(-1, n) if has_auxiliaries else None
        law = twin.step_law(rows, force)
        f = law.increment.reshape(*batch, n)
        if has_auxiliaries:
            f = torch.cat((f, (self._correlation - 1.0) * auxiliaries), dim=-1)
        if law.columns is None:
            return f, None if law.spread is None else (law.spread * self._gain).reshape(*batch, -1)
        g = law.columns
        if law.spread is not None:
            g = torch.cat((torch.diag_embed(law.spread), g), dim=-1)
        return f, (g * self._gain.unsqueeze(-1)).reshape(*batch, *g.shape[1:])
