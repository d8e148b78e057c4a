"""Image sequences of other programs as Frames, with all that was done to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.image_light import Reference, reference_of
from labctl.images import treating
from labctl.images.axes import ordered, settled
from labctl.images.errors import ImagesError
from labctl.images.interrupted import went_on
from labctl.images.opening import open_sources
from labctl.images.origin import origin_of
from labctl.images.source import ImageSource, real
from labctl.images.treatments import ImageTreatments

if TYPE_CHECKING:
    from twins.nca import Frames

_LARGEST_EXACT = 1 << 24  # of integers in float32


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """frames: as they were read. sources: the files, as plain data. told: what wants saying, in words. done: the treatments,
    as plain data. asked: how the files were to be read, to read others the same way."""

    frames: Frames
    sources: tuple[Mapping[str, Any], ...]
    told: tuple[str, ...]
    done: tuple[Mapping[str, Any], ...]
    asked: ImageTreatments

    def as_dict(self) -> dict[str, Any]:
        """For provenance."""
        return {
            "data": [dict(one) for one in self.sources],
            "treatments": [dict(one) for one in self.done],
            "said": list(self.told),
            "reading": self.asked.as_dict(),
        }


def read_images(path: str | Path, **treatments: Any) -> Frames:
    """The sequence of a file or folder. treatments: see ImageTreatments; what was done is told by `open_images` alone.

    Raises ImagesError, UsageError, twins.TwinError.
    """
    return open_images([path], ImageTreatments(**treatments)).frames


def open_images(
    paths: Sequence[str | Path], treatments: ImageTreatments | None = None, *, conditions: Sequence[str] | None = None
) -> Images:
    """The sequences of these files and folders, each of them one trial or several.

    conditions: of labctl's own recordings those that the frames are to tell, as an automaton knows them; if not given, those
    that differ between the trials of all files together. Raises ImagesError, twins.TwinError.
    """
    treatments = treatments or ImageTreatments()
    if not paths:
        raise ImagesError("no images were given")
    sources = [source for path in paths for source in open_sources(path, dataset=treatments.dataset)]
    if treatments.trials == "all":
        sources = [went_on(source, treatments.frames[1]) for source in sources]
    parts = [(source, *_one(source, treatments)) for source in sources]
    told = [words for source, one, _ in parts for words in (*source.told, *one.told)]
    done = [record | {"of": one.what} for _, one, _ in parts for record in one.done]
    frames, said = _joined(
        [(source, one) for source, one, _ in parts], [extra for *_, extra in parts], treatments, conditions
    )
    return Images(
        frames, tuple(origin_of(path) for path in paths), (*dict.fromkeys(told), *said), tuple(done), treatments
    )


def _one(source: ImageSource, treatments: ImageTreatments) -> tuple[treating.Sequence, dict[str, Any]]:
    """One source, treated; with its time step and pixel."""
    what = source.path.name
    axes, words = settled(source.shape, source.axes, treatments.axes, str(source.path))
    told = [f"{what}: {words}"] if words else []
    gaps = len(source.numbers) > 1 and bool(np.ptp(np.diff(source.numbers)) > 1e-9)
    selection = _selection(source, axes, treatments, late=gaps)
    raw = source.checked(selection)
    if raw.dtype.kind in "iu" and raw.dtype.itemsize > 2 and raw.size and int(np.abs(raw).max()) > _LARGEST_EXACT:
        told.append(f"{what}: integers beyond 2^24 are rounded to 24 bits")
    full = float(np.iinfo(raw.dtype).max) if raw.dtype.kind in "iu" else 1.0
    plane, rest = _one_plane(source, raw, axes, treatments)
    values = ordered(plane, rest)
    names, units = _named(source, values.shape[4])
    one = treating.Sequence(what, real(values), names, units, full, tuple(told))
    dark, flat = (_still(path, treatments) for path in (treatments.dark, treatments.flat))
    one = treating.lit(one, dark, flat)
    light = None if source.light is None else source.light[:, selection[list(axes).index("time")]]
    one = treating.steady(one, light, treatments)
    if gaps:
        start, stop = treatments.frames
        part = slice(start, stop)
        one = treating.numbered(replace(one, values=one.values[:, part]), source.numbers[part], treatments)
        one = replace(one, values=one.values[:, :: treatments.every])
    one, kept = treating.whole(one, treatments)
    one = treating.filled(one, treatments)
    one = treating.chosen(treating.greyed(treating.without_alpha(one, treatments), treatments), treatments)
    small = treating.smaller(one.values, treatments.downsample, what)
    return replace(one, values=small), {**_extra(source, treatments, what, kept), "trials": kept}


def _selection(
    source: ImageSource, axes: Sequence[str], treatments: ImageTreatments, *, late: bool
) -> tuple[slice, ...]:
    """What is read of the array; late: frames are chosen when gaps are filled. Raises ImagesError."""
    found = []
    for axis, length in zip(axes, source.shape, strict=True):
        part = slice(0, length, 1)
        if axis == "time" and not late:
            start, stop = treatments.frames
            if start >= length or (stop is not None and stop > length):
                raise ImagesError(
                    f"{source.path} has {length} frames, of which --frames {start}:{stop or ''} asks for others"
                )
            part = slice(start, length if stop is None else stop, treatments.every)
        elif axis in ("y", "x") and treatments.crop is not None:
            start, stop = treatments.crop[:2] if axis == "y" else treatments.crop[2:]
            if stop > length:
                raise ImagesError(f"{source.path}: --crop ends at {axis} = {stop}, and the images end at {length}")
            part = slice(start, stop, 1)
        found.append(part)
    return tuple(found)


def _one_plane(
    source: ImageSource, values: NDArray[Any], axes: Sequence[str], treatments: ImageTreatments
) -> tuple[NDArray[Any], list[str]]:
    """Without the z axis. Raises ImagesError where several planes are there and none was chosen."""
    if "z" not in axes:
        if treatments.z is not None:
            raise ImagesError(f"{source.path} has no z axis, and --z {treatments.z} was asked for")
        return values, list(axes)
    place = list(axes).index("z")
    rest = [axis for axis in axes if axis != "z"]
    n_planes, z = values.shape[place], treatments.z
    if z is None and n_planes > 1:
        raise ImagesError(
            f"{source.path} has {n_planes} planes in z; take one (--z 0 to {n_planes - 1}), or --z mean, --z max"
        )
    if isinstance(z, str):
        return (values.mean(axis=place) if z == "mean" else values.max(axis=place)), rest
    if z is not None and z >= n_planes:
        raise ImagesError(f"{source.path} has planes 0 to {n_planes - 1} in z, not {z}")
    return np.take(values, z or 0, axis=place), rest


def _named(source: ImageSource, n_channels: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = source.names if len(source.names) == n_channels else ()
    if not names:
        names = ("intensity",) if n_channels == 1 else tuple(f"channel{number}" for number in range(n_channels))
    if not source.names and n_channels in (3, 4) and source.format == "tiff" and "S" in source.about["axes"]:
        names = ("red", "green", "blue", "alpha")[:n_channels]
    units = source.units if len(source.units) == n_channels else ("",) * n_channels
    return names, units


def _still(path: Path | None, treatments: ImageTreatments) -> Reference | None:
    """(y, x, channel): the mean of all images of a file, cropped as the data are."""
    if path is None:
        return None
    [source, *more] = open_sources(path)
    if more:
        raise ImagesError(f"{path} holds several sequences; a dark or flat image is one")
    source = went_on(source, None)
    axes, _ = settled(source.shape, source.axes, "", str(path))
    spatial = ImageTreatments(crop=treatments.crop)
    raw = source.checked(_selection(source, axes, spatial, late=False))
    integers = raw.dtype.kind in "iu"
    saturated = int((raw == np.iinfo(raw.dtype).max).sum()) if integers else source.saturated
    images = real(ordered(raw, axes))
    return reference_of(
        images.reshape(-1, *images.shape[2:]), lit=source.lit, saturated=saturated, name=str(path), error=ImagesError
    )


def _extra(source: ImageSource, treatments: ImageTreatments, what: str, kept: Sequence[int]) -> dict[str, Any]:
    """Time step and pixel after the treatments, environment, and what wants saying."""
    told = []
    dt = treatments.dt if treatments.dt is not None else source.dt
    unit = treatments.time_unit or (source.time_unit if source.dt is not None else "s")
    if dt is None:
        dt, unit = 1.0, treatments.time_unit or "frame"
        told.append(f"{what} does not say the time from frame to frame: it counts as 1 {unit} (--dt, --time-unit)")
    elif treatments.dt is not None and source.dt is not None and not np.isclose(treatments.dt, source.dt):
        told.append(
            f"{what} says {source.dt:g} {source.time_unit} from frame to frame; --dt {treatments.dt:g} {unit} goes first"
        )
    pixel = treatments.pixel if treatments.pixel is not None else source.pixel
    pixel_unit = treatments.pixel_unit or (source.pixel_unit if source.pixel is not None else "px")
    environment = source.environment
    if environment is not None:
        top, bottom, left, right = treatments.crop or (0, environment.shape[1], 0, environment.shape[2])
        environment = treating.smaller(
            real(environment[list(kept), top:bottom, left:right]), treatments.downsample, what
        )
    simulated = treatments.simulated if source.simulated is None else source.simulated
    return {
        "dt_s": dt * treatments.every, "time_unit": unit, "pixel": (pixel or 1.0) * treatments.downsample,
        "pixel_unit": pixel_unit, "simulated": simulated, "environment": environment, "told": told,
    }  # fmt: skip


def _joined(
    parts: Sequence[tuple[ImageSource, treating.Sequence]],
    extras: Sequence[dict[str, Any]],
    treatments: ImageTreatments,
    wanted: Sequence[str] | None,
) -> tuple[Frames, list[str]]:
    """All trials of all sources. Raises ImagesError where they do not belong together."""
    from twins.nca import Frames

    sequences = [one for _, one in parts]
    said = [words for extra in extras for words in extra["told"]]
    kinds = {
        "rows, columns and channels": [one.values.shape[2:] for one in sequences],
        "channels": [(one.names, one.units) for one in sequences],
        "times from frame to frame": [(round(extra["dt_s"], 12), extra["time_unit"]) for extra in extras],
        "conditions": [source.condition_names for source, _ in parts],
    }
    for what, found in kinds.items():
        if len(set(found)) > 1:
            different = next(place for place, one in enumerate(found) if one != found[0])
            raise ImagesError(
                f"{sequences[0].what} and {sequences[different].what} differ in {what}: {found[0]} and {found[different]}; "
                "sequences that are read together are of one kind"
            )
    lengths = [one.values.shape[1] for one in sequences]
    if len(set(lengths)) > 1:
        if treatments.lengths == "refuse":
            listed = ", ".join(f"{one.what} {length}" for one, length in zip(sequences, lengths, strict=True))
            raise ImagesError(
                f"sequences of different lengths ({listed} frames): --lengths shortest cuts all to {min(lengths)}"
            )
        said.append(f"sequences of {min(lengths)} to {max(lengths)} frames are cut to the first {min(lengths)}")
    values = np.concatenate([one.values[:, : min(lengths)] for one in sequences])
    first = extras[0]
    simulated = [extra["simulated"] for extra in extras]
    if len(set(simulated)) > 1:
        said.append("some of the sequences are simulated; all count as simulated")
    environments = [extra["environment"] for extra in extras]
    present = [one for one in environments if one is not None]
    if present and len(present) != len(environments):
        raise ImagesError("some of the sequences come with an environment, others without; read them apart")
    names, conditions, words = _conditions(
        [source for source, _ in parts], [extra["trials"] for extra in extras], wanted
    )
    said += words
    frames = Frames(
        values, first["dt_s"], sequences[0].names, sequences[0].units, first["time_unit"], first["pixel"],
        first["pixel_unit"], names, conditions,
        np.concatenate(present) if present else None, simulated=any(simulated),
    )  # fmt: skip
    if frames.n_frames < 2:
        each = (
            ""
            if frames.n_trials == 1
            else f" in each of {frames.n_trials} sequences (give a folder of pictures as one)"
        )
        said.append(f"there is one frame alone{each}: nothing can be learned from it, an automaton can start from it")
    return frames, list(dict.fromkeys(said))


def _conditions(
    sources: Sequence[ImageSource], trials: Sequence[Sequence[int]], wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], NDArray[Any] | None, list[str]]:
    """Names, values (trial, condition), and what wants saying. One that never changes teaches nothing."""
    names = sources[0].condition_names
    if not names:
        return (), None, []
    values = np.concatenate([np.asarray(one.conditions)[list(kept)] for one, kept in zip(sources, trials, strict=True)])
    if not all(one.every_condition for one in sources):
        return names, values, []
    varied = [name for place, name in enumerate(names) if np.ptp(values[:, place]) > 0]
    kept = [names.index(name) for name in (varied if wanted is None else wanted) if name in names]
    told = [
        f"{name} was held at {values[0, place]:g} in all sequences, and the automaton is not told"
        for place, name in enumerate(names)
        if place not in kept and name not in varied
    ]
    return tuple(names[place] for place in kept), values[:, kept], told
