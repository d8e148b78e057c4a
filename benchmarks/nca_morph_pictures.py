"""The pictures of nca_morph.py, drawn from formulas, and the figure of what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twins.nca import Frames

NAMES, UNITS = ("red", "green", "blue", "alpha"), ("", "", "", "")
RED, GREEN, BLUE, YELLOW = (0.85, 0.2, 0.2), (0.2, 0.65, 0.3), (0.2, 0.35, 0.85), (0.95, 0.8, 0.2)


def sequence(size: int, n_frames: int) -> Frames:
    """A, B, C, C, …: (1, n_frames, size, size, RGBA) in 0..1, nothing around them."""
    pictures = [disc(size), frame(size), *([face(size)] * (n_frames - 2))]
    return Frames(np.stack(pictures)[None], 1.0, NAMES, UNITS, time_unit="frame", simulated=True)


def disc(size: int) -> np.ndarray:
    """A: a red disc with a yellow sector, so that it has an up and a left."""
    y, x = coordinates(size)
    return painted((y**2 + x**2 < 0.75**2, RED), ((y**2 + x**2 < 0.75**2) & (y < -0.1) & (x < -0.1), YELLOW))


def frame(size: int) -> np.ndarray:
    """B: a green frame with a bar."""
    y, x = coordinates(size)
    outside = (abs(y) < 0.8) & (abs(x) < 0.8)
    inside = (abs(y) < 0.45) & (abs(x) < 0.45)
    return painted((outside & ~inside, GREEN), (inside & (abs(y) < 0.15), YELLOW))


def face(size: int) -> np.ndarray:
    """C: a blue cross with a red dot in its upper arm and a yellow one in its left."""
    y, x = coordinates(size)
    cross = ((abs(y) < 0.28) & (abs(x) < 0.85)) | ((abs(x) < 0.28) & (abs(y) < 0.85))
    return painted(
        (cross, BLUE), ((y + 0.55) ** 2 + x**2 < 0.17**2, RED), (y**2 + (x + 0.55) ** 2 < 0.17**2, YELLOW)
    )  # fmt: skip


def coordinates(size: int) -> tuple[np.ndarray, np.ndarray]:
    """(y, x) of the cells' middles, in -1..1."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


def painted(*layers: tuple[np.ndarray, Sequence[float]]) -> np.ndarray:
    """(y, x, RGBA), the later layers on top; where there is none, transparent black."""
    picture = np.zeros((*layers[0][0].shape, 4))
    for mask, colour in layers:
        picture[mask] = (*colour, 1.0)
    return picture


def on_white(picture: np.ndarray) -> np.ndarray:
    """RGB as it looks on white paper. Only for looking: values beyond 0..1 are cut."""
    return np.asarray(np.clip(picture[..., :3] + 1.0 - picture[..., 3:], 0.0, 1.0))


def draw_figure(path: Path, rows: Mapping[str, Sequence[np.ndarray]], titles: Mapping[str, Sequence[str]]) -> None:
    """One row of pictures (y, x, RGBA) under each name."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    n_columns = max(len(row) for row in rows.values())
    figure, every_axes = plt.subplots(len(rows), n_columns, figsize=(1.3 * n_columns, 1.55 * len(rows)), squeeze=False)
    for axes_row, (name, row) in zip(every_axes, rows.items(), strict=True):
        labels: Any = titles[name]
        for number, axes in enumerate(axes_row):
            axes.set_axis_off()
            if number < len(row):
                axes.imshow(on_white(row[number]), interpolation="nearest")
                axes.set_title(labels[number], fontsize=7)
        axes_row[0].text(-0.25, 0.5, name, transform=axes_row[0].transAxes, rotation=90, va="center", fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
