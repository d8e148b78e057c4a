"""GOKU: infer the parameters of an equation of known form from measured traces.

    System, Quantity, system_named, load_equation     an equation: yours, one by name, one written as text
    Series, KnownObservation                           what was measured, and which output each channel shows
    fit_amortised, AmortisedPosterior                  a posterior for any trace, learned from simulations
    refine, Guess, Posterior                           each trace by its own likelihood, with draws
    GokuNet, goku_ui, fit_goku                         the published networks, trained on measured traces
    identifiability, profile, compare_equations        what the data can tell
    generate, Design                                   simulated series, with their truth
    finished                                           what a generator of events returns in the end

References: Linial, Ravid, Eytan, Shalit, "Generative ODE modeling with known unknowns" (CHIL 2021); Abrevaya et al.,
"Effective Latent Differential Equation Models via Attention and Multiple Shooting" (TMLR 2024).
Names are loaded when first used.
"""

from __future__ import annotations

from collections.abc import Generator
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from twins.goku.amortised.file import load_amortised, save_amortised
    from twins.goku.amortised.fit import fit_amortised
    from twins.goku.amortised.posterior import AmortisedPosterior
    from twins.goku.amortised.settings import AmortisedSettings
    from twins.goku.diagnosis.identifiability import identifiability
    from twins.goku.diagnosis.model_comparison import Candidate, compare_equations
    from twins.goku.diagnosis.profile import profile
    from twins.goku.inference.cramer_rao import cramer_rao_bound
    from twins.goku.inference.predictive import predict_course
    from twins.goku.inference.refine import refine
    from twins.goku.inference.refine_settings import RefineSettings
    from twins.goku.network.fit import fit_goku
    from twins.goku.network.fit_settings import GokuFitSettings
    from twins.goku.network.goku_file import load_goku, save_goku
    from twins.goku.network.model import GokuNet
    from twins.goku.network.spec import GokuSpec, goku_2021, goku_posterior, goku_ui, goku_ui_basic
    from twins.goku.observation import KnownObservation, LinearObservation
    from twins.goku.posterior import Guess, Posterior
    from twins.goku.quantity import Quantity
    from twins.goku.series import Series
    from twins.goku.simulated.generate import Design, generate
    from twins.goku.system import Symmetry, System
    from twins.goku.systems import SYSTEMS, system_named
    from twins.goku.trajectories import solve_guarded, solve_system
    from twins.goku.written.equation_file import equation_from, load_equation

_HOMES = {
    "amortised.file": ("load_amortised", "save_amortised"),
    "amortised.fit": ("fit_amortised",),
    "amortised.posterior": ("AmortisedPosterior",),
    "amortised.settings": ("AmortisedSettings",),
    "diagnosis.identifiability": ("identifiability",),
    "diagnosis.model_comparison": ("Candidate", "compare_equations"),
    "diagnosis.profile": ("profile",),
    "inference.cramer_rao": ("cramer_rao_bound",),
    "inference.predictive": ("predict_course",),
    "inference.refine": ("refine",),
    "inference.refine_settings": ("RefineSettings",),
    "network.fit": ("fit_goku",),
    "network.fit_settings": ("GokuFitSettings",),
    "network.goku_file": ("load_goku", "save_goku"),
    "network.model": ("GokuNet",),
    "network.spec": ("GokuSpec", "goku_2021", "goku_posterior", "goku_ui", "goku_ui_basic"),
    "observation": ("KnownObservation", "LinearObservation"),
    "posterior": ("Guess", "Posterior"),
    "quantity": ("Quantity",),
    "series": ("Series",),
    "simulated.generate": ("Design", "generate"),
    "system": ("Symmetry", "System"),
    "systems": ("SYSTEMS", "system_named"),
    "trajectories": ("solve_guarded", "solve_system"),
    "written.equation_file": ("equation_from", "load_equation"),
}
_HOME_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "SYSTEMS",
    "AmortisedPosterior",
    "AmortisedSettings",
    "Candidate",
    "Design",
    "GokuFitSettings",
    "GokuNet",
    "GokuSpec",
    "Guess",
    "KnownObservation",
    "LinearObservation",
    "Posterior",
    "Quantity",
    "RefineSettings",
    "Series",
    "Symmetry",
    "System",
    "compare_equations",
    "cramer_rao_bound",
    "equation_from",
    "finished",
    "fit_amortised",
    "fit_goku",
    "generate",
    "goku_2021",
    "goku_posterior",
    "goku_ui",
    "goku_ui_basic",
    "identifiability",
    "load_amortised",
    "load_equation",
    "load_goku",
    "predict_course",
    "profile",
    "refine",
    "save_amortised",
    "save_goku",
    "solve_guarded",
    "solve_system",
    "system_named",
]

Result = TypeVar("Result")


def finished(work: Generator[Any, None, Result]) -> Result:
    """Run a generator of events to its end; what it returns."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: Result = stop.value
            return result


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'twins.goku' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
