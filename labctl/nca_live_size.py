"""The first frame on a field of another size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labctl.nca_live_frames import LiveSource

if TYPE_CHECKING:
    from twins.nca import Frames, NcaModel

_CONTINUED: dict[str, Literal["wrap", "edge", "symmetric"]] = {
    "periodic": "wrap",
    "zero": "edge",
    "symmetric": "symmetric",
}


def begun_in_size(source: LiveSource, frames: Frames, model: NcaModel, size: tuple[int, int]) -> Frames:
    """One frame of (rows, columns): of an equation its own start there; of images their first frame, cut about the middle or
    continued as the automaton's padding has it. Raises twins.TwinError, UsageError, ImagesError."""
    if source.data.pde is not None and not source.data.pde.vary:
        begun = replace(source.data.pde, size=size, n_frames=2, steps_per_frame=1).simulated().frames
        picture = begun.values[[source.trial], :1]
        return replace(frames, values=picture, environment=_environment(frames, model, size))
    values = _fitted(frames.values[:, :1], size, model, rows_at=2)
    return replace(frames, values=values, environment=_environment(frames, model, size))


def _environment(frames: Frames, model: NcaModel, size: tuple[int, int]) -> NDArray[Any] | None:
    return None if frames.environment is None else _fitted(frames.environment, size, model, rows_at=1)


def _fitted(values: NDArray[Any], size: tuple[int, int], model: NcaModel, *, rows_at: int) -> NDArray[Any]:
    """The middle part, or more of the same."""
    for axis, wanted in ((rows_at, size[0]), (rows_at + 1, size[1])):
        there = values.shape[axis]
        before = abs(wanted - there) // 2
        if wanted < there:
            values = np.take(values, range(before, before + wanted), axis=axis)
        elif wanted > there:
            around = [(0, 0)] * values.ndim
            around[axis] = (before, wanted - there - before)
            values = np.pad(values, around, mode=_CONTINUED[model.automaton.spec.padding])
    return values
