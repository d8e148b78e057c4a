"""How an automaton is built and trained, as plain data: presets, and what differs from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from labctl.errors import CampaignError

if TYPE_CHECKING:
    from twins.nca import Frames, NcaSpec
    from twins.nca.training.settings import NcaFitSettings

Preset = Literal["pde", "images", "morph", "as-published"]
ScalingPer = Literal["global", "channel"]

PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "pde": ({"hidden": 6, "kernels": "ID_LAP", "padding": "periodic"}, {"steps_per_frame": 32}),
    "images": (
        {"hidden": 8, "kernels": "ID_DIFF_LAP", "padding": "symmetric"},
        {"steps_per_frame": 16, "injection": 0.25},
    ),
    "morph": (
        {"hidden": 12, "kernels": "ID_DIFF_LAP", "padding": "zero", "fire_rate": 0.5, "bounds": "clip"},
        {
            "steps_per_frame": 32,
            "epochs": 5000,
            "validate_every": 50,
            "replicas": 8,
            "batch": 12,
            "injection": 0.1,
            "learning_rate": 5e-3,
            "warm_start": 0.0,
            "warm_up": 0.8,
            "loss": "squared_euclidean",
            "state_weight": 0.0,
            "beyond": 5.0,
            "pool": {
                "kept": 1.0,
                "renewed": 0.1,
                "share": 0.67,
                "damage_after": 0.15,
                "damage": {"kind": "disc", "share": 0.4, "radius": (0.08, 0.45), "middle": 0.8},
            },
        },  # of benchmarks/nca_morph.py
    ),
    "as-published": (
        {"hidden": 6, "kernels": "ID_LAP", "padding": "periodic"},
        {"steps_per_frame": 32},  # and settings_2024
    ),
}
"""Of each the automaton (hidden: channels beside the observed ones) and its training, where they differ from the defaults of
NcaSpec and NcaFitSettings. pde, as-published: fields that are periodic, of an isotropic law (Richardson et al. 2024, doi
10.1371/journal.pcbi.1011589). images: recordings of a camera. morph: pictures that
become one another; the last one stays, and heals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NcaTraining:
    """preset: of PRESETS. spec: fields of NcaSpec that differ from the preset's (n_channels, kernels, padding …); how many
    channels are observed, fixed or conditions, the frames say. fit: fields of NcaFitSettings that differ (steps_per_frame,
    epochs, loss, max_seconds …; augmentation, damage and pool as mappings, stages as (epochs, horizon)). n_seeds: trainings that
    differ in nothing but chance. scaling: one range for all channels, or one for each. formulation: how steps are computed.

    Raises CampaignError for what has no such name; what does not fit raises twins.AutomatonInvalid when it is made.
    """

    preset: str = "pde"
    spec: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    n_seeds: int = 1
    scaling: ScalingPer = "global"

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise CampaignError(f"there is no preset {self.preset!r}; there are {', '.join(PRESETS)}")
        if self.scaling not in ("global", "channel"):
            raise CampaignError(f"scaling is global or channel, not {self.scaling!r}")
        if not 1 <= self.n_seeds <= 64:
            raise CampaignError(f"n_seeds must lie in 1..64, not {self.n_seeds}")

    def spec_for(self, frames: Frames) -> NcaSpec:
        """The automaton for these frames. Raises CampaignError, twins.AutomatonInvalid."""
        from twins.nca import NcaSpec

        wanted = {**PRESETS[self.preset][0], **self.spec}
        hidden = wanted.pop("hidden")
        fixed: dict[str, Any] = {
            "n_observed": frames.n_channels,
            "n_environment": frames.n_environment,
            "n_conditions": len(frames.condition_names),
        }
        for name, value in fixed.items():
            if wanted.pop(name, value) != value:
                raise CampaignError(f"{name} is what the frames say, {value}; leave it away")
        wanted.setdefault("n_channels", sum((frames.n_channels, frames.n_environment, hidden)))
        try:
            return NcaSpec(**fixed, **wanted)
        except TypeError as error:
            raise CampaignError(f"no such option of an automaton: {error}") from error

    def settings(self) -> NcaFitSettings:
        """How it is trained. Raises CampaignError, twins.TwinError."""
        from twins.nca.training.augmentation import Augmentation
        from twins.nca.training.damage import Damage
        from twins.nca.training.pool import Pool
        from twins.nca.training.settings import NcaFitSettings, Stage, settings_2024

        wanted = {**PRESETS[self.preset][1], **self.fit}
        try:
            for name, kind in (("augmentation", Augmentation), ("damage", Damage)):
                if isinstance(wanted.get(name), Mapping):
                    wanted[name] = kind(**wanted[name])
            if isinstance(wanted.get("pool"), Mapping):
                pool = dict(wanted["pool"])
                if isinstance(pool.get("damage"), Mapping):
                    pool["damage"] = Damage(**pool["damage"])
                wanted["pool"] = Pool(**pool)
            wanted["stages"] = tuple(
                Stage(*one) if isinstance(one, tuple | list) else one for one in wanted.get("stages", ())
            )
            return (settings_2024 if self.preset == "as-published" else NcaFitSettings)(**wanted)
        except TypeError as error:
            raise CampaignError(f"no such option of a training: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for provenance."""
        return {
            "preset": self.preset, "spec": dict(self.spec), "fit": dict(self.fit), "n_seeds": self.n_seeds,
            "scaling": self.scaling,
        }  # fmt: skip
