"""Profile likelihood: how well a parameter is known when all others are free to follow it.

At each of a row of held values all other unknowns are climbed to the likelihood's top; the interval is where the
profile stays within half the chi-square quantile of its maximum. Unlike intervals by the information it is right where
the likelihood is no parabola, and it says where the data leave a side open. All values, sides and groups of traces
climb as one batch.

Sources: Murphy and van der Vaart, J. Am. Stat. Assoc. 95 (2000); Raue et al., Bioinformatics 25 (2009).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from twins.errors import EquationInvalid, SeriesInvalid
from twins.goku.diagnosis.profile_density import HeldDensity
from twins.goku.diagnosis.profile_front import Front, half_quantile
from twins.goku.inference.climb import Top, climb
from twins.goku.inference.coordinates import FreeCoordinates, noise_sd_range_from
from twins.goku.inference.group_density import GroupDensity
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.inference.solver_error import enough_substeps, with_substeps
from twins.goku.observation import Observation
from twins.goku.posterior import Guess
from twins.goku.series import Series
from twins.goku.system import System

_LOST = 0.1  # nats: more than the prior's small weight and a climb's tolerance may take


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """substeps: solver steps a sample; None: as many as the likelihood needs at the estimate. noise_sd_range: as in
    RefineSettings. points: held values on each side in the first row. rounds: of rows further out (each reaches twice as
    far), then as many at most around the ends. max_iterations: of a climb."""

    substeps: int | None = None
    noise_sd_range: tuple[object, object] | None = None
    points: int = 4
    rounds: int = 6
    max_iterations: int = 40

    def __post_init__(self) -> None:
        if min(self.points, self.rounds, self.max_iterations) < 1:
            raise SeriesInvalid("profile settings: points, rounds and max_iterations must be at least 1")


@dataclass(frozen=True, slots=True)
class ProfileEvent:
    """phase: "top", "outwards" or "ends". n_points: held values climbed so far. n_open: sides without an end yet."""

    phase: str
    n_points: int
    n_open: int
    progress: float


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Of one parameter, for one group of traces. values: held, rising; drop: natural logarithm of the likelihood below its
    maximum, at each (0 at the top, -inf where the equation runs away); others: (point, parameter), all parameters at each
    top. low, high: ends of the interval at `level`; open_left, open_right: the profile does not fall that far before the
    range ends, which is then the end. converged: every climb came to its top. higher_top: a top that much higher
    (nats) than the estimate's was found on the way. lost: nats by which that top still lies below the estimate that was
    handed in; above 0 the interval is not about the estimate (a value of it lies on or beyond the end of its range)."""

    group: int
    parameter: str
    unit: str
    parameter_names: tuple[str, ...]
    level: float
    best: float
    low: float
    high: float
    open_left: bool
    open_right: bool
    values: Float64[np.ndarray, " point"]
    drop: Float64[np.ndarray, " point"]
    others: Float64[np.ndarray, "point parameter"]
    converged: bool
    higher_top: float
    lost: float

    def lines(self) -> list[str]:
        """In words."""
        unit = f" {self.unit}" if self.unit else ""
        share = f"{100.0 * self.level:.3g} %"
        text = [f"{self.parameter} = {self.best:.5g}{unit}, {share} interval {self.low:.5g} .. {self.high:.5g}{unit}"]
        sides = [name for name, is_open in (("left", self.open_left), ("right", self.open_right)) if is_open]
        for side in sides:
            end = self.low if side == "left" else self.high
            text.append(f"{self.parameter} is open to the {side}: it runs into the prior's bound at {end:.5g}{unit}")
        if self.higher_top > 0.1:
            text.append(f"a top {self.higher_top:.3g} nats above the estimate was found; begin a refinement there")
        if self.lost > _LOST:
            text.append(
                f"the estimate lies {self.lost:.3g} nats above all that was found, so this interval is not about it: move "
                "what lies on or beyond the end of its range inside, or widen the range"
            )
        if not self.converged:
            text.append("some climbs did not come to their top; give more iterations")
        return text

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(self).items()
        }


