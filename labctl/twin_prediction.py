"""What a twin foresees of recordings, beside what was measured: plain numpy arrays, and the files that hold them.

Made by `labctl.campaigns.predict_twin`; nothing here loads torch, so that any program can read and draw it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordingError

Array = NDArray[np.float64]

BANDS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of the free runs at each sample."""
FORMAT = "labctl twin prediction 1"
FORMATS = (".npz", ".h5")


@dataclass(frozen=True, slots=True, eq=False)
class PredictedInput:
    """One input: what was driven, what was measured, and what the twin foresees.

    label: of the input, for people. time_s (time,): zero where the drive proper begins. drive (time, drive); measured
    (repeat, time, response); bands (band, time, response): quantiles `BANDS` of the free runs; mean and spread (time,
    response): of the free runs; draw (time, response): one free run. coverage_90: share of measured values in the 90 %
    interval. score: CRPS, mean over samples and channels, in units of each response channel's spread.
    """

    label: str
    time_s: Array
    drive: Array
    measured: Array
    bands: Array
    mean: Array
    spread: Array
    draw: Array
    coverage_90: float
    score: float

    @property
    def residuals(self) -> Array:
        """(repeat, time, response): measured less the twin's mean, in the twin's spreads; standard normal for a Gaussian
        device and a perfect twin."""
        return np.asarray((self.measured - self.mean) / np.maximum(self.spread, 1e-300))


@dataclass(frozen=True, slots=True, eq=False)
class TwinPrediction:
    """A twin beside recordings. All arrays over responses have the order of response_names.

    inputs: those with arrays; n_inputs counts all that the figures are of. levels (level,), covered and covered_error
    (level, response): share of measured values inside the twin's central interval of each level, mean over inputs, and
    its standard error (NaN with one input). edges (bin + 1,), density and own_density (bin, response): histogram of
    residuals, and of the twin's own; beyond (response,): share of residuals outside of it. lags (lag,), acf and own_acf
    (lag, response): autocorrelation of residuals, and of the twin's own. frequency_Hz (frequency,); power_* (frequency,
    response): density in unit²/Hz of what was measured, of free runs, of measured less the twin's mean ("residual"), and
    of free runs less their mean ("own").
    """

    twin: str
    recordings: tuple[str, ...]
    simulated: bool
    n_draws: int
    n_inputs: int
    n_trials: int
    dt_s: float
    drive_names: tuple[str, ...]
    drive_units: tuple[str, ...]
    response_names: tuple[str, ...]
    response_units: tuple[str, ...]
    inputs: tuple[PredictedInput, ...]
    levels: Array
    covered: Array
    covered_error: Array
    edges: Array
    density: Array
    own_density: Array
    beyond: Array
    lags: Array
    acf: Array
    own_acf: Array
    frequency_Hz: Array
    power_measured: Array
    power_predicted: Array
    power_residual: Array
    power_own: Array

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the figures, without what is drawn sample by sample."""
        return {
            "twin": self.twin,
            "recordings": list(self.recordings),
            "simulated": self.simulated,
            "n_draws": self.n_draws,
            "n_inputs": self.n_inputs,
            "n_trials": self.n_trials,
            "responses": list(self.response_names),
            "levels": self.levels.tolist(),
            "covered": _finite(self.covered),
            "covered_error": _finite(self.covered_error),
            "residuals_beyond": self.beyond.tolist(),
            "lag1_autocorrelation": _finite(self.acf[1]),
            "lag1_autocorrelation_own": _finite(self.own_acf[1]),
            "inputs": [{"input": one.label, "coverage_90": one.coverage_90, "score": one.score} for one in self.inputs],
        }


def save_prediction(prediction: TwinPrediction, path: Path) -> Path:
    """Write it as NumPy's .npz or as HDF5 (.h5), by the ending. Raises RecordingError for another, or a full disk."""
    arrays, about = _as_arrays(prediction)
    text = json.dumps({"format": FORMAT, **about})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npz":
            np.savez_compressed(path, about=np.array(text), **arrays)  # type: ignore[arg-type]
        elif path.suffix == ".h5":
            import h5py

            with h5py.File(path, "w", libver="earliest") as file:
                file.attrs["format"] = FORMAT
                file.attrs["about"] = text
                for name, array in arrays.items():
                    file.create_dataset(name, data=array)
        else:
            raise RecordingError(f"{path}: a prediction is written as {' or '.join(FORMATS)}; give such a name")
    except OSError as error:
        raise RecordingError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def load_prediction(path: Path) -> TwinPrediction:
    """What `save_prediction` wrote; raises RecordingError for anything else."""
    try:
        arrays, text = _read(path)
        about = json.loads(text)
        if about.pop("format", None) != FORMAT:
            raise RecordingError(f"{path} holds no prediction of a twin; expected {FORMAT!r}")
        return _from_arrays(arrays, about)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"{path} cannot be read as a prediction of a twin: {error}") from error


def _read(path: Path) -> tuple[Mapping[str, Array], str]:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name != "about"}, str(file["about"])
    import h5py

    found: dict[str, Array] = {}
    with h5py.File(path, "r", locking=False) as file:
        file.visititems(lambda name, item: found.update({name: item[...]}) if isinstance(item, h5py.Dataset) else None)
        return found, str(file.attrs["about"])


def _as_arrays(prediction: TwinPrediction) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays by name, those of inputs as "inputs/3/mean", and the rest as JSON data."""
    arrays: dict[str, Array] = {}
    about: dict[str, Any] = {"inputs": [], "bands": list(BANDS)}
    for item in fields(prediction):
        value = getattr(prediction, item.name)
        if isinstance(value, np.ndarray):
            arrays[item.name] = value
        elif item.name != "inputs":
            about[item.name] = list(value) if isinstance(value, tuple) else value
    for number, one in enumerate(prediction.inputs):
        plain: dict[str, Any] = {}
        for item in fields(one):
            value = getattr(one, item.name)
            if isinstance(value, np.ndarray):
                arrays[f"inputs/{number}/{item.name}"] = value
            else:
                plain[item.name] = value
        about["inputs"].append(plain)
    return arrays, about


def _from_arrays(arrays: Mapping[str, Array], about: Mapping[str, Any]) -> TwinPrediction:
    inputs = []
    for number, plain in enumerate(about["inputs"]):
        prefix = f"inputs/{number}/"
        own: dict[str, Any] = {
            name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)
        }
        inputs.append(PredictedInput(**own, **plain))
    whole: dict[str, Any] = {name: array for name, array in arrays.items() if "/" not in name}
    for name, value in about.items():
        if name not in ("inputs", "bands"):
            whole[name] = tuple(value) if isinstance(value, list) else value
    return TwinPrediction(inputs=tuple(inputs), **whole)


def _finite(array: Array) -> Any:
    """Nested lists; what is not finite becomes None, since JSON has no NaN."""
    if array.ndim > 1:
        return [_finite(one) for one in array]
    return [float(one) if np.isfinite(one) else None for one in array]
