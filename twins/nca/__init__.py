"""Neural cellular automata: the local rule behind image sequences and PDEs.

    Frames                       image sequences, plain arrays
    NcaSpec, Automaton           what an automaton is made of, and the automaton
    NcaModel                     an automaton with scaling, names and steps a frame: what one uses on images
    fit_nca, NcaFitSettings      training on image sequences, a generator of events
    free_run.free_run            how a model fares on its own: errors by frame, stability
    Augmentation, Damage, Pool   what is done to pictures and states in training; damage and paint do it by hand
    regeneration                 whether a model heals
    NcaEnsemble, calibration     several models that answer as one, and whether their spread knows how wrong they are
    finished                     what a generator of events returns in the end

Reference: Richardson, Antal, Blythe, Schumacher, "Learning spatio-temporal patterns with Neural Cellular Automata" (PLOS
Comput. Biol. 2024, doi 10.1371/journal.pcbi.1011589). Names are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twins.goku import finished
    from twins.nca.automaton import Automaton, Unrolled
    from twins.nca.ensemble import NcaEnsemble, NcaSpread
    from twins.nca.ensemble_calibration import NcaCalibration, calibration
    from twins.nca.ensemble_file import load_any_nca, load_nca_ensemble, save_nca_ensemble
    from twins.nca.export import export_nca
    from twins.nca.frames import Frames
    from twins.nca.free_run import FreeRun
    from twins.nca.healing import Regeneration, regeneration
    from twins.nca.kernels import KERNEL_SETS
    from twins.nca.losses import LOSSES, Loss, loss_named
    from twins.nca.metrics import compare, stable, wavelengths
    from twins.nca.model import NcaModel
    from twins.nca.nca_file import load_nca, save_nca
    from twins.nca.pde import PDES, Pde, pde_named, simulate
    from twins.nca.readable import ReadableRule, read_frames, read_model
    from twins.nca.scaling import Scaling
    from twins.nca.spec import NcaSpec
    from twins.nca.stability import Bound, SearchSettings, SoughtStart, seek_start
    from twins.nca.symmetry import Equivariance, equivariance, symmetrised
    from twins.nca.training.augmentation import Augmentation, Transform
    from twins.nca.training.damage import Damage, damage, disc_mask, half_mask, paint, rectangle_mask
    from twins.nca.training.events import FittedNca, NcaEpoch, NcaEvent
    from twins.nca.training.fit import fit_nca
    from twins.nca.training.pool import Pool
    from twins.nca.training.seeds import FittedSeeds, SeedEvent, fit_seeds
    from twins.nca.training.settings import NcaFitSettings, Stage, settings_2024

_HOMES = {
    "twins.nca.ensemble": (
        "NcaEnsemble",
        "NcaSpread",
    ),
    "twins.nca.ensemble_calibration": (
        "NcaCalibration",
        "calibration",
    ),
    "twins.nca.ensemble_file": (
        "load_any_nca",
        "load_nca_ensemble",
        "save_nca_ensemble",
    ),
    "twins.nca.healing": (
        "Regeneration",
        "regeneration",
    ),
    "twins.nca.training.augmentation": (
        "Augmentation",
        "Transform",
    ),
    "twins.nca.training.damage": (
        "Damage",
        "damage",
        "disc_mask",
        "half_mask",
        "paint",
        "rectangle_mask",
    ),
    "twins.nca.training.pool": ("Pool",),
    "twins.goku": ("finished",),
    "twins.nca.automaton": ("Automaton", "Unrolled"),
    "twins.nca.export": ("export_nca",),
    "twins.nca.frames": ("Frames",),
    "twins.nca.free_run": ("FreeRun",),
    "twins.nca.kernels": ("KERNEL_SETS",),
    "twins.nca.losses": ("LOSSES", "Loss", "loss_named"),
    "twins.nca.metrics": (
        "compare",
        "stable",
        "wavelengths",
    ),
    "twins.nca.model": ("NcaModel",),
    "twins.nca.nca_file": ("load_nca", "save_nca"),
    "twins.nca.pde": (
        "PDES",
        "Pde",
        "pde_named",
        "simulate",
    ),
    "twins.nca.readable": ("ReadableRule", "read_frames", "read_model"),
    "twins.nca.scaling": ("Scaling",),
    "twins.nca.spec": ("NcaSpec",),
    "twins.nca.stability": ("Bound", "SearchSettings", "SoughtStart", "seek_start"),
    "twins.nca.symmetry": ("Equivariance", "equivariance", "symmetrised"),
    "twins.nca.training.events": ("FittedNca", "NcaEpoch", "NcaEvent"),
    "twins.nca.training.fit": ("fit_nca",),
    "twins.nca.training.seeds": ("FittedSeeds", "SeedEvent", "fit_seeds"),
    "twins.nca.training.settings": ("NcaFitSettings", "Stage", "settings_2024"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "KERNEL_SETS",
    "LOSSES",
    "PDES",
    "Augmentation",
    "Automaton",
    "Bound",
    "Damage",
    "Equivariance",
    "FittedNca",
    "FittedSeeds",
    "Frames",
    "FreeRun",
    "Loss",
    "NcaCalibration",
    "NcaEnsemble",
    "NcaEpoch",
    "NcaEvent",
    "NcaFitSettings",
    "NcaModel",
    "NcaSpec",
    "NcaSpread",
    "Pde",
    "Pool",
    "ReadableRule",
    "Regeneration",
    "Scaling",
    "SearchSettings",
    "SeedEvent",
    "SoughtStart",
    "Stage",
    "Transform",
    "Unrolled",
    "calibration",
    "compare",
    "damage",
    "disc_mask",
    "equivariance",
    "export_nca",
    "finished",
    "fit_nca",
    "fit_seeds",
    "half_mask",
    "load_any_nca",
    "load_nca",
    "load_nca_ensemble",
    "loss_named",
    "paint",
    "pde_named",
    "read_frames",
    "read_model",
    "rectangle_mask",
    "regeneration",
    "save_nca",
    "save_nca_ensemble",
    "seek_start",
    "settings_2024",
    "simulate",
    "stable",
    "symmetrised",
    "wavelengths",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'twins.nca' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
