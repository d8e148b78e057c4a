"""Pictures of image sequences: target, automaton and difference side by side over time; hidden channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VALUES, SIGNED, MISSING = "viridis", "PuOr", "0.85"
"""Both colour maps can be told apart by people who see red and green alike."""
_COLUMNS = 6
_PANEL = 1.45


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """One sequence as it is shown. data, run: (time, y, x, channel); the run may be longer, and not finite."""

    data: NDArray[Any]
    run: NDArray[Any]
    names: tuple[str, ...]
    units: tuple[str, ...]

    def frames(self) -> list[int]:
        """Which frames are shown: over the data, and the last one beyond."""
        n_data, n_run = len(self.data), len(self.run)
        inside = np.linspace(0, min(n_data, n_run) - 1, _COLUMNS - (n_run > n_data))
        chosen = {round(place) for place in inside} | {n_run - 1}
        return sorted(chosen)

    @property
    def colours(self) -> bool:
        """Whether the first channels are red, green and blue."""
        return self.names[:3] == ("red", "green", "blue")


def side_by_side(film: Film, channel: int) -> Figure:
    """Three rows of one channel: as measured, the automaton from the first frame on, and the difference."""
    frames = film.frames()
    data, run = film.data[..., channel], film.run[..., channel]
    known = [data[frame] if frame < len(data) else None for frame in frames]
    less = [None if there is None else run[frame] - there for frame, there in zip(frames, known, strict=True)]
    most = max((float(np.abs(one[np.isfinite(one)]).max(initial=0.0)) for one in less if one is not None), default=0.0)
    most = min(most, float(np.ptp(data)) or 1.0) or 1e-12
    values, difference = Normalize(*ends(data)), TwoSlopeNorm(0.0, -most, most)
    figure, panels = rows_of(3, len(frames), data.shape[1:], bars=True)
    titles(panels[0], frames, data.shape[2])
    row(panels[0], "data", known, data.shape[1:], values, VALUES, "no data")
    ours = row(panels[1], "automaton", [run[frame] for frame in frames], data.shape[1:], values, VALUES, "not finite")
    differing = row(panels[2], "difference", less, data.shape[1:], difference, SIGNED, "no data")
    unit = film.units[channel]
    name = f"{film.names[channel]} ({unit})" if unit not in ("", "1") else film.names[channel]
    for image, axes, label in ((ours, panels[:2], name), (differing, panels[2:], "difference")):
        bar = figure.colorbar(image, ax=list(axes), fraction=0.03, pad=0.01, extend="both")
        bar.set_label(label, fontsize=9)
        bar.ax.tick_params(labelsize=8)
    return figure


def in_colour(film: Film) -> Figure:
    """Two rows in colour: as measured, and the automaton; what lies beyond the data's range is cut off there, and said."""
    frames, size = film.frames(), film.data.shape[1:3]
    low, high = ends(film.data[..., :3])
    figure, panels = rows_of(2, len(frames), size, bars=False)
    titles(panels[0], frames, size[1])
    for axes, words, values in ((panels[0], "data", film.data), (panels[1], "automaton", film.run)):
        there = [values[frame, ..., :3] if frame < len(values) else None for frame in frames]
        shown = [None if one is None else np.clip((one - low) / (high - low), 0.0, 1.0) for one in there]
        row(axes, words, shown, size, None, None, "no data")
    return figure


def hidden_channels(hidden: NDArray[Any], frames: Sequence[int]) -> Figure:
    """(frame, y, x, channel): a row a channel, each on its own scale about zero."""
    size, n_channels = hidden.shape[1:3], hidden.shape[-1]
    figure, panels = rows_of(n_channels, len(frames), size, bars=True, share=0.8)
    titles(panels[0], frames, size[1])
    for channel, axes in enumerate(panels):
        values = hidden[..., channel]
        known = np.abs(values[np.isfinite(values)])
        most = float(known.max(initial=0.0)) or 1e-12
        norm = TwoSlopeNorm(0.0, -most, most)
        image = row(axes, f"hidden {channel + 1}", list(values), size, norm, SIGNED, "not finite")
        bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01)
        bar.ax.tick_params(labelsize=7)
        bar.locator = _three(most)
        bar.update_ticks()
    return figure


def rows_of(
    n_rows: int, n_columns: int, size: tuple[int, ...], *, bars: bool, share: float = 1.0
) -> tuple[Figure, list[Axes]]:
    """A figure with an axes for each row of pictures; size: (y, x) of one of them."""
    width = share * _PANEL * n_columns
    height = share * _PANEL * min(2.0, max(0.5, size[0] / size[1])) * n_rows
    figure = Figure(figsize=(width + (1.6 if bars else 0.6), height + 0.5), layout="constrained")
    return figure, list(figure.subplots(n_rows, 1, squeeze=False)[:, 0])


def row(
    axes: Axes,
    words: str,
    pictures: Sequence[NDArray[Any] | None],
    size: tuple[int, ...],
    norm: Any,
    colours: str | None,
    otherwise: str,
) -> Any:
    """Pictures of one size side by side as one image, which is much quicker than axes for each; `otherwise` where there is none,
    or none of it is finite. Returns the image."""
    rows, columns = size[:2]
    gap = _gap(columns)
    depth = next((one.shape[2:] for one in pictures if one is not None), ())
    strip = np.full((rows, len(pictures) * (columns + gap) - gap, *depth), np.nan)
    there = []
    for place, picture in enumerate(pictures):
        left = place * (columns + gap)
        shown = picture is not None and bool(np.isfinite(picture).any())
        there.append((left, left + columns, shown))
        if shown:
            strip[:, left : left + columns] = picture
    if depth:  # colours: what is not there is seen through
        strip = np.concatenate((np.nan_to_num(strip), np.isfinite(strip).all(axis=-1, keepdims=True)), axis=-1)
    image = axes.imshow(strip, norm=norm, cmap=colours, interpolation="nearest")
    for left, right, shown in there:
        axes.axvspan(left - 0.5, right - 0.5, color=MISSING, lw=0, zorder=-1)
        if not shown:
            axes.text((left + right - 1) / 2, (rows - 1) / 2, otherwise, ha="center", va="center", fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_frame_on(False)
    axes.set_ylabel(words, fontsize=10)
    return image


def titles(axes: Axes, frames: Sequence[int], columns: int) -> None:
    """The numbers of the frames above a row."""
    for place, frame in enumerate(frames):
        middle = place * (columns + _gap(columns)) + (columns - 1) / 2
        axes.annotate(
            f"frame {frame}", (middle, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points",
            ha="center", fontsize=9,
        )  # fmt: skip


def _gap(columns: int) -> int:
    return max(1, columns // 16)


def _three(most: float) -> Any:
    from matplotlib.ticker import FixedLocator

    return FixedLocator([-most, 0.0, most])


def ends(values: NDArray[Any]) -> tuple[float, float]:
    """Lowest and highest, never the same."""
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)
