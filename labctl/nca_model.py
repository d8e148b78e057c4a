"""A saved automaton as labctl uses it: the model, where it came from, how its images were read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import CampaignError
from labctl.images import ImageTreatments
from labctl.provenance import collect_provenance

if TYPE_CHECKING:
    from labctl.images import Images
    from twins.nca import Frames, NcaModel

PROVENANCE = "nca"
"""The key of the provenance under which labctl keeps how an automaton was fitted."""


@dataclass(frozen=True, slots=True, eq=False)
class SavedNca:
    """path: of the JSON. about: the provenance."""

    path: Path
    model: NcaModel
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def simulated(self) -> bool:
        """Whether the images that it was fitted to were simulated."""
        return bool(self.about.get("simulated"))

    @property
    def n_parameters(self) -> int:
        """Weights that training moves."""
        return sum(one.numel() for one in self.model.automaton.parameters())

    def reading(self) -> ImageTreatments:
        """How the images that it was fitted to were read, as far as it holds for others: not which of the frames."""
        stored = dict(self.about.get(PROVENANCE, {}).get("reading", {}))
        stored.pop("frames", None)
        kept: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in stored.items()}
        kept |= {name: Path(kept[name]) for name in ("dark", "flat") if name in kept}
        return ImageTreatments(**kept)


def load_model(path: str | Path) -> SavedNca:
    """The automaton of a file (.json or .safetensors, or without ending). Raises twins.CheckpointInvalid."""
    from twins.nca.nca_file import load_nca, read_nca_provenance

    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".safetensors", ".json") else path
    json_path = stem.with_name(f"{stem.name}.json")
    return SavedNca(json_path, load_nca(json_path), read_nca_provenance(json_path))


def save_model(model: NcaModel, path: Path, about: Mapping[str, Any]) -> SavedNca:
    """Write an automaton, whole or not at all."""
    from twins.nca.nca_file import save_nca

    path.parent.mkdir(parents=True, exist_ok=True)
    return SavedNca(Path(save_nca(model, path, provenance=about)), model, about)


def origin(images: Sequence[Images], *, seed: int, simulated: bool, told: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance of what is made of these images. told: the caller's own, under PROVENANCE."""
    data = [one.as_dict() for one in images]
    base = collect_provenance(
        simulated=simulated,
        seed=seed,
        extra={
            "data": [source for one in data for source in one["data"]],
            "treatments": [record for one in data for record in one["treatments"]],
        },
    )
    return {PROVENANCE: {**told, "reading": data[0]["reading"] if data else {}}, **base}


def as_taken(saved: SavedNca, images: Images) -> Images:
    """The images with the names, units and times of the automaton where their file does not say any; told.

    Raises CampaignError, which says what to do, where they are none that this automaton can take.
    """
    frames, model, told = images.frames, saved.model, list(images.told)
    unnamed = frames.names in (("intensity",), tuple(f"channel{number}" for number in range(frames.n_channels)))
    if frames.names != model.names and unnamed and frames.n_channels == len(model.names):
        frames = replace(frames, names=model.names, units=model.units)
        told.append(f"the channels have no names and are taken for the automaton's: {', '.join(model.names)}")
    if frames.time_unit == "frame" != model.time_unit:
        frames = replace(frames, dt_s=model.dt_s, time_unit=model.time_unit)
        told = [words for words in told if "from frame to frame" not in words]
        told.append(
            f"the time from frame to frame is not said and is taken for the automaton's: {model.dt_s:g} {model.time_unit}"
        )
    return replace(images, frames=fitting(model, frames, "the images"), told=tuple(told))


def fitting(model: NcaModel, frames: Frames, what: str) -> Frames:
    """The frames, if this automaton can take them; frames of one time step apart otherwise say how to make them so.

    Raises CampaignError, which says what to do.
    """
    from twins.errors import FramesInvalid

    try:
        model.check(frames)
    except FramesInvalid as error:
        raise CampaignError(
            f"{what}: {error}. Read it as the automaton's own images were read (--channels, --grey, --dt, --every, "
            "--time-unit)"
        ) from error
    return frames
