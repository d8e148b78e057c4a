"""What a running automaton is compared with: image sequences, or the equation itself, run beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labctl.nca_pde import PdeSource

if TYPE_CHECKING:
    import torch

    from twins.nca import Frames
    from twins.nca.pde import Pde


@dataclass(frozen=True, slots=True)
class Orientation:
    """How the field was turned and mirrored: n_turns quarter turns counterclockwise, then perhaps left to right."""

    n_turns: int = 0
    flipped: bool = False

    def turned(self, n_turns: int) -> Orientation:
        """After more quarter turns: a turn of a mirrored picture is the mirrored picture of the turn the other way round."""
        more = -n_turns if self.flipped else n_turns
        return replace(self, n_turns=(self.n_turns + more) % 4)

    def mirrored(self) -> Orientation:
        """After one more mirroring."""
        return replace(self, flipped=not self.flipped)

    def of(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """A picture (y, x, …) of the data as it stands now."""
        turned = np.rot90(picture, self.n_turns, axes=(0, 1))
        return np.ascontiguousarray(np.flip(turned, axis=1) if self.flipped else turned)


class DataTarget:
    """Frames of one sequence, interpolated between two of them."""

    def __init__(self, frames: Frames, trial: int) -> None:
        self._values = frames.values[trial]
        self.upright = Orientation()

    def at(self, frame: float, size: tuple[int, int]) -> NDArray[np.float32] | None:
        """(y, x, channel); None beyond the end, or for a field of another size."""
        before = int(frame)
        share = frame - before
        if before + (share > 0) >= len(self._values):
            return None
        picture = self._values[before]
        if share > 0:
            picture = ((1.0 - share) * picture + share * self._values[before + 1]).astype(np.float32)
        shown = self.upright.of(picture)
        return shown if shown.shape[:2] == size else None


class EquationTarget:
    """The equation itself, in its own units; field: (1, field, y, x) in float64."""

    def __init__(self, source: PdeSource, equation: Pde, field: torch.Tensor) -> None:
        self._source, self._equation = source, equation
        self._near = equation.neighbourhood(None)
        self._dt = equation.dt if source.dt is None else source.dt
        self.field = field

    def advance(self, n_steps: int) -> None:
        """So many time steps of the equation."""
        import torch

        with torch.no_grad():
            for _ in range(n_steps):
                self.field = self._equation.advanced(self.field, self._dt, self._near, "euler")

    def picture(self) -> NDArray[np.float32]:
        """(y, x, channel)."""
        return np.ascontiguousarray(self.field[0].permute(1, 2, 0).numpy().astype(np.float32))


def equation_of(source: PdeSource, frames: Frames, trial: int) -> Pde | None:
    """The equation of this sequence, where it can run beside: without noise, with the parameters that were varied."""
    if source.noise_sd > 0.0:
        return None
    held = dict(zip(frames.condition_names, map(float, frames.condition_values[trial]), strict=True))
    return source.equation().with_parameters(**held)
