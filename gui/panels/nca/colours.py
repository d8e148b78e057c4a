"""Colours of fields: perceptually even, and told apart by people who see red and green alike.

viridis for values; CET-CBD1 (P. Kovesi, "Good colour maps: how to design them", arXiv:1509.03700) for what has a sign.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtGui import QImage, qRgb

_MAPS = {"values": "viridis", "signed": "CET-CBD1"}
MISSING = 255
"""Of the 256 colours; grey: not finite, or not there."""
_GREY = qRgb(128, 128, 128)


@dataclass(frozen=True, slots=True)
class Scale:
    """low, high: of the two ends. kind: "values" or "signed". Beyond the ends a field has the colour of the end."""

    low: float
    high: float
    kind: str = "values"


@functools.cache
def table(kind: str) -> tuple[int, ...]:
    """255 colours from low to high, and grey."""
    colours = pg.colormap.get(_MAPS[kind]).getLookupTable(0.0, 1.0, MISSING)
    return (*(qRgb(*map(int, one[:3])) for one in colours), _GREY)


def picture(values: NDArray[np.float32], scale: Scale) -> QImage:
    """(y, x) as an image in these colours; (y, x, 3) in its own, from low to high."""
    span = scale.high - scale.low
    share = (values - np.float32(scale.low)) * np.float32((MISSING if values.ndim == 3 else MISSING - 1) / span)
    finite = np.isfinite(share)
    places = np.where(finite, share, MISSING)
    np.clip(places, 0.0, MISSING if values.ndim == 3 else MISSING - 1, out=places, where=finite)
    pixels = np.ascontiguousarray(np.rint(places).astype(np.uint8))
    rows, columns = pixels.shape[:2]
    if pixels.ndim == 3:
        return QImage(pixels.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888).copy()
    image = QImage(pixels.data, columns, rows, columns, QImage.Format.Format_Indexed8)
    image.setColorTable(list(table(scale.kind)))
    return image.copy()  # the image does not keep the memory that it was made of


def scale_of(lows: tuple[float, ...], highs: tuple[float, ...], channel: int | None) -> Scale:
    """Of one channel, or of all together (colours)."""
    low = min(lows) if channel is None else lows[channel]
    high = max(highs) if channel is None else highs[channel]
    return Scale(low, high if high > low else low + 1.0)


def about_zero(most: float) -> Scale:
    """For what has a sign, to ± most."""
    most = most if math.isfinite(most) and most > 0 else 1e-9
    return Scale(-most, most, "signed")
