"""A run beside the data: errors of what patterns are measured by, and how much the data itself varies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from twins.errors import FramesInvalid
from twins.nca.frames import Frames
from twins.nca.metrics.pattern import mass, pattern_sd
from twins.nca.metrics.spectrum import radial_spectrum, wavelength


@dataclass(frozen=True, slots=True)
class PatternComparison:
    """One frame of a run beside one of the data. Tuples hold one value a channel, means over the trials.

    wavelengths (cells), masses, sds and data_…: of the run and of the data. …_errors: |run / data - 1|.
    …_spreads: the data's standard deviation over its trials (initial conditions) in units of its mean: what an error is to
    be held against; None with a single trial. spectrum_distance: half the summed difference of the two radial spectra, each
    with sum 1, from 0 (the same) to 1 (nothing in common); the largest of all channels.
    A wavelength is NaN where every trial is uniform.
    """

    n_trials: int
    wavelengths: tuple[float, ...]
    data_wavelengths: tuple[float, ...]
    wavelength_errors: tuple[float, ...]
    wavelength_spreads: tuple[float, ...] | None
    masses: tuple[float, ...]
    data_masses: tuple[float, ...]
    mass_errors: tuple[float, ...]
    mass_spreads: tuple[float, ...] | None
    sds: tuple[float, ...]
    data_sds: tuple[float, ...]
    spectrum_distance: float

    @property
    def wavelength_error(self) -> float:
        """The largest of all channels; NaN where a channel has no wavelength."""
        return float(np.max(self.wavelength_errors))

    @property
    def mass_error(self) -> float:
        """The largest of all channels."""
        return float(np.max(self.mass_errors))

    @property
    def wavelength_spread(self) -> float | None:
        """The largest of all channels."""
        return None if self.wavelength_spreads is None else float(np.max(self.wavelength_spreads))

    @property
    def mass_spread(self) -> float | None:
        """The largest of all channels."""
        return None if self.mass_spreads is None else float(np.max(self.mass_spreads))


def compare(run: Frames, data: Frames, *, frame: int = -1, window: bool = False) -> PatternComparison:
    """One frame of both: the last if not told otherwise.

    Wavelengths want large and old patterns (128 × 128 cells and thousands of steps of Gray-Scott) and at least three trials.
    window: for images that are not periodic, see ``wavelength``. Raises FramesInvalid for other channels.
    """
    if run.names != data.names or run.units != data.units:
        raise FramesInvalid(f"the run shows {run.names} in {run.units}, the data {data.names} in {data.units}")
    ours, theirs = (np.moveaxis(frames.values[:, frame].astype(np.float64), -1, 1) for frames in (run, data))
    lengths, data_lengths = (wavelength(images, window=window) for images in (ours, theirs))
    masses, data_masses = mass(ours), mass(theirs)
    return PatternComparison(
        n_trials=run.n_trials,
        wavelengths=_mean(lengths),
        data_wavelengths=_mean(data_lengths),
        wavelength_errors=_errors(lengths, data_lengths),
        wavelength_spreads=_spreads(data_lengths),
        masses=_mean(masses),
        data_masses=_mean(data_masses),
        mass_errors=_errors(masses, data_masses),
        mass_spreads=_spreads(data_masses),
        sds=_mean(pattern_sd(ours)),
        data_sds=_mean(pattern_sd(theirs)),
        spectrum_distance=_spectrum_distance(ours, theirs, window=window),
    )


def wavelengths(frames: Frames, *, window: bool = False) -> Float[np.ndarray, "trial time channel"]:
    """Of every image, in cells."""
    return wavelength(np.moveaxis(frames.values, -1, 2), window=window)


def _mean(values: Float[np.ndarray, "trial channel"]) -> tuple[float, ...]:
    """Over the trials that have one."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    means = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    return tuple(np.where(count > 0, means, np.nan).tolist())


def _errors(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, ...]:
    mean, wanted = np.array(_mean(ours)), np.array(_mean(theirs))
    with np.errstate(divide="ignore", invalid="ignore"):
        return tuple(np.abs(mean / wanted - 1.0).tolist())


def _spreads(values: np.ndarray) -> tuple[float, ...] | None:
    if len(values) < 2:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        return tuple((values.std(axis=0, ddof=1) / np.abs(values.mean(axis=0))).tolist())


def _spectrum_distance(ours: np.ndarray, theirs: np.ndarray, *, window: bool) -> float:
    spectra = [radial_spectrum(images, window=window).power.mean(axis=0) for images in (ours, theirs)]
    if spectra[0].shape != spectra[1].shape:
        raise FramesInvalid("spectra can only be compared of images of one size")
    shares = [power / np.maximum(power.sum(axis=-1, keepdims=True), np.finfo(float).tiny) for power in spectra]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum(axis=-1).max())
