"""A saved automaton as labctl uses it: the model, where it came from, how its images were read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import CampaignError, LabctlError
from labctl.images import ImageTreatments
from labctl.provenance import collect_provenance

if TYPE_CHECKING:
    from labctl.images import Images
    from twins.nca import Frames, NcaModel

PROVENANCE = "nca"
"""The key of the provenance under which labctl keeps how an automaton was fitted."""
_BEYOND = 0.5  # of the trained range
_ODD_SHARE = 0.01  # of the values: dead and hot pixels


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
        """How the images that it was fitted to were read, as far as it holds for others: not which of the frames.

        Dark and flat references are files of whoever fitted it: say so before they are opened. Raises twins.CheckpointInvalid.
        """
        from dataclasses import fields

        from pydantic import TypeAdapter, ValidationError

        from twins.errors import CheckpointInvalid
        from twins.weights_file import in_words

        about = self.about.get(PROVENANCE, {})
        stored = about.get("reading", {}) if isinstance(about, Mapping) else about
        try:
            kept = {name: one for name, one in dict(stored).items() if name != "frames"}
            unknown = sorted(set(kept) - {one.name for one in fields(ImageTreatments)})
            if unknown:
                raise ValueError(f"there is no treatment {unknown[0]!r}")
            return TypeAdapter(ImageTreatments).validate_json(json.dumps(kept))
        except ValidationError as error:
            raise CheckpointInvalid(
                f"{self.path}: what it says of reading images is damaged: {in_words(error)}"
            ) from error
        except (LabctlError, TypeError, ValueError) as error:
            raise CheckpointInvalid(f"{self.path}: what it says of reading images is damaged: {error}") from error


def load_model(path: str | Path) -> SavedNca:
    """The automaton of a file (.json or .safetensors, or without ending). Raises twins.CheckpointInvalid, CampaignError."""
    from twins.nca.ensemble_file import is_nca_ensemble
    from twins.nca.nca_file import load_nca, read_nca_provenance

    json_path = json_of(path)
    if is_nca_ensemble(json_path):
        raise CampaignError(
            f"{json_path} is an ensemble; this is for one automaton: take a member, {_beside(json_path, '.member0.json').name}"
        )
    return SavedNca(json_path, load_nca(json_path), read_nca_provenance(json_path))


def load_members(path: str | Path) -> tuple[SavedNca, ...]:
    """The automata of an ensemble's file, or the only one of its own. Raises twins.CheckpointInvalid, CampaignError."""
    from twins.nca.ensemble_file import is_nca_ensemble, load_nca_ensemble, read_nca_ensemble_provenance

    json_path = json_of(path)
    if not is_nca_ensemble(json_path):
        return (load_model(json_path),)
    about = read_nca_ensemble_provenance(json_path)
    return tuple(
        SavedNca(_beside(json_path, f".member{number}.json"), member, about)
        for number, member in enumerate(load_nca_ensemble(json_path).members)
    )


def json_of(path: str | Path) -> Path:
    """The file of an automaton of this name. Raises CampaignError, which says what it is instead."""
    path = Path(path)
    json_path = _beside(path, ".json")
    if json_path.exists():
        return json_path
    if path.is_dir():
        raise CampaignError(f"{path} is a folder; give the automaton in it, such as {path / 'nca.json'}")
    if path.is_file() and path.suffix not in (".safetensors", ".json"):
        raise CampaignError(f"{path} is no automaton; give its .json or .safetensors")
    raise CampaignError(f"{path}: there is no automaton of this name ({json_path} does not exist)")


def save_model(model: NcaModel, path: Path, about: Mapping[str, Any]) -> SavedNca:
    """Write an automaton, whole or not at all."""
    from twins.nca.nca_file import save_nca

    path.parent.mkdir(parents=True, exist_ok=True)
    return SavedNca(Path(save_nca(model, path, provenance=about)), model, about)


