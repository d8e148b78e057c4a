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
    norm = Normalize(*_ends(data))
    beyond = [run[frame] - data[frame] for frame in frames if frame < len(data)]
    most = max((float(np.nanmax(np.abs(one), initial=0.0)) for one in _finite(beyond)), default=0.0)
    most = min(most, float(np.ptp(data)) or 1.0) or 1e-12
    difference = TwoSlopeNorm(0.0, -most, most)
    figure = Figure(figsize=(_PANEL * len(frames) + 1.4, 3 * _PANEL + 0.5), layout="constrained")
    panels = figure.subplots(3, len(frames), squeeze=False)
    values_image = difference_image = None
    for column, frame in enumerate(frames):
        known = data[frame] if frame < len(data) else None
        panels[0, column].set_title(f"frame {frame}", fontsize=9)
        _draw(panels[0, column], known, norm, VALUES, "no data")
        values_image = _draw(panels[1, column], run[frame], norm, VALUES, "not finite") or values_image
        less = None if known is None else run[frame] - known
        difference_image = _draw(panels[2, column], less, difference, SIGNED, "no data") or difference_image
    for row, words in enumerate(("data", "automaton", "difference")):
        panels[row, 0].set_ylabel(words, fontsize=10)
    unit = (
        f"{film.names[channel]} ({film.units[channel]})"
        if film.units[channel] not in ("", "1")
        else film.names[channel]
    )
    for image, rows, label in ((values_image, panels[:2], unit), (difference_image, panels[2:], "difference")):
        if image is not None:
            bar = figure.colorbar(image, ax=rows.ravel().tolist(), fraction=0.03, pad=0.01, extend="both")
            bar.set_label(label, fontsize=9)
            bar.ax.tick_params(labelsize=8)
    return figure


def in_colour(film: Film) -> Figure:
    """Two rows in colour: as measured, and the automaton; what lies beyond the data's range is cut off there, and said."""
    frames = film.frames()
    low, high = _ends(film.data[..., :3])
    figure = Figure(figsize=(_PANEL * len(frames) + 0.6, 2 * _PANEL + 0.5), layout="constrained")
    panels = figure.subplots(2, len(frames), squeeze=False)
    for column, frame in enumerate(frames):
        panels[0, column].set_title(f"frame {frame}", fontsize=9)
        for row, values in enumerate((film.data, film.run)):
            there = values[frame] if frame < len(values) else None
            shown = None if there is None else np.clip((there[..., :3] - low) / (high - low), 0.0, 1.0)
            _draw(panels[row, column], shown, None, None, "no data")
    for row, words in enumerate(("data", "automaton")):
        panels[row, 0].set_ylabel(words, fontsize=10)
    return figure


def hidden_channels(hidden: NDArray[Any], frames: Sequence[int]) -> Figure:
    """(frame, y, x, channel): a row a channel, each on its own scale about zero."""
    n_channels = hidden.shape[-1]
    figure = Figure(figsize=(0.8 * _PANEL * len(frames) + 1.6, 0.8 * _PANEL * n_channels + 0.4), layout="constrained")
    panels = figure.subplots(n_channels, len(frames), squeeze=False)
    for channel in range(n_channels):
        values = hidden[..., channel]
        known = values[np.isfinite(values)]
        most = float(np.abs(known).max()) if known.size and np.abs(known).max() > 0 else 1e-12
        image = None
        for column, frame in enumerate(frames):
            if channel == 0:
                panels[0, column].set_title(f"frame {frame}", fontsize=9)
            image = (
                _draw(panels[channel, column], values[column], TwoSlopeNorm(0.0, -most, most), SIGNED, "not finite")
                or image
            )
        panels[channel, 0].set_ylabel(f"hidden {channel + 1}", fontsize=8)
        if image is not None:
            bar = figure.colorbar(image, ax=panels[channel].tolist(), fraction=0.03, pad=0.01)
            bar.ax.tick_params(labelsize=7)
            bar.locator = _three(most)
            bar.update_ticks()
    return figure


def _three(most: float) -> Any:
    from matplotlib.ticker import FixedLocator

    return FixedLocator([-most, 0.0, most])


def _draw(axes: Axes, values: NDArray[Any] | None, norm: Any, colours: str | None, otherwise: str) -> Any:
    """The picture, or words where there is none; returns the picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    if values is None or not np.isfinite(values).any():
        axes.set_facecolor(MISSING)
        axes.text(0.5, 0.5, otherwise, ha="center", va="center", transform=axes.transAxes, fontsize=9)
        axes.set_box_aspect(1)
        return None
    return axes.imshow(values, norm=norm, cmap=colours, interpolation="nearest")


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)


def _finite(images: list[NDArray[Any]]) -> list[NDArray[Any]]:
    return [np.where(np.isfinite(one), one, np.nan) for one in images if np.isfinite(one).any()]
