"""How a twin is to be fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PRESETS = ("duffing", "leaky_integrator", "nanorings", "spin_vortex_ice")
"""Of twins.presets, by name, for those who must not load torch to know them."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How to fit: who chooses the twin's structure and training, what is said against that, and the budget.

    choice: "diagnosed", as the recordings call for (see twins.diagnosis); "plain", the defaults of twins.DeviceTwinSpec
    and one-step likelihood; or a preset of twins.presets by name. Fields that are not None override the choice, and so
    do spec_options (further fields of the spec). ensemble: how many twins of different seeds; the first is the one that
    is judged and used, and the only one unless more are asked for. max_seconds: of all training together, with the
    twins that are tried and left. held_out_fraction: of the inputs, or of every trial, kept from the fit to judge it
    where no held-out recording is given; None: a fifth, or up to two fifths where the gates need it.
    """

    choice: str = "diagnosed"
    response_delays: int | None = None
    drive_delays: int | None = None
    hidden: tuple[int, ...] | None = None
    spec_options: Mapping[str, Any] = field(default_factory=dict)
    phases: tuple[str, ...] | None = None
    ensemble: int | None = None
    max_seconds: float | None = None
    held_out_fraction: float | None = None
    n_calibration_draws: int = 99

    def overrides(self) -> dict[str, Any]:
        """Fields of the spec that were given."""
        given = {name: getattr(self, name) for name in ("response_delays", "drive_delays", "hidden")}
        return {**{name: value for name, value in given.items() if value is not None}, **self.spec_options}
