"""Image sequences to look at, frame by frame: only the frame that is asked for is read, where the file allows it.

film = open_player(Path("film.tif"))
picture = film.picture(sequence=0, frame=120)      # (y, x, channel), as it lies in the file
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.images.axes import ordered, settled
from labctl.images.errors import ImagesError
from labctl.images.opening import open_sources
from labctl.images.source import ImageSource, real

_LOOKED_AT = 8
"""Frames of each file that tell which values there are, for the colours."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of the sequences: those of one source. held: all of it, of a file that cannot be read in parts."""

    source: ImageSource
    axes: tuple[str, ...]
    n_sequences: int
    n_frames: int
    size: tuple[int, int]
    n_channels: int

    def read(self, sequence: int, frame: int) -> NDArray[np.float32]:
        """(y, x, channel)."""
        chosen = {"trial": sequence, "time": frame, "z": 0}
        selection = tuple(
            slice(chosen[axis], chosen[axis] + 1, 1) if axis in chosen else slice(0, length, 1)
            for axis, length in zip(self.axes, self.source.shape, strict=True)
        )
        values = self.source.checked(selection)
        rest = [axis for axis in self.axes if axis != "z"]
        if "z" in self.axes:
            values = values.take(0, axis=self.axes.index("z"))
        return real(ordered(values, rest)[0, 0])


@dataclass(frozen=True, slots=True, eq=False)
class Player:
    """names, units: of the channels. size: (rows, columns). n_frames: of each sequence. dt: from frame to frame, where the file
    says it, in time_unit. lows, highs: of each channel, in the frames that were looked at. simulated: None where the file does
    not say. told: what was guessed, or left out."""

    path: Path
    names: tuple[str, ...]
    units: tuple[str, ...]
    size: tuple[int, int]
    n_frames: tuple[int, ...]
    dt: float | None
    time_unit: str
    pixel: float | None
    pixel_unit: str
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    simulated: bool | None
    told: tuple[str, ...]
    _parts: tuple[_Part, ...]

    @property
    def n_sequences(self) -> int:
        """How many there are."""
        return len(self.n_frames)

    def picture(self, *, sequence: int, frame: int) -> NDArray[np.float32]:
        """(y, x, channel). Raises ImagesError for a frame that is not there, or cannot be read."""
        if not 0 <= sequence < self.n_sequences or not 0 <= frame < self.n_frames[sequence]:
            raise ImagesError(f"{self.path}: there is no frame {frame} of sequence {sequence}")
        for part in self._parts:
            if sequence < part.n_sequences:
                return part.read(sequence, frame)
            sequence -= part.n_sequences
        raise AssertionError("sequences and parts do not agree")


def open_player(path: Path, *, dataset: str = "", axes: str = "") -> Player:
    """Look at a file or folder, and read only some frames of it. dataset, axes: as labctl.images.ImageTreatments has them.

    Raises ImagesError.
    """
    sources = [_held(source) for source in open_sources(path, dataset=dataset)]
    told: list[str] = []
    parts = []
    for source in sources:
        part, words = _part(source, axes)
        parts.append(part)
        told += [*source.told, *words]
    first = parts[0]
    if len({(part.size, part.n_channels) for part in parts}) > 1:
        raise ImagesError(f"{path}: its sequences have different sizes or channels: open them one by one")
    names, units = _named(first.source, first.n_channels)
    lows, highs = _range(parts)
    source = first.source
    return Player(
        path, names, units, first.size, tuple(part.n_frames for part in parts for _ in range(part.n_sequences)), source.dt,
        source.time_unit, source.pixel, source.pixel_unit, lows, highs, source.simulated, tuple(dict.fromkeys(told)),
        tuple(parts),
    )  # fmt: skip


def _held(source: ImageSource) -> ImageSource:
    """Itself; a file that cannot be read in parts is read once, and kept."""
    if source.lazy:
        return source
    whole = source.checked(tuple(slice(0, length, 1) for length in source.shape))
    return replace(source, read=lambda selection: whole[selection], lazy=True)


def _part(source: ImageSource, asked: str) -> tuple[_Part, list[str]]:
    axes, words = settled(source.shape, source.axes, asked, str(source.path))
    lengths = dict(zip(axes, source.shape, strict=True))
    told = [f"{source.path.name}: {words}"] if words else []
    if lengths.get("z", 1) > 1:
        told.append(f"{source.path.name}: of {lengths['z']} planes the first one is shown")
    n_frames = max(source.taken) if source.taken else lengths.get("time", 1)
    if source.taken:
        told.append(f"{source.path.name}: the recording was interrupted; {n_frames} frames are there")
    part = _Part(
        source, axes, lengths.get("trial", 1), max(1, n_frames), (lengths["y"], lengths["x"]), lengths.get("channel", 1)
    )
    return part, told


def _named(source: ImageSource, n_channels: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = source.names if len(source.names) == n_channels else ()
    if not names:
        names = ("intensity",) if n_channels == 1 else tuple(f"channel{number}" for number in range(n_channels))
    return names, source.units if len(source.units) == n_channels else ("",) * n_channels


def _range(parts: Sequence[_Part]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lowest and highest finite value of each channel, over some frames of the first and the last sequence."""
    lows, highs = np.full(parts[0].n_channels, np.inf), np.full(parts[0].n_channels, -np.inf)
    for part, sequence in {
        (id(one), place): (one, place) for one, place in ((parts[0], 0), (parts[-1], parts[-1].n_sequences - 1))
    }.values():
        for frame in sorted({round(place) for place in np.linspace(0, part.n_frames - 1, _LOOKED_AT)}):
            picture = part.read(sequence, frame)
            finite = np.isfinite(picture)
            lows = np.minimum(lows, np.where(finite, picture, np.inf).min(axis=(0, 1)))
            highs = np.maximum(highs, np.where(finite, picture, -np.inf).max(axis=(0, 1)))
    lows = np.where(np.isfinite(lows), lows, 0.0)
    highs = np.where(highs > lows, highs, lows + 1.0)
    return tuple(map(float, lows)), tuple(map(float, highs))
