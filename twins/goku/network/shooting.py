"""Windows of a trace that share one sample with the next: cut, solved all in one batch, joined again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.goku.system import System
from twins.goku.trajectories import Solved, solve_guarded

_SAME_STEP = 1e-6


@dataclass(frozen=True)
class Windows:
    """How n_samples are cut: windows of `length` samples, each beginning at the last sample of the one before.

    The last one has what is left, from 2 samples to `length`. window_samples = None: one window.
    """

    n_samples: int
    window_samples: int | None

    @property
    def length(self) -> int:
        """Samples of a window."""
        return self.n_samples if self.window_samples is None else min(self.window_samples, self.n_samples)

    @property
    def count(self) -> int:
        """How many windows."""
        return max(1, -(-(self.n_samples - 1) // max(1, self.length - 1)))

    @property
    def last_length(self) -> int:
        """Samples of the last window."""
        return self.n_samples - (self.count - 1) * (self.length - 1)

    @cached_property
    def places(self) -> Tensor:
        """(window, sample): which sample of the trace; past the end of the last window, the last sample."""
        starts = torch.arange(self.count) * (self.length - 1)
        return (starts[:, None] + torch.arange(self.length)).clamp(max=self.n_samples - 1)

    def joined(self, windows: Float[Tensor, "trace window sample n"]) -> Float[Tensor, "trace time n"]:
        """Every sample once: all but the last of each window, all of the last one (Abrevaya et al.)."""
        early = windows[:, :-1, : self.length - 1].flatten(1, 2)
        return torch.cat((early, windows[:, -1, : self.last_length]), dim=1)

    def gaps(self, windows: Float[Tensor, "trace window sample n"]) -> Float[Tensor, "trace gap n"]:
        """Where each window but the first begins, less where the one before it ends."""
        return windows[:, 1:, 0] - windows[:, :-1, -1]


def steps_of(times_s: Float[Tensor, "trace time"]) -> float | Float[Tensor, "trace step"]:
    """The sampling time (s) if it is the same everywhere within a millionth, else the length of every step."""
    steps = times_s.diff(dim=1)
    mean = float(steps.mean())
    return mean if float((steps - mean).abs().max()) <= _SAME_STEP * mean else steps


def solve_windows(
    system: System,
    windows: Windows,
    begin: Float[Tensor, "trace window state"],
    parameters: Float[Tensor, "trace parameter"],
    times_s: Float[Tensor, "trace time"],
    drive: Float[Tensor, "trace time channel"] | None,
    *,
    substeps: int,
    noisy: bool,
    generator: torch.Generator | None,
) -> tuple[Float[Tensor, "trace window sample state"], Bool[Tensor, "trace window"]]:
    """(states, diverged) of all windows of all traces, solved as ONE batch.

    Past the end of a short last window time stands still. A window that diverged stays where it began, without gradient.
    """
    n_traces, n_windows = begin.shape[:2]
    first = windows.places[:, :-1]
    step_s: float | Tensor = steps_of(times_s)
    if isinstance(step_s, Tensor) or windows.last_length < windows.length:
        padded = torch.cat((times_s.diff(dim=1), times_s.new_zeros(n_traces, 1)), dim=1)
        step_s = padded[:, first].flatten(0, 1).T.to(begin)
    held = None if drive is None else drive[:, first].flatten(0, 1).transpose(0, 1).to(begin)
    solved: Solved = solve_guarded(
        system, begin.flatten(0, 1), parameters.repeat_interleave(n_windows, dim=0),
        step_s=step_s, n_steps=windows.length - 1, drive=held,
        noisy=noisy, generator=generator, substeps=substeps,
    )  # fmt: skip
    states = solved.states.transpose(0, 1).reshape(n_traces, n_windows, windows.length, -1)
    return states, solved.diverged.reshape(n_traces, n_windows)
