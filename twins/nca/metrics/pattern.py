"""How much there is in an image, how strongly it varies, and over which distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from twins.nca.metrics.spectrum import checked_images


@dataclass(frozen=True, slots=True, eq=False)
class StructureFunction:
    """distances: in cells, from 1. values: (…, distance), the mean square difference of two cells so far apart."""

    distances: Float[np.ndarray, " distance"]
    values: Float[np.ndarray, "*any distance"]


def mass(images: Float[np.ndarray, "*any y x"]) -> Float[np.ndarray, "*any"]:
    """The mean of each image."""
    return np.asarray(checked_images(images).mean(axis=(-2, -1)))


def pattern_sd(images: Float[np.ndarray, "*any y x"]) -> Float[np.ndarray, "*any"]:
    """The standard deviation of each image about its own mean."""
    return np.asarray(checked_images(images).std(axis=(-2, -1)))


def structure_function(
    images: Float[np.ndarray, "*any y x"], *, periodic: bool = True, largest: int | None = None
) -> StructureFunction:
    """S2(r) = ⟨(u(x + r) - u(x))²⟩ over all places x and all directions of r, of each image.

    Distances are rounded to cells, up to `largest`: half the shorter side if not given. periodic: pairs reach across the
    edges; without it only pairs within the image count. Raises FramesInvalid.
    """
    values = checked_images(images)
    values = values - values.mean(axis=(-2, -1), keepdims=True)  # differences do not care, rounding does
    n_rows, n_columns = values.shape[-2:]
    shape = (n_rows, n_columns) if periodic else (2 * n_rows, 2 * n_columns)
    inside = np.ones((n_rows, n_columns))
    # Σ over pairs of (u' - u)² = Σ u'² + Σ u² - 2 Σ u'·u, each a correlation
    pairs = np.rint(_correlation(inside, inside, shape))
    squares = _correlation(inside, values**2, shape) + _correlation(values**2, inside, shape)
    total = squares - 2.0 * _correlation(values, values, shape)
    apart = np.hypot(*np.meshgrid(*(n * np.fft.fftfreq(n) for n in shape), indexing="ij"))
    furthest = min(n_rows, n_columns) // 2 if largest is None else largest
    distances = np.arange(1, furthest + 1)
    rings = [(np.rint(apart) == distance) & (pairs > 0) for distance in distances]
    found = np.stack([total[..., ring].sum(axis=-1) / pairs[ring].sum() for ring in rings], axis=-1)
    return StructureFunction(distances.astype(np.float64), found)


def _correlation(first: np.ndarray, second: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Σ_x first(x)·second(x + r), by r."""
    transformed = np.conj(np.fft.rfft2(first, shape)) * np.fft.rfft2(second, shape)
    return np.fft.irfft2(transformed, shape)
