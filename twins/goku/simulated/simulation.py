"""Simulate series of a known equation. Nothing here was measured.

Every set of series has random streams of its own for parameters, initial states, process noise, observation noise and missing
samples, all from one seed and the set's name: sets share nothing, and changing one kind of chance leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from twins.errors import SeriesInvalid
from twins.goku.series import Series
from twins.goku.simulated.generated import Design, Generated
from twins.goku.simulated.streams import numpy_stream, torch_stream
from twins.goku.simulated.substeps import substeps_for
from twins.goku.system import System
from twins.goku.trajectories import solve_guarded

_ROUNDS = 20


def generate(
    system: System,
    n_traces: int,
    design: Design,
    *,
    seed: int,
    name: str = "training",
    parameters: Float64[np.ndarray, "trace parameter"] | None = None,
    initial: Float64[np.ndarray, "trace state"] | None = None,
) -> Generated:
    """Simulate a set of series; the same seed and name give the same set, another name one that is independent of it.

    parameters, initial: given, or drawn from the prior and the ranges of the states (before a transient). A trace that runs
    away is drawn again where it was drawn, and counted. Raises SeriesInvalid if given values run away, or drawn ones too often.
    """
    plan = _Plan.of(system, n_traces, design)
    chance = {kind: torch_stream(seed, name, kind) for kind in ("parameters", "initial", "process")}
    states = torch.zeros((plan.times_s.shape[1], n_traces, system.n_states), dtype=torch.float64)
    p = torch.zeros((n_traces, system.n_parameters), dtype=torch.float64)
    wanted, n_redrawn = np.ones(n_traces, dtype=bool), 0
    for _ in range(_ROUNDS):
        by_group = system.draw_parameters(int(plan.group[-1]) + 1, chance["parameters"])[torch.from_numpy(plan.group)]
        p_now = by_group if parameters is None else torch.as_tensor(parameters, dtype=torch.float64)
        drawn = system.draw_states(n_traces, chance["initial"]) if initial is None else torch.as_tensor(initial)
        chosen = torch.from_numpy(wanted)
        p[chosen] = p_now[chosen]
        solved, diverged = _solve(system, drawn.double()[chosen], p[chosen], plan.select(wanted), chance["process"])
        states[:, chosen] = solved
        again = np.flatnonzero(wanted)[diverged.numpy()]
        if not len(again):
            return _observed(plan, system, states, p, seed=seed, name=name, n_redrawn=n_redrawn)
        if parameters is not None and initial is not None:
            raise SeriesInvalid(f"{system.name}: trace {again[0]} runs away; give other parameters or a shorter trace")
        wanted = np.isin(plan.group, plan.group[again])  # traces that share parameters are drawn again together
        n_redrawn += int(wanted.sum())
    raise SeriesInvalid(
        f"{system.name}: {int(wanted.sum())} of {n_traces} traces run away, also after {_ROUNDS} draws; narrow the ranges"
    )


def generate_sets(system: System, sizes: Mapping[str, int], design: Design, *, seed: int) -> dict[str, Generated]:
    """Sets by name, as in {"training": 300, "validation": 100, "test": 100}; no chance is shared between them."""
    return {name: generate(system, n_traces, design, seed=seed, name=name) for name, n_traces in sizes.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """A design spread over all traces."""

    design: Design
    times_s: np.ndarray
    drive: np.ndarray | None
    group: np.ndarray

    @classmethod
    def of(cls, system: System, n_traces: int, design: Design) -> _Plan:
        times = np.asarray(design.times_s, dtype=np.float64)
        if times.shape[-1] < 2 or times.ndim > 2 or (times.ndim == 2 and len(times) != n_traces):
            raise SeriesInvalid(f"times_s must be (time,) or ({n_traces}, time), at least two, not {times.shape}")
        if not bool((np.diff(times, axis=-1) > 0.0).all()):
            raise SeriesInvalid("times_s must rise")
        times = np.broadcast_to(times, (n_traces, times.shape[-1]))
        wanted = ", ".join(quantity.name for quantity in system.drives) or "none"
        drive = None
        if (design.drive is not None) != bool(system.drives):
            raise SeriesInvalid(f"{system.name}: its drives are {wanted}; the design must hold just them")
        if design.drive is not None:
            drive = np.asarray(design.drive, dtype=np.float64)
            shape = (*times.shape, len(system.drives))
            if drive.shape not in (shape, shape[1:]):
                raise SeriesInvalid(
                    f"{system.name}: the drive ({wanted}) must be {shape[1:]} or {shape}, not {drive.shape}"
                )
            drive = np.broadcast_to(drive, shape)
        return cls(design, times, drive, np.arange(n_traces) // design.traces_per_group)

    def select(self, traces: np.ndarray) -> _Plan:
        drive = None if self.drive is None else self.drive[traces]
        return _Plan(self.design, self.times_s[traces], drive, self.group[traces])

    def steps_s(self) -> float | Tensor:
        """One step where all are equal within rounding, else (time, trace), the transient's included."""
        steps = np.diff(self.times_s, axis=1)
        before = np.repeat(steps[:, :1], self.design.transient_samples, axis=1)
        if np.ptp(steps) <= 1e-9 * steps.mean():
            return float(steps.mean())
        return torch.from_numpy(np.concatenate((before, steps), axis=1).T.copy())

    def drive_of_steps(self) -> Tensor | None:
        """(time, trace, channel): in the transient the drive is what it is at the first sample."""
        if self.drive is None:
            return None
        before = np.repeat(self.drive[:, :1], self.design.transient_samples, axis=1)
        return torch.from_numpy(np.concatenate((before, self.drive[:, :-1]), axis=1).swapaxes(0, 1).copy())


