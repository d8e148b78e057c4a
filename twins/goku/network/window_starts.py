"""Windows whose initial states are fitted to what the windows hold, with everything else fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.goku.network.batch import Batch, batch_of
from twins.goku.network.model import GokuNet
from twins.goku.network.shooting import Windows, solve_windows
from twins.goku.series import Series

_AT_ONCE = 64  # traces; their nudged copies are decoded to all channels together
_NUDGE = 3e-3  # of a state's range, in float32
_DAMPING = (1e-4, 1e-9, 1e6)  # to begin with, least, largest; relative to the curvature


def fitted_starts(
    residuals_of: Callable[[Tensor], Tensor],
    initial: Float[Tensor, "window state"],
    *,
    nudge: float | Float[Tensor, " state"],
    n_iterations: int,
) -> Float[Tensor, "window state"]:
    """Least squares in every window's initial state by damped Gauss-Newton (Levenberg-Marquardt), slopes by differences.

    residuals_of: (copy, window, state) -> (copy, window, number); where they are not finite a step is not taken, and a
    window that would get worse stays as it is.
    """
    n = initial.shape[-1]
    nudges = torch.as_tensor(nudge, dtype=initial.dtype).expand(n)
    copies = torch.cat((torch.zeros(1, n, dtype=initial.dtype), torch.diag(nudges)))
    first, least, largest = _DAMPING
    damping = torch.full((len(initial),), first, dtype=initial.dtype)
    residuals, slopes = _linearised(residuals_of, initial + copies[:, None], nudges)
    cost = residuals.square().sum(-1).nan_to_num(nan=torch.inf)
    for _ in range(n_iterations):
        hessian = slopes.mT @ slopes
        hessian = hessian + (damping[:, None] * hessian.diagonal(dim1=-2, dim2=-1)).diag_embed()
        step = torch.linalg.solve_ex(hessian, slopes.mT @ residuals[..., None])[0][..., 0]
        usable = torch.isfinite(step).all(-1)
        tried = torch.where(usable[:, None], initial - step, initial)
        new_residuals, new_slopes = _linearised(residuals_of, tried + copies[:, None], nudges)
        new_cost = new_residuals.square().sum(-1).nan_to_num(nan=torch.inf)
        better = new_cost < cost
        initial, cost = torch.where(better[:, None], tried, initial), torch.where(better, new_cost, cost)
        residuals = torch.where(better[:, None], new_residuals, residuals)
        slopes = torch.where(better[:, None, None], new_slopes, slopes)
        damping = torch.where(better, 0.1 * damping, 10.0 * damping).clamp(least, largest)
    return initial


def _linearised(residuals_of: Callable[[Tensor], Tensor], copies: Tensor, nudges: Tensor) -> tuple[Tensor, Tensor]:
    """(window, number) and (window, number, state)."""
    residuals = residuals_of(copies)
    return residuals[0], ((residuals[1:] - residuals[0]) / nudges[:, None, None]).permute(1, 2, 0)


def reconstruct_fitted(
    net: GokuNet, series: Series, *, n_iterations: int = 6
) -> Float[np.ndarray, "trace time channel"]:
    """The reconstruction with the network's parameters, but its windows' initial states fitted to the traces.

    To be compared with other methods that fit them; ``net.reconstruct`` takes those that the encoder infers. In the
    channels' units; squared errors are of the normalised channels that were seen. A trace that diverges stays where it
    began. Raises SeriesInvalid for series that do not fit the network.
    """
    net.check(series)
    parts = []
    with torch.no_grad():
        for part in _parts(series):
            windows = Windows(part.values.shape[1], net.spec.window_samples)
            drawn = net.encode(*part.arguments, windows, shared=part.shared)
            decoded = _Decoded(net, part, windows, drawn.parameters)
            initial = fitted_starts(
                decoded.residuals, drawn.initial.flatten(0, 1),
                nudge=_NUDGE * net.latents.get_buffer("state_half"), n_iterations=n_iterations,
            )  # fmt: skip
            parts.append(decoded.reconstruction(initial))
    return torch.cat(parts).double().numpy()


class _Decoded:
    """From the initial states of all windows of some traces to what is expected at the channels."""

    def __init__(self, net: GokuNet, part: Batch, windows: Windows, parameters: Tensor) -> None:
        self.net, self.part, self.windows, self.parameters = net, part, windows, parameters
        reached = torch.arange(windows.count)[:, None] * (windows.length - 1) + torch.arange(windows.length)
        self.counted = part.seen[:, windows.places] & (reached < windows.n_samples)[..., None]
        self.targets = net.normalised(part)[:, windows.places]

    def solved(self, initial: Tensor) -> tuple[Tensor, Tensor]:
        """(trace, window, sample, state) and (trace, window): what diverged. initial: (… window, state), flat."""
        begin = initial.reshape(-1, self.windows.count, initial.shape[-1])
        copies, part = len(begin) // len(self.part), self.part
        drive = None if part.drive is None else part.drive.repeat(copies, 1, 1)
        return solve_windows(
            self.net.system, self.windows, begin, self.parameters.repeat(copies, 1), part.times_s.repeat(copies, 1),
            drive, substeps=self.net.spec.substeps, noisy=False, generator=None,
        )  # fmt: skip

    def residuals(self, initial: Float[Tensor, "copy window state"]) -> Float[Tensor, "copy window number"]:
        """Infinite where the window runs away."""
        away = []
        for copy in initial:  # decoded one by one: all channels of all copies at once would be large
            states, diverged = self.solved(copy)
            expected = self._observed(states.flatten(1, 2)).reshape(self.targets.shape)
            left = (expected - self.targets).where(self.counted, 0.0)
            away.append(left.masked_fill(diverged[..., None, None], torch.inf).flatten(0, 1).flatten(1))
        return torch.stack(away)

    def reconstruction(self, initial: Float[Tensor, "window state"]) -> Float[Tensor, "trace time channel"]:
        """Joined over windows, in the channels' units."""
        return self.net.observe(self.windows.joined(self.solved(initial)[0]), self.parameters)

    def _observed(self, states: Tensor) -> Tensor:
        return self.net.normalisation.normalised(self.net.observe(states, self.parameters))


def _parts(series: Series) -> Iterator[Batch]:
    """A few traces each; all at once, where traces share their parameters."""
    whole = batch_of(series)
    if whole.shared is not None:
        yield whole
        return
    for start in range(0, series.n_traces, _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, series.n_traces))
        yield whole.cropped(rows, np.zeros_like(rows), series.n_samples)
