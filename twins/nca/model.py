"""An automaton with all that is needed to use it on images: scaling, names, steps a frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import FramesInvalid
from twins.nca.automaton import Automaton
from twins.nca.frames import Frames
from twins.nca.scaling import Scaling


@dataclass(frozen=True, slots=True)
class NcaModel:
    """automaton: the rule. scaling: of the observed channels. steps_per_frame: steps of the automaton from one frame to
    the next. dt_s, time_unit: of the frames. names, units: of the observed channels.
    condition_names, condition_scaling: the parameters that the rule knows, and what becomes 0 and 1.
    """

    automaton: Automaton
    scaling: Scaling
    steps_per_frame: int
    dt_s: float
    names: tuple[str, ...]
    units: tuple[str, ...]
    time_unit: str = "s"
    condition_names: tuple[str, ...] = ()
    condition_scaling: Scaling = field(default_factory=lambda: Scaling((), ()))

    def __post_init__(self) -> None:
        spec = self.automaton.spec
        if self.steps_per_frame < 1:
            raise FramesInvalid(f"steps_per_frame must be at least 1, not {self.steps_per_frame}")
        for what, given, wanted in (
            ("names", len(self.names), spec.n_observed),
            ("units", len(self.units), spec.n_observed),
            ("scaling", len(self.scaling.lows), spec.n_observed),
            ("condition_names", len(self.condition_names), spec.n_conditions),
            ("condition_scaling", len(self.condition_scaling.lows), spec.n_conditions),
        ):
            if given != wanted:
                raise FramesInvalid(f"{what}: the automaton needs {wanted}, {given} were given")

    def check(self, frames: Frames) -> None:
        """Raise FramesInvalid unless these frames have this model's channels, conditions, environment and sampling time."""
        if frames.names != self.names or frames.units != self.units:
            raise FramesInvalid(
                f"the frames show {frames.names} in {frames.units}, the automaton {self.names} in {self.units}"
            )
        if not np.isclose(frames.dt_s, self.dt_s, rtol=1e-6, atol=0.0) or frames.time_unit != self.time_unit:
            raise FramesInvalid(
                f"the frames are {frames.dt_s:g} {frames.time_unit} apart, the automaton's {self.dt_s:g} {self.time_unit}"
            )
        if frames.condition_names != self.condition_names:
            raise FramesInvalid(
                f"the automaton knows the conditions {self.condition_names}, the frames have {frames.condition_names}"
            )
        if frames.n_environment != self.automaton.spec.n_environment:
            raise FramesInvalid(
                f"the automaton has {self.automaton.spec.n_environment} environment channels, "
                f"the frames {frames.n_environment}"
            )

    def observed(self, frames: Frames) -> Float[Tensor, "trial time observed y x"]:
        """The frames in the automaton's units."""
        unit = self.scaling.to_unit(frames.values).transpose(0, 1, 4, 2, 3)
        return torch.from_numpy(np.ascontiguousarray(unit)).to(self.automaton.out_weight)

    def start(self, frames: Frames, frame: int = 0) -> Float[Tensor, "trial channel y x"]:
        """The state that begins at one of the frames, hidden channels at zero."""
        environment = frames.environment_tensor(like=self.automaton.out_weight)
        unit = self.scaling.to_unit(frames.values[:, frame]).transpose(
            0, 3, 1, 2
        )  # of this frame alone: there may be many
        observed = torch.from_numpy(np.ascontiguousarray(unit)).to(self.automaton.out_weight)
        return self.automaton.initial_state(observed, environment)

    def conditions(self, frames: Frames) -> Float[Tensor, "trial condition"] | None:
        """The conditions in the automaton's units; None where it knows of none."""
        if not self.condition_names:
            return None
        return torch.from_numpy(self.condition_scaling.to_unit(frames.condition_values)).to(self.automaton.out_weight)

    def states(
        self, frames: Frames, n_frames: int, *, frame: int = 0, generator: torch.Generator | None = None
    ) -> Iterator[Float[Tensor, "trial channel y x"]]:
        """All channels, hidden ones included, of the n_frames frames that follow one of the given frames, run freely."""
        self.check(frames)
        n_steps = self.steps_per_frame * n_frames
        yield from self.automaton.trajectory(
            self.start(frames, frame), n_steps, every=self.steps_per_frame, generator=generator,
            conditions=self.conditions(frames),
        )  # fmt: skip

    def run(self, frames: Frames, n_frames: int, *, frame: int = 0, generator: torch.Generator | None = None) -> Frames:
        """What the automaton makes of one of the frames: that frame and n_frames more, in the units of the images.

        generator: draws which cells fire, where not all do. Values that run away raise FramesInvalid.
        """
        n_observed = self.automaton.spec.n_observed
        unit = [self.observed(frames)[:, frame]]
        unit += [state[:, :n_observed] for state in self.states(frames, n_frames, frame=frame, generator=generator)]
        values = self.scaling.from_unit(torch.stack(unit, dim=1).permute(0, 1, 3, 4, 2).cpu().numpy())
        if not np.isfinite(values).all():
            first = int(np.flatnonzero(~np.isfinite(values).all(axis=(0, 2, 3, 4)))[0])
            raise FramesInvalid(
                f"the automaton ran away: values are no longer finite at frame {first}; train it longer, with "
                "propagation and the state regulariser, or with bounds='clip'"
            )
        return Frames(
            values, self.dt_s, self.names, self.units, self.time_unit, frames.pixel, frames.pixel_unit,
            self.condition_names, frames.condition_values, frames.environment, simulated=True,
        )  # fmt: skip