def save_ensemble(models: Sequence[NcaModel], path: Path, about: Mapping[str, Any]) -> tuple[SavedNca, ...]:
    """Write an ensemble and its members, each whole or not at all; its members as they lie there."""
    from twins.nca.ensemble import NcaEnsemble
    from twins.nca.ensemble_file import save_nca_ensemble

    path.parent.mkdir(parents=True, exist_ok=True)
    return load_members(save_nca_ensemble(NcaEnsemble(models), path, provenance=about))


def save_in_any_case(model: NcaModel, path: Path, about: Mapping[str, Any]) -> SavedNca:
    """``save_model``; where that cannot be, write it somewhere else, so that no training is lost, and then raise.

    Raises CampaignError, which says where the automaton is now.
    """
    try:
        return save_model(model, path, about)
    except OSError as error:
        saved, tried = _elsewhere(model, path, about)
        if saved is None:
            raise CampaignError(
                f"{path} cannot be written: {error}; nor could {' or '.join(map(str, tried))}. The automaton is lost"
            ) from error
        raise CampaignError(
            f"{path} cannot be written: {error}. The automaton was saved as {saved.path} instead, not evaluated; "
            f"labctl nca evaluate {saved.path} SOURCE does that"
        ) from error


def _elsewhere(model: NcaModel, path: Path, about: Mapping[str, Any]) -> tuple[SavedNca | None, list[Path]]:
    """In the current folder, or a temporary one; where nothing lies yet. None, and what was tried, if neither can be."""
    tried = []
    for make in (Path.cwd, lambda: Path(tempfile.mkdtemp(prefix="labctl-nca-"))):
        try:
            place = _unused(make() / f"{path.name}-rescued")
            tried.append(place)
            return save_model(model, place, about), tried
        except OSError:
            continue
    return None, tried


def _unused(path: Path) -> Path:
    number, place = 1, path
    while _beside(place, ".json").exists() or _beside(place, ".safetensors").exists():
        number += 1
        place = path.with_name(f"{path.name}-{number}")
    return place


def _beside(path: Path, ending: str) -> Path:
    stem = path.with_suffix("") if path.suffix in (".safetensors", ".json") else path
    return stem.with_name(f"{stem.name}{ending}")


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
    unnamed = frames.names in (
        ("intensity",),
        ("grey",),
        tuple(f"channel{number}" for number in range(frames.n_channels)),
    )
    if frames.names != model.names and unnamed and frames.n_channels == len(model.names):
        frames = replace(frames, names=model.names, units=model.units)
        told.append(f"the channels have no names and are taken for the automaton's: {', '.join(model.names)}")
    if frames.time_unit == "frame" != model.time_unit:
        frames = replace(frames, dt_s=model.dt_s, time_unit=model.time_unit)
        told = [words for words in told if "from frame to frame" not in words]
        told.append(
            f"the time from frame to frame is not said and is taken for the automaton's: {model.dt_s:g} {model.time_unit}"
        )
    frames = fitting(model, frames, "the images")
    told += outside_range(model, frames)
    return replace(images, frames=frames, told=tuple(told))


def outside_range(model: NcaModel, frames: Frames) -> list[str]:
    """In words, the channels and conditions of which more than a hundredth lies beyond the trained range by more than half of
    it: what the automaton makes of such values was never trained. A few odd pixels are no reason."""
    told = []
    for names, scaling, values in (
        (model.names, model.scaling, frames.values),
        (model.condition_names, model.condition_scaling, frames.condition_values),
    ):
        for place, (name, low, high) in enumerate(zip(names, scaling.lows, scaling.highs, strict=True)):
            own, beyond = values[..., place], _BEYOND * (high - low)
            share = float(((own < low - beyond) | (own > high + beyond)).mean())
            if share > _ODD_SHARE:
                told.append(
                    f"{name} is far outside of what the automaton was trained on: its values are {own.min():g} to "
                    f"{own.max():g}, trained were {low:g} to {high:g}. Nothing is known of what it makes of them"
                )
    return told


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
