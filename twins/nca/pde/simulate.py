"""Frames out of an equation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import EquationInvalid, SolverRefused
from twins.nca.frames import Frames
from twins.nca.pde.equation import Method, Pde
from twins.nca.spec import Padding

_LARGEST = 1e30
"""Of a value that has not run away; frames are float32."""


def simulate(
    pde: Pde,
    initial: Float[Tensor, "trial field y x"] | Float[np.ndarray, "trial field y x"],
    *,
    n_frames: int,
    steps_per_frame: int,
    dt: float | None = None,
    padding: Padding | None = None,
    method: Method = "euler",
    discard: int = 0,
    noise_sd: float = 0.0,
    generator: torch.Generator | None = None,
    conditions: Sequence[str] = (),
) -> Frames:
    """`n_frames` frames, the first included, with `steps_per_frame` time steps from one to the next.

    initial: one state a trial (see twins.nca.pde.initial). discard: time steps before the first frame, which otherwise is
    the initial state. Computed in float64; the frames hold float32 in the equation's own units, not scaled. dt, padding:
    the equation's own where not given. noise_sd: of white noise on every cell and field, per square root of time, drawn
    from `generator`. conditions: parameters that the frames are to name as their conditions.

    Raises EquationInvalid for what does not fit, SolverRefused for an unstable time step or values that run away.
    """
    unknown = [name for name in conditions if name not in pde.parameters]
    if unknown:
        raise EquationInvalid(f"{pde.name} has no parameter {unknown[0]!r}; it has {', '.join(pde.parameters)}")
    if n_frames < 1:
        raise EquationInvalid(f"n_frames must be at least 1, not {n_frames}")
    begun = _initial(pde, initial)
    step = pde.dt if dt is None else dt
    values = np.empty((len(begun), n_frames, *begun.shape[2:], begun.shape[1]), dtype=np.float32)
    run = states(
        pde, begun, steps_per_frame=steps_per_frame, dt=step, padding=padding, method=method, discard=discard,
        noise_sd=noise_sd, generator=generator,
    )  # fmt: skip
    for frame, state in zip(range(n_frames), run, strict=False):
        values[:, frame] = state.permute(0, 2, 3, 1).cpu().numpy()
    held = [[pde.parameters[name] for name in conditions]] * len(begun)
    return Frames(
        values, step * steps_per_frame, pde.fields, pde.units or ("1",) * len(pde.fields), time_unit="1",
        condition_names=tuple(conditions), conditions=np.array(held).reshape(len(begun), len(conditions)), simulated=True,
    )  # fmt: skip


def states(
    pde: Pde,
    initial: Float[Tensor, "trial field y x"] | Float[np.ndarray, "trial field y x"],
    *,
    steps_per_frame: int,
    dt: float | None = None,
    padding: Padding | None = None,
    method: Method = "euler",
    discard: int = 0,
    noise_sd: float = 0.0,
    generator: torch.Generator | None = None,
) -> Iterator[Float[Tensor, "trial field y x"]]:
    """The states in float64, without end: after `discard` time steps, and then after every steps_per_frame more.

    Raises as ``simulate``, when the first state is asked for or when values run away.
    """
    if steps_per_frame < 1 or discard < 0:
        raise EquationInvalid(
            f"steps_per_frame must be at least 1 and discard at least 0, not {steps_per_frame} and {discard}"
        )
    if noise_sd < 0.0 or (noise_sd > 0.0 and generator is None):
        raise EquationInvalid(f"noise_sd = {noise_sd:g}: it must not be negative, and to draw noise takes a generator")
    if noise_sd > 0.0 and pde.discrete:
        raise EquationInvalid(f"{pde.name} knows whole numbers alone; noise_sd must be 0")
    state, step, near = _initial(pde, initial), pde.dt if dt is None else dt, pde.neighbourhood(padding)
    pde.check_dt(state, step, method)
    kick, n_done, n_steps = noise_sd * step**0.5, 0, discard
    with torch.no_grad():
        while True:
            for _ in range(n_steps):
                state = pde.advanced(state, step, near, method)
                if kick:
                    state = state + kick * torch.randn(state.shape, generator=generator, dtype=state.dtype)
            n_done += n_steps
            if not bool((state.abs() < _LARGEST).all()):
                raise SolverRefused(
                    f"{pde.name}: values ran away within the first {n_done} steps of dt = {step:g}; take a smaller dt, "
                    "method = 'rk4', or initial values nearer to the rest state"
                )
            yield state
            n_steps = steps_per_frame


def _initial(pde: Pde, initial: Tensor | np.ndarray) -> Tensor:
    state = torch.as_tensor(initial).double()
    pde.check_initial(state)
    return state
