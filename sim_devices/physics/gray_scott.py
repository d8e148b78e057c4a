"""A reaction cell: the Gray-Scott reaction u + 2v -> 3v in a thin layer that is fed and drained, seen from above.

    du = [D_u ∇²u - u v² + f (1 - u)] dt - σ √(u v²) dW
    dv = [D_v ∇²v + u v² - (k + f) v] dt + σ √(u v²) dW

u and v are concentrations (1 is that of the feed), f the feed rate at the port `feed`, k the rate at which v is destroyed, at the
port `kill`, both in 1/s. W is one white noise a cell: the number of reactions fluctuates, so what u loses v gains. After
P. Gray and S. K. Scott, Chem. Eng. Sci. 39, 1087 (1984), and J. E. Pearson, "Complex patterns in a simple system", Science
261, 189 (1993). Edges are periodic; the Laplacian has nine points: corners 1/4, sides 1/2, centre -3.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sim_devices.physics.device import Array

PATTERNS = ("blocks", "spots", "noise", "uniform", "hole")
"""What can be injected; `hole` is made into what is there, the others begin anew."""
_FED, _STARTED = (1.0, 0.0), (0.5, 0.25)
"""(u, v) of fresh feed, and where the reaction was started."""
_N_PATCHES = 4


@dataclass(slots=True, kw_only=True)
class GrayScott:
    """State and parameters of one cell.

    Args:
        rows, columns: cells of the grid.
        diffusion_u, diffusion_v: D (cells² a time unit).
        time_unit_s: the equation's unit of time; the Euler steps are one unit or shorter, as in the literature.
        noise_scale: σ (√ of time units), the fluctuation of the reaction in one cell; 0 is the plain equation.
        initial: what is in the cell at first, one of PATTERNS.
        initial_seed: where it lies.
    """

    rows: int = 64
    columns: int = 64
    diffusion_u: float = 0.1
    diffusion_v: float = 0.05
    time_unit_s: float = 1.0
    noise_scale: float = 0.0
    initial: str = "blocks"
    initial_seed: int = 0
    _state: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not (8 <= self.rows <= 1024 and 8 <= self.columns <= 1024):
            raise ValueError(f"rows and columns must be 8 to 1024, not {self.rows} x {self.columns}")
        for name in ("diffusion_u", "diffusion_v"):
            if not 0 < getattr(self, name) <= 0.4:  # beyond 0.5 an explicit step of one unit is unstable
                raise ValueError(f"{name} must be above 0 and at most 0.4, not {getattr(self, name)}")
        if not self.time_unit_s > 0:
            raise ValueError(f"time_unit_s must be positive, not {self.time_unit_s}")
        if not 0 <= self.noise_scale <= 0.5:
            raise ValueError(f"noise_scale must be 0 to 0.5, not {self.noise_scale}")
        self._state = np.empty((2, self.rows, self.columns))
        self.inject(self.initial, self.initial_seed)

    @property
    def ports(self) -> tuple[str, ...]:
        """The rates that a pump sets (1/s)."""
        return ("feed", "kill")

    @property
    def observables(self) -> tuple[str, ...]:
        """Nothing that a voltmeter could see: it takes a camera."""
        return ()

    @property
    def species(self) -> tuple[str, ...]:
        """What the layers of `image` show."""
        return ("u", "v")

    @property
    def steps_per_s(self) -> float:
        """One Euler step a time unit."""
        return 1.0 / self.time_unit_s

    def observe(self) -> dict[str, float]:
        """No voltages."""
        return {}

    def image(self) -> Array:
        """The concentrations now, (species, row, column); a copy."""
        return self._state.copy()

    def inject(self, pattern: str, seed: int) -> None:
        """Fill the cell anew, or make a hole; the seed alone says where. ValueError for an unknown pattern."""
        if pattern not in PATTERNS:
            raise ValueError(f"pattern must be one of {', '.join(PATTERNS)}, not {pattern!r}")
        generator = np.random.default_rng([seed, PATTERNS.index(pattern)])
        u, v = self._state
        if pattern != "hole":
            u[...], v[...] = _FED
        if pattern == "uniform":
            u[...], v[...] = 0.5, 0.5
        elif pattern == "noise":
            v[...] = 0.5 * generator.random(v.shape)
            u[...] = 1.0 - v
        else:
            for _ in range(1 if pattern == "hole" else _N_PATCHES):
                patch = self._patch(generator, square=pattern == "blocks")
                u[patch], v[patch] = _FED if pattern == "hole" else _STARTED

    def _patch(self, generator: np.random.Generator, *, square: bool) -> np.ndarray:
        """(row, column) True within a square or disc of a sixteenth to an eighth of the cell's smaller side to each side."""
        side = min(self.rows, self.columns)
        half = generator.uniform(side / 16, side / 8)
        middle = generator.random(2) * (self.rows, self.columns)
        away = [
            np.abs((np.arange(size) - at + size / 2) % size - size / 2)  # the edges are periodic
            for size, at in zip((self.rows, self.columns), middle, strict=True)
        ]
        combined = np.maximum if square else np.hypot
        inside: np.ndarray = combined(away[0][:, None], away[1][None, :]) <= half
        return inside

    def advance(self, ports: Mapping[str, Array], *, step_s: float, generator: np.random.Generator) -> dict[str, Array]:
        """Euler steps (Euler-Maruyama with noise), as many as the port arrays (1/s) have entries."""
        step = step_s / self.time_unit_s
        diffusion = np.array([self.diffusion_u, self.diffusion_v])[:, None, None]
        state = self._state
        kick = self.noise_scale * math.sqrt(step)
        for feed_per_s, kill_per_s in zip(ports["feed"].tolist(), ports["kill"].tolist(), strict=True):
            feed, kill = feed_per_s * self.time_unit_s, kill_per_s * self.time_unit_s
            u, v = state
            rate = u * v * v
            reacted = step * rate
            if kick:
                reacted += kick * np.sqrt(np.abs(rate)) * generator.standard_normal(rate.shape)
            change = (step * diffusion) * laplacian(state)
            change[0] += step * feed * (1.0 - u) - reacted
            change[1] += reacted - step * (kill + feed) * v
            state = state + change
        self._state = state
        return {}


def laplacian(fields: Array) -> Array:
    """Of each layer (…, row, column) with periodic edges; the nine points are [1/2, 1, 1/2] by rows and columns, less 4."""
    across = fields + 0.5 * (np.roll(fields, 1, -1) + np.roll(fields, -1, -1))
    found: Array = across + 0.5 * (np.roll(across, 1, -2) + np.roll(across, -1, -2)) - 4.0 * fields
    return found