def profile(
    system: System,
    observation: Observation | None,
    series: Series,
    estimate: Guess,
    parameter: str,
    *,
    level: float = 0.9,
    settings: ProfileSettings | None = None,
) -> Generator[ProfileEvent, None, tuple[Profile, ...]]:
    """Profile one parameter (by its flat name, as in "coupling[0,1]") for every group of traces, in rising order.

    estimate: where to begin, e.g. ``Refined.estimate``. Nothing but the ranges is taken from the prior.
    Raises EquationInvalid for an unknown parameter, SeriesInvalid where the equation runs away at the estimate.
    """
    settings = settings or ProfileSettings()
    if parameter not in system.parameter_names:
        known = ", ".join(system.parameter_names)
        raise EquationInvalid(f"{system.name} has no parameter {parameter!r} to profile; it has {known}")
    if not 0.0 < level < 1.0:
        raise SeriesInvalid(f"level must lie between 0 and 1, not {level}")
    coordinates = FreeCoordinates(system, noise_sd_range_from(settings.noise_sd_range, series), initial="free")
    parts = [torch.from_numpy(np.array(part)) for part in (estimate.parameters, estimate.initial, estimate.noise_sd)]
    wanted = [(series.n_traces, size) for size in coordinates.sizes]
    if [tuple(part.shape) for part in parts] != wanted:
        raise SeriesInvalid(
            f"the estimate needs parameters, initial and noise_sd of shapes {wanted} for this series, "
            f"not {[tuple(part.shape) for part in parts]}"
        )
    likelihood = TraceLikelihood(system, observation, series, substeps=settings.substeps or 1)
    if settings.substeps is None:
        likelihood = with_substeps(likelihood, enough_substeps(likelihood, *parts))
    all_members = [torch.from_numpy(np.flatnonzero(series.groups == group)) for group in np.unique(series.groups)]
    for members in all_members:
        parts[0][members] = parts[0][members].mean(0)
    free, height = coordinates.free(torch.cat(parts, dim=-1)), likelihood.log_likelihood(*parts)
    place = system.parameter_names.index(parameter)
    found: list[Profile] = []
    for members in all_members:
        density = GroupDensity(likelihood, coordinates, members.unsqueeze(0))
        course = _Course(density, place, level, settings, float(height[members].sum()))
        yield from course.run(density.joined(free[members]))
        found.append(course.profile(int(series.groups[members[0]]), system))
    return tuple(found)


class _Course:
    """The profile of one group."""

    def __init__(
        self, density: GroupDensity, place: int, level: float, settings: ProfileSettings, height: float
    ) -> None:
        self._density = HeldDensity(density, place)
        self._free_density = HeldDensity(density, None)
        self._place, self._level, self._settings = place, level, settings
        self._height = height

    def run(self, start: Tensor) -> Generator[ProfileEvent, None, None]:
        """First the top, then outwards, then the ends."""
        top = yield from self._climbed(self._free_density, start.unsqueeze(0), "top", 0.0)
        if bool(top.diverged[0]):
            raise SeriesInvalid("the equation runs away at the estimate; refine it first")
        self._front = Front(self._place, top.x[0], float(top.value[0]), top.precision[0], half_quantile(self._level))
        for number in range(self._settings.rounds):
            x = self._front.outwards(self._settings.points)
            if not len(x):
                break
            yield from self._add(x, "outwards", 0.1 + 0.5 * number / self._settings.rounds)
            yield from self._add(self._front.neighbours(), "outwards", 0.1 + 0.5 * number / self._settings.rounds)
        for number in range(self._settings.rounds):
            x = self._front.at_ends()
            if not len(x):
                break
            yield from self._add(x, "ends", 0.6 + 0.4 * number / self._settings.rounds)

    def _add(self, x: Tensor, phase: str, progress: float) -> Generator[ProfileEvent, None, None]:
        if len(x):
            top = yield from self._climbed(self._density, x, phase, progress)
            self._front.add(top.x, top.value, top.converged | top.diverged)

    def _climbed(
        self, density: HeldDensity, x: Tensor, phase: str, progress: float
    ) -> Generator[ProfileEvent, None, Top]:
        groups = torch.zeros(len(x), dtype=torch.int64)
        climbing = climb(density, x, groups, max_iterations=self._settings.max_iterations, tolerance=1e-3)
        while True:
            try:
                next(climbing)
            except StopIteration as stopped:
                top: Top = stopped.value
                return top
            front = getattr(self, "_front", None)
            yield ProfileEvent(
                phase, 0 if front is None else front.n_points, 2 if front is None else front.n_open, progress
            )

    def profile(self, group: int, system: System) -> Profile:
        """What was found, in physical units."""
        front, density = self._front, self._density
        quantity = system.flat_parameters[self._place]

        def physical(x: Tensor) -> np.ndarray:
            values: np.ndarray = density.coordinates.physical(density.by_trace(x)[..., 0, :]).numpy()
            return values[..., : system.n_parameters]

        x, drop = front.sorted()
        top = x[int(drop.argmax())].expand(1, 1, -1)
        reached = float(density.value(top, torch.zeros(1, dtype=torch.int64)) - density.log_prior(top))
        ends = [front.end(side) for side in (-1, 1)]
        held = physical(torch.stack([front.at(end) for end, _ in ends]))[:, self._place]
        others = physical(x)
        return Profile(
            group, quantity.name, quantity.unit, system.parameter_names, self._level,
            float(others[int(drop.argmax()), self._place]),
            quantity.low if ends[0][1] else float(held[0]), quantity.high if ends[1][1] else float(held[1]),
            ends[0][1], ends[1][1], others[:, self._place].copy(), drop.numpy().copy(), others,
            front.converged, front.higher_top, max(0.0, self._height - reached),
        )  # fmt: skip
