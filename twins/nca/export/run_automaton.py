# ruff: noqa: N818 - CannotRun says what happened
"""Run an exported cellular automaton. Needs Python 3.10 and NumPy, nothing else; automaton.json and .npz lie beside this file.

    python run_automaton.py start.npy --frames 20 --out run.npy

    from run_automaton import Automaton
    run = Automaton.load(".").run(images, 20)          # (trial, time, y, x, channel), the first frame is the image itself

start.npy holds one image (y, x) or (y, x, channel), or several (trial, y, x, channel), in the units of automaton.json.
In each step a cell sees its neighbourhood through fixed 3x3 kernels, and a small network says by how much it changes:

    x <- x + fired * network(kernels(x))

What comes out is computed by a model; nobody measured it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

FORMAT, FORMAT_VERSION = "labctl.nca_numpy", 1
_LARGEST_JSON, _LARGEST_ARRAYS = 1 << 22, 1 << 28  # bytes
_PAD_MODES: dict[str, Any] = {"periodic": "wrap", "zero": "constant", "symmetric": "edge"}
_NORM_FLOOR = 1e-12


class CannotRun(ValueError):
    """The files, the images or the options do not fit; says which."""


class Automaton:
    """The automaton of a JSON document and its arrays. States are (trial, channel, y, x), as the document's scaling says."""

    def __init__(self, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.document = document
        self.spec = _checked_spec(document)
        self.arrays = _checked_arrays(self.spec, arrays)
        self.dtype = self.arrays["out_weight"].dtype

    @classmethod
    def load(cls, folder: str | Path = ".") -> Automaton:
        """What lies in a folder. Raises CannotRun."""
        text = _read(Path(folder) / "automaton.json", _LARGEST_JSON)
        payload = _read(Path(folder) / "automaton.npz", _LARGEST_ARRAYS)
        try:
            document = json.loads(text)
        except ValueError as error:
            raise CannotRun(f"automaton.json is no JSON: {error}") from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise CannotRun(f"automaton.json is not of the format {FORMAT}")
        if document.get("format_version") != FORMAT_VERSION:
            raise CannotRun(f"this runner reads version {FORMAT_VERSION}, not {document.get('format_version')!r}")
        if document.get("arrays_sha256") != hashlib.sha256(payload).hexdigest():
            raise CannotRun("automaton.npz is not the file that automaton.json describes (its sha256 differs)")
        return cls(document, _read_arrays(payload))

    def start(self, images: np.ndarray, environment: np.ndarray | None = None) -> np.ndarray:
        """The state that begins at images (trial, y, x, channel); environment: (trial, y, x, environment channel)."""
        spec = self.spec
        images = _finite("images", images, 4)
        if images.shape[3] != spec["n_observed"]:
            raise CannotRun(f"images must be (trial, y, x, {spec['n_observed']}), not {images.shape}")
        parts = [(images - self.arrays["lows"]) / (self.arrays["highs"] - self.arrays["lows"])]
        if environment is not None:
            parts.append(_finite("environment", environment, 4))
        n_given = 0 if environment is None else parts[1].shape[3]
        if n_given != spec["n_environment"]:
            raise CannotRun(f"the automaton has {spec['n_environment']} environment channels, {n_given} were given")
        if parts[-1].shape[:3] != images.shape[:3]:
            raise CannotRun(f"environment must be (trial, y, x, channel) like the images, not {parts[-1].shape}")
        n_hidden = spec["n_channels"] - spec["n_observed"] - spec["n_environment"]
        parts.append(np.zeros((*images.shape[:3], n_hidden)))
        return np.ascontiguousarray(np.concatenate(parts, axis=3).transpose(0, 3, 1, 2), dtype=self.dtype)

    def perceive(self, state: np.ndarray) -> np.ndarray:
        """Each channel through each kernel, (trial, feature, y, x): the features of one channel side by side."""
        if self.spec["order"] == 2:
            first, second = np.triu_indices(state.shape[1])
            state = np.concatenate((state, state[:, first] * state[:, second]), axis=1)
        wide = np.pad(state, ((0, 0), (0, 0), (1, 1), (1, 1)), mode=_PAD_MODES[self.spec["padding"]])
        kernels = zip(self.spec["kernels"], self.arrays["kernels"], strict=True)
        seen = {name: _correlated(wide, kernel) for name, kernel in kernels}
        if "NORM" in self.spec["features"]:
            seen["NORM"] = np.sqrt(seen["DX"] ** 2 + seen["DY"] ** 2 + self.dtype.type(_NORM_FLOOR))
        features: np.ndarray = np.stack([seen[name] for name in self.spec["features"]], axis=2)
        return features.reshape(len(state), -1, *state.shape[2:])

    def update(self, features: np.ndarray, conditions: np.ndarray | None = None) -> np.ndarray:
        """By how much each channel of each cell is to change. conditions: scaled, (trial, condition)."""
        flat = features.reshape(*features.shape[:2], -1)
        hidden = self.arrays["hidden_weight_0"] @ flat
        if conditions is not None:
            hidden = hidden + (conditions @ self.arrays["condition_weight"].T)[:, :, None]
        hidden = _activated(hidden, self.spec["activation"])
        if self.spec["layers"] == 3:
            hidden = _activated(self.arrays["hidden_weight_1"] @ hidden, self.spec["activation"])
        change = self.arrays["out_weight"] @ hidden + self.arrays["out_bias"][:, None]
        if self.spec["gated"]:
            change = change * _sigmoid(self.arrays["gate_weight"] @ hidden + self.arrays["gate_bias"][:, None])
        shaped: np.ndarray = change.reshape(len(features), -1, *features.shape[2:])
        return shaped

    def step(
        self, state: np.ndarray, fired: np.ndarray | None = None, conditions: np.ndarray | None = None
    ) -> np.ndarray:
        """The state one step later. fired: (trial, 1, y, x), which cells update; all of them if not given."""
        spec = self.spec
        n_observed, n_fixed = spec["n_observed"], spec["n_observed"] + spec["n_environment"]
        change = self.update(self.perceive(state), conditions)
        if fired is not None:
            change = change * fired
        change[:, n_observed:n_fixed] = 0.0
        after: np.ndarray = state + change
        if spec["bounds"] == "clip":
            after[:, :n_observed] = after[:, :n_observed].clip(0.0, 1.0)
            after[:, n_fixed:] = after[:, n_fixed:].clip(-1.0, 1.0)
        return after

    def run(
        self,
        images: np.ndarray,
        n_frames: int,
        *,
        rng: np.random.Generator | None = None,
        environment: np.ndarray | None = None,
        conditions: np.ndarray | None = None,
    ) -> np.ndarray:
        """The images and n_frames frames that follow them, (trial, time, y, x, channel), in the units of the images.

        rng: draws which cells update, where not all do. conditions: (condition,) or (trial, condition), in their units.
        Raises CannotRun for what does not fit, and where values run away.
        """
        state, rate = self.start(images, environment), self.spec["fire_rate"]
        scaled = self._scaled_conditions(conditions, len(state))
        if rate < 1.0 and rng is None:
            raise CannotRun(f"fire_rate {rate:g} draws which cells update: pass rng")
        frames = [np.array(images, dtype=self.dtype)]
        for frame in range(1, n_frames + 1):
            for _ in range(self.document["steps_per_frame"]):
                fired = None if rate == 1.0 or rng is None else rng.random((len(state), 1, *state.shape[2:])) < rate
                state = self.step(state, fired, scaled)
            if not np.isfinite(state).all():
                raise CannotRun(f"the automaton ran away: values are no longer finite at frame {frame}")
            unit = state[:, : self.spec["n_observed"]].transpose(0, 2, 3, 1)
            frames.append(
                (self.arrays["lows"] + unit * (self.arrays["highs"] - self.arrays["lows"])).astype(self.dtype)
            )
        return np.stack(frames, axis=1)

    def _scaled_conditions(self, given: np.ndarray | None, n_trials: int) -> np.ndarray | None:
        names = self.document["condition_names"]
        values = np.zeros((n_trials, 0)) if given is None else np.asarray(given, dtype=float)
        if values.ndim == 1:
            values = np.tile(values, (n_trials, 1))
        if values.shape != (n_trials, len(names)) or not np.isfinite(values).all():
            raise CannotRun(f"conditions must be finite, one for each of {names}; {values.shape} were given")
        lows, highs = self.arrays["condition_lows"], self.arrays["condition_highs"]
        return ((values - lows) / (highs - lows)).astype(self.dtype) if names else None


def _correlated(wide: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    n_rows, n_columns = wide.shape[2] - 2, wide.shape[3] - 2
    parts = (
        kernel[i, j] * wide[:, :, i : i + n_rows, j : j + n_columns] for i in range(3) for j in range(3) if kernel[i, j]
    )
    total: np.ndarray = sum(parts, np.zeros((*wide.shape[:2], n_rows, n_columns), wide.dtype))
    return total


def _activated(x: np.ndarray, name: str) -> np.ndarray:
    answers = {"relu": lambda: np.maximum(x, 0), "tanh": lambda: np.tanh(x), "swish": lambda: x * _sigmoid(x)}
    after: np.ndarray = answers[name]() if name in answers else x
    return after


def _sigmoid(x: np.ndarray) -> np.ndarray:
    opened: np.ndarray = 0.5 * (1.0 + np.tanh(0.5 * x))  # never overflows
    return opened


def _checked_spec(document: dict[str, Any]) -> dict[str, Any]:
    spec = document.get("spec")
    if not isinstance(spec, dict):
        raise CannotRun("automaton.json has no spec")
    lists = {"names", "units", "condition_names"}
    if any(not isinstance(document.get(name), list) for name in lists):
        raise CannotRun(f"automaton.json must list {', '.join(sorted(lists))}")
    steps = document.get("steps_per_frame")
    if type(steps) is not int or not 1 <= steps <= 1_000_000:
        raise CannotRun(f"steps_per_frame must be a whole number from 1 on, not {steps!r}")
    for name in ("n_channels", "n_observed", "n_environment", "order", "layers", "n_hidden_0", "n_hidden_1"):
        if type(spec.get(name)) is not int or not 0 <= spec[name] <= 1 << 14:
            raise CannotRun(f"spec: {name} must be a whole number, not {spec.get(name)!r}")
    choices: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("order", (1, 2)), ("layers", (2, 3)), ("gated", (True, False)), ("bounds", ("none", "clip")),
        ("padding", tuple(_PAD_MODES)), ("activation", ("relu", "linear", "swish", "tanh")),
    )  # fmt: skip
    for name, allowed in choices:
        if spec.get(name) not in allowed:
            raise CannotRun(f"spec: {name} must be one of {allowed}, not {spec.get(name)!r}")
    if not 1 <= spec["n_observed"] <= spec["n_channels"] - spec["n_environment"] <= 256:
        raise CannotRun("spec: the numbers of channels do not fit together")
    if not (isinstance(spec.get("fire_rate"), float) and 0.0 < spec["fire_rate"] <= 1.0):
        raise CannotRun(f"spec: fire_rate must be above 0 and at most 1, not {spec.get('fire_rate')!r}")
    kernels, features = spec.get("kernels"), spec.get("features")
    if not isinstance(kernels, list) or not isinstance(features, list) or not features:
        raise CannotRun("spec: kernels and features must be lists of names")
    needed = [*("DX", "DY")] if "NORM" in features else []
    missing = [name for name in [*features, *needed] if name != "NORM" and name not in kernels]
    if missing:
        raise CannotRun(f"spec: there are no kernels {missing}")
    return spec


def _checked_arrays(spec: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    n, observed, first = spec["n_channels"], spec["n_observed"], spec["n_hidden_0"]
    seen = n + n * (n + 1) // 2 * (spec["order"] == 2)
    last = first if spec["layers"] == 2 else spec["n_hidden_1"]
    n_conditions = arrays["condition_lows"].size if "condition_lows" in arrays else 0
    wanted: dict[str, tuple[int, ...]] = {
        "kernels": (len(spec["kernels"]), 3, 3), "lows": (observed,), "highs": (observed,),
        "condition_lows": (n_conditions,), "condition_highs": (n_conditions,),
        "hidden_weight_0": (first, len(spec["features"]) * seen), "condition_weight": (first, n_conditions),
        "out_weight": (n, last), "out_bias": (n,),
    }  # fmt: skip
    if spec["layers"] == 3:
        wanted["hidden_weight_1"] = (last, first)
    if spec["gated"]:
        wanted |= {"gate_weight": (n, last), "gate_bias": (n,)}
    for name, shape in wanted.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise CannotRun(f"automaton.npz: {name} must be finite numbers of shape {shape}")
    return {name: arrays[name] for name in wanted}


def _read(path: Path, largest: int) -> bytes:
    try:
        if path.stat().st_size > largest:
            raise CannotRun(f"{path} is larger than any automaton ({largest} bytes)")
        return path.read_bytes()
    except OSError as error:
        raise CannotRun(f"{path} cannot be read: {error.strerror or error}") from error


def _read_arrays(payload: bytes) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST_ARRAYS:
                raise CannotRun("automaton.npz unpacks to more than any automaton has")
        with np.load(io.BytesIO(payload), allow_pickle=False) as stored:  # never a pickle
            return {name: stored[name] for name in stored.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise CannotRun(f"automaton.npz cannot be read: {error}") from error


def _finite(name: str, values: np.ndarray, n_axes: int) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "fiub" or values.ndim != n_axes or 0 in values.shape or not np.isfinite(values).all():
        raise CannotRun(f"{name} must be finite numbers with {n_axes} axes, none empty; the shape is {values.shape}")
    return values.astype(float)


def _images(path: str, n_channels: int) -> np.ndarray:
    try:
        values: np.ndarray = np.load(io.BytesIO(_read(Path(path), 1 << 34)), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise CannotRun(f"{path} is no .npy file of plain numbers: {error}") from error
    if values.ndim == 2 and n_channels == 1:
        return values[None, :, :, None]
    return values[None] if values.ndim == 3 else values


def main(words: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Run an exported cellular automaton with NumPy alone.")
    parser.add_argument("start", help="image(s) as .npy: (y, x), (y, x, channel) or (trial, y, x, channel)")
    parser.add_argument("--frames", type=int, default=10, help="how many frames follow (default 10)")
    parser.add_argument("--out", default="run.npy", help="where (trial, time, y, x, channel) goes (default run.npy)")
    parser.add_argument("--folder", default=str(Path(__file__).resolve().parent), help="where automaton.json lies")
    parser.add_argument("--seed", type=int, default=0, help="of the cells that update, where not all do (default 0)")
    parser.add_argument("--environment", help="fixed channels as .npy, shaped like the start")
    parser.add_argument("--conditions", type=float, nargs="+", help="the parameters that the rule knows, in order")
    options = parser.parse_args(words)
    try:
        automaton = Automaton.load(options.folder)
        start = _images(options.start, automaton.spec["n_observed"])
        environment = options.environment and _images(options.environment, automaton.spec["n_environment"])
        rng = np.random.default_rng(options.seed)
        run = automaton.run(
            start, options.frames, rng=rng, environment=environment, conditions=options.conditions
        )  # fmt: skip
        with Path(options.out).open("wb") as file:
            np.save(file, run, allow_pickle=False)
    except (CannotRun, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    names = ", ".join(map(str, automaton.document["names"]))
    sys.stdout.write(f"{options.out}: SIMULATED {names}, (trial, time, y, x, channel) = {run.shape}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
