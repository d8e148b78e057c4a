"""Image sequences, as plain frozen arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import FramesInvalid


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Sequences of images of one kind: camera recordings, or fields of a PDE.

    values: (trial, time, y, x, channel), finite, kept as float32. dt_s: time from one frame to the next (s, or steps where
    `time_unit` says so). names, units: one a channel. pixel: size of a cell in `pixel_unit`.
    conditions: (trial, condition), parameters held constant in each trial (feed, kill …), with their names.
    environment: (trial, y, x, environment channel), fixed fields that the cells know (a mask, a micropattern); may be None.
    simulated: whether no camera ever saw them.

    Raises FramesInvalid.
    """

    values: Float[np.ndarray, "trial time y x channel"]
    dt_s: float
    names: tuple[str, ...]
    units: tuple[str, ...]
    time_unit: str = "s"
    pixel: float = 1.0
    pixel_unit: str = "px"
    condition_names: tuple[str, ...] = ()
    conditions: Float[np.ndarray, "trial condition"] | None = None
    environment: Float[np.ndarray, "trial y x environment"] | None = None
    simulated: bool = False

    def __post_init__(self) -> None:
        values = _checked("values", self.values, 5)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "units", tuple(self.units))
        object.__setattr__(self, "condition_names", tuple(self.condition_names))
        n_trials, n_channels = values.shape[0], values.shape[4]
        if len(self.names) != n_channels or len(self.units) != n_channels or len(set(self.names)) != n_channels:
            raise FramesInvalid(
                f"{n_channels} channels need as many different names and as many units, not {self.names}, {self.units}"
            )
        for name in ("dt_s", "pixel"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise FramesInvalid(f"{name} must be a positive number, not {value!r}")
        conditions = np.zeros((n_trials, 0)) if self.conditions is None else self.conditions
        object.__setattr__(self, "conditions", _checked("conditions", conditions, 2, may_be_empty=True))
        if self.condition_values.shape != (n_trials, len(self.condition_names)):
            raise FramesInvalid(
                f"conditions must be (trial, condition) = {(n_trials, len(self.condition_names))}, "
                f"not {self.condition_values.shape}"
            )
        if self.environment is not None:
            environment = _checked("environment", self.environment, 4)
            object.__setattr__(self, "environment", environment)
            if environment.shape[:3] != (n_trials, *values.shape[2:4]):
                raise FramesInvalid(
                    f"environment must be (trial, y, x, channel) of {(n_trials, *values.shape[2:4])}, "
                    f"not {environment.shape}"
                )

    @property
    def n_trials(self) -> int:
        """Number of sequences."""
        return int(self.values.shape[0])

    @property
    def n_frames(self) -> int:
        """Frames of every sequence, the first included."""
        return int(self.values.shape[1])

    @property
    def n_channels(self) -> int:
        """Channels of every pixel."""
        return int(self.values.shape[4])

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)."""
        return int(self.values.shape[2]), int(self.values.shape[3])

    @property
    def condition_values(self) -> Float[np.ndarray, "trial condition"]:
        """The conditions, never None."""
        assert self.conditions is not None  # __post_init__ filled it
        return self.conditions

    @property
    def n_environment(self) -> int:
        """Channels of the environment."""
        return 0 if self.environment is None else int(self.environment.shape[3])

    def select(self, trials: Sequence[int] | np.ndarray) -> Frames:
        """Some of the sequences (indices or a boolean mask)."""
        index = np.arange(self.n_trials)[np.asarray(trials)]
        environment = None if self.environment is None else self.environment[index]
        return replace(
            self, values=self.values[index], conditions=self.condition_values[index], environment=environment
        )

    def span(self, start: int, stop: int, every: int = 1) -> Frames:
        """The frames start, start + every, … below stop of every sequence. Raises FramesInvalid if there are none."""
        if not (0 <= start < stop <= self.n_frames and every >= 1):
            raise FramesInvalid(f"frames {start}:{stop}:{every} are not in sequences of {self.n_frames} frames")
        return replace(self, values=self.values[:, start:stop:every], dt_s=self.dt_s * every)

    def tensor(self, *, like: Tensor | None = None) -> Float[Tensor, "trial time channel y x"]:
        """The values with channels before rows, as automata take them."""
        values = torch.from_numpy(np.array(self.values.transpose(0, 1, 4, 2, 3), order="C"))  # a copy: ours is frozen
        return values if like is None else values.to(like)

    def environment_tensor(self, *, like: Tensor | None = None) -> Float[Tensor, "trial environment y x"] | None:
        """The environment with channels before rows."""
        if self.environment is None:
            return None
        values = torch.from_numpy(np.array(self.environment.transpose(0, 3, 1, 2), order="C"))  # a copy: ours is frozen
        return values if like is None else values.to(like)


def _checked(name: str, given: object, n_axes: int, *, may_be_empty: bool = False) -> np.ndarray:
    array = np.array(given, dtype=np.float32)  # a copy: nobody changes the data behind our back
    if array.ndim != n_axes or (0 in array.shape and not may_be_empty):
        raise FramesInvalid(f"{name} must have {n_axes} axes, none empty; its shape is {array.shape}")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        raise FramesInvalid(
            f"{name}: {len(bad)} values are not finite, the first at {tuple(int(i) for i in bad[0])}; "
            "fill or leave away such frames"
        )
    array.setflags(write=False)
    return array
