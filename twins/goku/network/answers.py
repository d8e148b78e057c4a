"""What a fitted network answers about series: posterior, reconstruction, forecast."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import SeriesInvalid
from twins.goku.network.batch import Batch, batch_of, chunks
from twins.goku.network.latent import Drawn
from twins.goku.network.model import GokuNet, GokuOutput
from twins.goku.network.shooting import Windows
from twins.goku.posterior import Posterior
from twins.goku.series import Series
from twins.goku.trajectories import solve_guarded

_LARGEST_MISFIT = 4.0  # mean square, in noise levels


def infer(net: GokuNet, series: Series, *, n_draws: int, generator: torch.Generator) -> Posterior:
    """Draws of parameters and of the state at each trace's first sample.

    Not trusted: points (a network without a posterior), traces whose solution from the means runs away, and traces that the
    means reconstruct worse than twice the noise level.
    """
    net.check(series)
    parameters, initial, diverged, misfit = [], [], [], []
    with torch.no_grad():
        for part in chunks(batch_of(series)):
            output = net(*part.arguments, shared=part.shared)
            diverged.append(output.diverged)
            misfit.append(_misfit(net, part, output))
            drawn = [_encoded(net, part, generator) for _ in range(n_draws)] if net.spec.variational else []
            drawn = drawn or [_encoded(net, part, None)] * n_draws
            parameters.append(torch.stack([one.parameters for one in drawn], dim=1))
            initial.append(torch.stack([one.initial[:, 0] for one in drawn], dim=1))
    ran, far = torch.cat(diverged).numpy(), torch.cat(misfit).numpy() > _LARGEST_MISFIT
    point = "a point: this network gives no posterior; refine it, or fit one with posterior='physical'"
    why = {} if net.spec.variational else dict.fromkeys(range(series.n_traces), point)
    unlike = "the trace is not reconstructed: what is left over is more than twice what it was in training"
    why |= {int(trace): unlike for trace in np.flatnonzero(far)}
    why |= {int(trace): "the solution from the inferred values runs away" for trace in np.flatnonzero(ran)}
    noise = net.noise_sd.double().numpy()
    return Posterior(
        parameter_names=net.system.parameter_names,
        parameter_units=tuple(quantity.unit for quantity in net.system.flat_parameters),
        parameters=torch.cat(parameters).double().numpy(),
        initial=torch.cat(initial).double().numpy(),
        noise_sd=np.broadcast_to(noise, (series.n_traces, n_draws, net.n_channels)).copy(),
        weights=np.full((series.n_traces, n_draws), 1.0 / n_draws),
        how="amortised",
        trusted=~(ran | far) if net.spec.variational else np.zeros(series.n_traces, dtype=bool),
        why=why,
    )


def _misfit(net: GokuNet, part: Batch, output: GokuOutput) -> Tensor:
    """(trace,): mean square of what is left over, in noise levels."""
    left = ((part.values - output.reconstruction) / net.noise_sd).square().where(part.seen, 0.0)
    return left.sum(dim=(1, 2)) / part.seen.sum(dim=(1, 2))


def reconstruct(net: GokuNet, series: Series) -> Float[np.ndarray, "trace time channel"]:
    """By the means, without process noise; missing samples are filled. A trace that diverges stays where it began."""
    net.check(series)
    with torch.no_grad():
        parts = [net(*part.arguments, shared=part.shared).reconstruction for part in chunks(batch_of(series))]
    return torch.cat(parts).double().numpy()


def forecast(
    net: GokuNet,
    series: Series,
    *,
    n_samples: int,
    generator: torch.Generator,
    drive: Float[np.ndarray, "trace time drive"] | None = None,
    times_s: Float[np.ndarray, "trace time"] | None = None,
    n_draws: int = 1,
) -> Float[np.ndarray, "draw trace time channel"]:
    """What is expected at the channels at n_samples times after the series end, observation noise left away.

    The last window's beginning is integrated through that window and on. times_s: (trace, n_samples), on the series'
    clock; by default the mean step of each trace goes on. drive: (trace, n_samples, channel), at those times, each acting
    from its sample to the next (so the last one is not used; the series' own last one is). With a single draw the
    means are taken, without process noise; with more, draws of the posterior and of the process noise.
    """
    net.check(series)
    later = _later_times(series, n_samples, times_s)
    _check_drive(net, series, drive, n_samples)
    batch = batch_of(series)
    draws = []
    with torch.no_grad():
        for _ in range(n_draws):
            parts, start = [], 0
            for part in chunks(batch):
                rows = slice(start, start + len(part))
                ahead = None if drive is None else torch.from_numpy(np.asarray(drive[rows])).to(part.values)
                parts.append(_forecast_once(net, part, later[rows], ahead, generator if n_draws > 1 else None))
                start += len(part)
            draws.append(torch.cat(parts))
    return torch.stack(draws).double().numpy()


def _forecast_once(
    net: GokuNet, part: Batch, later: Tensor, drive: Tensor | None, generator: torch.Generator | None
) -> Tensor:
    drawn = _encoded(net, part, generator)
    windows = Windows(part.values.shape[1], net.spec.window_samples)
    begin = part.values.shape[1] - windows.last_length
    times = torch.cat((part.times_s[:, begin:], later), dim=1)
    held = None
    if part.drive is not None and drive is not None:
        held = torch.cat((part.drive[:, begin:], drive), dim=1)[:, :-1].transpose(0, 1)
    solved = solve_guarded(
        net.system, drawn.initial[:, -1], drawn.parameters,
        step_s=times.diff(dim=1).T.to(part.values), n_steps=times.shape[1] - 1, drive=held,
        noisy=net.system.stochastic and generator is not None, generator=generator, substeps=net.spec.substeps,
    )  # fmt: skip
    states = solved.states.transpose(0, 1)[:, windows.last_length :]
    return net.observe(states, drawn.parameters)


def _encoded(net: GokuNet, part: Batch, generator: torch.Generator | None) -> Drawn:
    windows = Windows(part.values.shape[1], net.spec.window_samples)
    return net.encode(*part.arguments, windows, generator=generator, shared=part.shared)


def _later_times(series: Series, n_samples: int, times_s: np.ndarray | None) -> Tensor:
    if n_samples < 1:
        raise SeriesInvalid(f"a forecast needs at least one sample, not {n_samples}")
    if times_s is None:
        step = np.diff(series.times_s, axis=1).mean(axis=1, keepdims=True)
        times_s = series.times_s[:, -1:] + step * np.arange(1, n_samples + 1)
    times_s = np.broadcast_to(np.asarray(times_s, dtype=np.float64), (series.n_traces, n_samples))
    if not bool((np.diff(np.concatenate((series.times_s[:, -1:], times_s), axis=1), axis=1) > 0).all()):
        raise SeriesInvalid("the forecast's times must rise, the first after the series' last")
    return torch.from_numpy(times_s.copy())


def _check_drive(net: GokuNet, series: Series, drive: np.ndarray | None, n_samples: int) -> None:
    n_drives = len(net.system.drives)
    if not n_drives:
        if drive is not None:
            raise SeriesInvalid(f"{net.system.name} has no drives, but one was given for the forecast")
        return
    wanted = (series.n_traces, n_samples, n_drives)
    if drive is None or np.shape(drive) != wanted or not bool(np.isfinite(drive).all()):
        raise SeriesInvalid(
            f"{net.system.name} is driven: its forecast needs drive=(trace, time, channel) = {wanted}, finite, "
            f"not {None if drive is None else np.shape(drive)}"
        )
