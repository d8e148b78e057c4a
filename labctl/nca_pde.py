"""Image sequences out of an equation: which one, from where, for how long, as plain data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import UsageError
from labctl.images.origin import origin_of
from labctl.images.reading import Images
from labctl.images.source import check_size
from labctl.images.treatments import ImageTreatments

if TYPE_CHECKING:
    from twins.nca.pde import Pde


@dataclass(frozen=True, slots=True, kw_only=True)
class PdeSource:
    """pde: a name (labctl nca pdes) or the path of an equation that is written as text (.toml). parameters: other values
    than its own. vary: parameters and their values; every combination is simulated, and the rule is told which it is.

    initial: where it begins (see twins.nca.pde.initial); empty: the equation's usual start.
    size: (rows, columns). n_trials: initial conditions. n_frames: of
    every trial, the first included. steps_per_frame: time steps from one to the next. discard: time steps before the first
    frame. dt: time step, the equation's own if None. noise_sd: of noise on every cell. seed: of initial conditions and noise.

    Raises UsageError.
    """

    pde: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    vary: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    initial: str = ""
    size: tuple[int, int] = (64, 64)
    n_trials: int = 4
    n_frames: int = 33
    steps_per_frame: int = 32
    discard: int = 0
    dt: float | None = None
    noise_sd: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        both = sorted(set(self.parameters) & set(self.vary))
        if both:
            raise UsageError(f"{both[0]} is either set or varied, not both")
        for name, values in self.vary.items():
            if len(set(values)) < 2:
                raise UsageError(f"vary {name}: give at least two different values; for one, set it")
        if self.n_trials < 1 or self.n_frames < 2 or self.steps_per_frame < 1:
            raise UsageError(
                f"a simulation needs at least 1 trial, 2 frames and 1 step a frame, not {self.n_trials}, {self.n_frames} and "
                f"{self.steps_per_frame}"
            )

    @property
    def n_sequences(self) -> int:
        """Trials in all: initial conditions times combinations of the parameters that are varied."""
        return self.n_trials * math.prod(len(values) for values in self.vary.values())

    def equation(self) -> Pde:
        """The equation with its parameters. Raises twins.TwinError, UsageError."""
        from twins.nca import pde

        if not self.pde.endswith(".toml"):
            return pde.pde_named(self.pde, **self.parameters)
        return pde.load_pde(Path(self.pde)).with_parameters(**self.parameters)

    def unseen(self, n_trials: int, *, n_frames: int) -> PdeSource:
        """The same equation from initial conditions that are drawn anew, for so many frames."""
        initial = "random_blocks" if self.initial == "blocks" else self.initial
        return replace(self, n_trials=n_trials, n_frames=n_frames, initial=initial, seed=self.seed + 1_000_003)

    def simulated(self) -> Images:
        """Simulate it. Raises twins.TwinError, UsageError, ImagesError for more than is ever read."""
        import torch

        from twins.nca import pde as equations

        equation = self.equation()
        combinations = [dict(zip(self.vary, one, strict=True)) for one in itertools.product(*self.vary.values())]
        n_all = len(combinations) * self.n_trials
        check_size((n_all, self.n_frames, *self.size, len(equation.fields)), f"a simulation of {self.pde}")
        generator = torch.Generator().manual_seed(self.seed)
        initial = self.initial or equation.start

        def begun(own: Pde) -> torch.Tensor:
            return equations.initial_named(initial, own, self.n_trials, size=self.size, generator=generator)

        options: dict[str, Any] = {
            "n_frames": self.n_frames, "steps_per_frame": self.steps_per_frame, "dt": self.dt, "discard": self.discard,
            "noise_sd": self.noise_sd, "generator": generator,
        }  # fmt: skip
        if self.vary:
            frames = equations.simulate_family(equation, combinations, begun, **options)
        else:
            frames = equations.simulate(equation, begun(equation), **options)
        return Images(frames, ({**self.as_dict(), **self._file()},), (), (), ImageTreatments(simulated=True))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for provenance."""
        told = {name: value for name, value in asdict(self).items() if value not in ({}, None)}
        return {"simulation": {**told, "size": list(self.size)}}

    def _file(self) -> dict[str, Any]:
        return origin_of(self.pde) if self.pde.endswith(".toml") else {}


def initial_conditions() -> tuple[str, ...]:
    """The names there are."""
    from twins.nca.pde import INITIAL_CONDITIONS

    return ("blocks", *INITIAL_CONDITIONS)


def listed() -> list[dict[str, Any]]:
    """All equations as plain data."""
    import inspect

    from twins.nca.pde import PDES

    return [
        {
            "name": name,
            "about": " ".join((inspect.getdoc(type(one)) or "").split("\n\n")[0].split()),
            "fields": list(one.fields),
            "parameters": dict(one.parameters),
            "dt": one.dt,
            "padding": one.padding,
            "largest_dt": _finite(one),
        }
        for name, one in PDES.items()
    ]


def _finite(equation: Pde) -> float | None:
    """The largest stable time step about its rest state, where that is known."""
    import torch

    from twins.errors import TwinError

    try:
        rest = torch.tensor(equation.rest(), dtype=torch.float64)[None, :, None, None].expand(1, -1, 4, 4)
        largest = equation.largest_dt(rest)
    except TwinError:
        return None
    return largest if math.isfinite(largest) else None