def _solve(system: System, initial: Tensor, p: Tensor, plan: _Plan, process: torch.Generator) -> tuple[Tensor, Tensor]:
    """States at the samples, (time, trace, state), and which ran away."""
    design, steps, drive = plan.design, plan.steps_s(), plan.drive_of_steps()
    n_steps = design.transient_samples + plan.times_s.shape[1] - 1
    longest = float(steps.max()) if isinstance(steps, Tensor) else steps
    noisy = design.process_noise and system.stochastic
    substeps = design.substeps or substeps_for(
        system, initial, p, step_s=longest, n_steps=n_steps, drive=drive, noisy=noisy
    )
    with torch.no_grad():
        solved = solve_guarded(
            system,
            initial,
            p,
            step_s=steps,
            n_steps=n_steps,
            drive=drive,
            substeps=substeps,
            noisy=noisy,
            generator=process,
        )
    return solved.states[design.transient_samples :], solved.diverged


def _observed(
    plan: _Plan, system: System, states: Tensor, p: Tensor, *, seed: int, name: str, n_redrawn: int
) -> Generated:
    design = plan.design
    with torch.no_grad():
        outputs = system.outputs_of(states, p)
        channels = (
            (outputs if design.observation is None else design.observation(outputs)).double().numpy().swapaxes(0, 1)
        )
    n_traces, n_samples, n_channels = channels.shape
    names, units = _channels(system, design, n_channels)
    noise_sd = np.broadcast_to(np.asarray(design.noise_sd, dtype=np.float64), (n_traces, n_channels)).copy()
    if design.noise_sd_range is not None:
        low, high = np.log(design.noise_sd_range)
        noise_sd[:] = np.exp(numpy_stream(seed, name, "noise level").uniform(low, high, (n_traces, 1)))
    values = channels + noise_sd[:, None] * numpy_stream(seed, name, "observation").standard_normal(channels.shape)
    if design.missing:
        values[numpy_stream(seed, name, "missing").random((n_traces, n_samples)) < design.missing] = np.nan
    series = Series(
        values, plan.times_s, names, units, drive=plan.drive,
        drive_names=tuple(quantity.name for quantity in system.drives),
        drive_units=tuple(quantity.unit for quantity in system.drives), group=plan.group,
    )  # fmt: skip
    path = states.numpy().swapaxes(0, 1)
    return Generated(series, p.numpy(), path[:, 0].copy(), path, noise_sd, n_redrawn)


def _channels(system: System, design: Design, n_channels: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    outputs = system.flat_outputs
    of_outputs = design.observation is None
    names = design.channel_names or tuple(
        outputs[index].name if of_outputs else f"channel_{index}" for index in range(n_channels)
    )
    units = design.channel_units or tuple(outputs[index].unit if of_outputs else "" for index in range(n_channels))
    return names, units
