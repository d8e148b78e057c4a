"""At which wavelengths the power of an image lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from twins.errors import FramesInvalid

_FLAT = 1e-6
"""Of its largest magnitude: an image that varies less than float32 resolves has no wavelength, only rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class RadialSpectrum:
    """frequencies: the middle of each ring, in cycles per cell. power: (…, ring), whose sum is the variance of the image."""

    frequencies: Float[np.ndarray, " ring"]
    power: Float[np.ndarray, "*any ring"]


def wavelength(images: Float[np.ndarray, "*any y x"], *, window: bool = False) -> Float[np.ndarray, "*any"]:
    """One over the spectral centroid Σ |f| P(f) / Σ P(f) of each image, in cells; the mean does not count.

    The transform takes an image for periodic. Of one that is not (a camera's, or an equation with another padding), the
    jump from edge to edge shortens the wavelength; window=True weighs the image by a Hann window instead, which smears the
    spectrum over about two cycles per image, and so wants several wavelengths in it. NaN for a uniform image.

    Raises FramesInvalid for images that are not finite or smaller than 2 × 2.
    """
    power, frequency = _power(images, window=window)
    total = power.sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = total / (power * frequency).sum(axis=(-2, -1))
    return np.where(_is_flat(images), np.nan, found)


def radial_spectrum(images: Float[np.ndarray, "*any y x"], *, window: bool = False) -> RadialSpectrum:
    """The power of each image in rings of the frequency plane, one cycle per longest side wide. window: see ``wavelength``."""
    power, frequency = _power(images, window=window)
    longest = max(power.shape[-2:])
    ring = np.rint(frequency * longest).astype(int).ravel()
    flat = power.reshape(-1, ring.size)
    summed = np.stack([np.bincount(ring, weights=one) for one in flat])
    return RadialSpectrum(np.arange(summed.shape[1]) / longest, summed.reshape(*power.shape[:-2], -1))


def _power(images: np.ndarray, *, window: bool) -> tuple[np.ndarray, np.ndarray]:
    """Power at every frequency, with Σ = variance, and the magnitude of that frequency in cycles per cell."""
    values = checked_images(images)
    n_rows, n_columns = values.shape[-2:]
    values = values - values.mean(axis=(-2, -1), keepdims=True)
    if window:
        hann = np.outer(*(1.0 - np.cos(2.0 * np.pi * (np.arange(n) + 0.5) / n) for n in (n_rows, n_columns)))
        values = values - (values * hann).sum(axis=(-2, -1), keepdims=True) / hann.sum()
        values = values * hann / np.sqrt(np.mean(hann**2))
    power = np.abs(np.fft.fft2(values) / (n_rows * n_columns)) ** 2
    frequency = np.hypot(np.fft.fftfreq(n_rows)[:, None], np.fft.fftfreq(n_columns)[None, :])
    return power, frequency


def checked_images(images: np.ndarray) -> Float[np.ndarray, "*any y x"]:
    """The images in float64. Raises FramesInvalid."""
    values = np.asarray(images, dtype=np.float64)
    if values.ndim < 2 or min(values.shape[-2:]) < 2:
        raise FramesInvalid(f"images must be (…, y, x) of at least 2 × 2 cells, not {values.shape}")
    if not np.isfinite(values).all():
        raise FramesInvalid("images hold values that are not finite; measure them up to where they ran away")
    return values


def _is_flat(images: np.ndarray) -> np.ndarray:
    values = np.asarray(images, dtype=np.float64)
    return np.asarray(values.std(axis=(-2, -1)) <= _FLAT * np.abs(values).max(axis=(-2, -1)))
