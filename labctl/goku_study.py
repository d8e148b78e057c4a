"""What a study of traces found, as plain numbers in one file: parameters, courses with bands, what is left over, what the data
tell. Whoever shows it needs nothing that computes with equations.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordingError
from labctl.goku_table import Estimate, TraceRow
from labctl.goku_told import QuantityTold
from labctl.hdf5_space import HDF5_ERRORS
from labctl.json_file import json_text

FORMAT = "labctl.goku_study"
WIDE = 0.3
"""Of a parameter's range, left open: its value is then hardly known by itself."""
_COURSE = ("times_s", "values", "expected", "low", "high", "left_over")

Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One trace: values as measured, expected with the ends of its 90 % band, all (time, channel); the first n_seen samples were
    shown, the others are foreseen. left_over: measured less expected, in standard deviations of what was to scatter."""

    label: str
    n_seen: int
    times_s: Samples
    values: Samples
    expected: Samples
    low: Samples
    high: Samples
    left_over: Samples


@dataclass(frozen=True, slots=True)
class Standing:
    """How well the data tell one parameter. width: of the posterior over the prior's; alone: were all others known."""

    parameter: str
    width: float
    alone: float
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Identified:
    """Of one trace, or of traces that share their parameters (in words). lines: what is known only together, in words."""

    traces: str
    standings: tuple[Standing, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class GokuStudy:
    """stage: "judged" (the network's word on the beginnings of traces) or "inferred". verdict: in words where the equation does
    not describe the traces. truth: by parameter, one a row, of simulated traces. draws: (trace, draw, parameter), some of the
    posterior's, equally weighted; correlation: (trace, parameter, parameter). files: model, report, tables by what they are.
    """

    name: str
    equation: str
    formulas: tuple[str, ...]
    simulated: bool
    stage: str
    verdict: str
    words: tuple[str, ...]
    parameters: tuple[QuantityTold, ...]
    rows: tuple[TraceRow, ...]
    channels: tuple[str, ...]
    units: tuple[str, ...]
    courses: tuple[Course, ...]
    draws: Samples
    correlation: Samples
    figures: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    identified: tuple[Identified, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def together(self, trace: int, *, least: float = 0.9) -> list[tuple[str, str, float]]:
        """Pairs of parameters that this trace tells only together: |correlation| of the posterior of at least `least`."""
        names = [one.name for one in self.parameters]
        found = [
            (names[i], names[j], float(self.correlation[trace, i, j]))
            for i in range(len(names))
            for j in range(i + 1, len(names))
            if abs(self.correlation[trace, i, j]) >= least
        ]
        return sorted(found, key=lambda one: -abs(one[2]))


def pair_in_words(first: str, second: str, correlation: float, standings: Sequence[Standing] = ()) -> str:
    """Two parameters whose errors go together; "only known together" where much of one of them is left open."""
    wide = max((one.width for one in standings if one.parameter in (first, second)), default=0.0)
    if wide >= WIDE:
        return f"{first} and {second} are only known together (correlation {correlation:+.2f})."
    return (
        f"{first} and {second} make up for each other (correlation {correlation:+.2f}): their combination is known better "
        "than each of them."
    )


def correlation_of(draws: Samples) -> Samples:
    """(trace, parameter, parameter) of (trace, draw, parameter); 0 where a parameter does not move, 1 on the diagonal."""
    moved = draws - draws.mean(axis=1, keepdims=True)
    covariance = np.einsum("tdi,tdj->tij", moved, moved)
    scale = np.sqrt(np.einsum("tii->ti", covariance))
    product = scale[:, :, None] * scale[:, None, :]
    result: Samples = np.divide(covariance, product, out=np.zeros_like(covariance), where=product > 0.0)
    for one in result:
        np.fill_diagonal(one, 1.0)
    return np.clip(result, -1.0, 1.0)  # rounding


def write_study(path: Path, study: GokuStudy) -> None:
    """Whole or not at all; what was there is replaced."""
    from twins.files import write_whole

    buffer = io.BytesIO()
    plain = asdict_without_arrays(study)
    with h5py.File(buffer, "w", libver="earliest") as file:
        file.attrs["format"] = FORMAT
        file.attrs["simulated"] = study.simulated
        file.create_dataset("about", data=json_text(plain), dtype=h5py.string_dtype("utf-8"))
        file["draws"], file["correlation"] = study.draws, study.correlation
        for number, course in enumerate(study.courses):
            group = file.create_group(f"courses/{number}")
            group.attrs["label"], group.attrs["n_seen"] = course.label, course.n_seen
            for name in _COURSE:
                group[name] = getattr(course, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def asdict_without_arrays(study: GokuStudy) -> dict[str, Any]:
    """All but courses, draws and correlation, as JSON data."""
    plain = {name: getattr(study, name) for name in ("name", "equation", "simulated", "stage", "verdict")}
    return {
        **plain,
        **{name: list(getattr(study, name)) for name in ("formulas", "words", "channels", "units")},
        "parameters": [asdict(one) for one in study.parameters],
        "rows": [one.as_dict() for one in study.rows],
        "figures": dict(study.figures),
        "truth": {name: list(values) for name, values in study.truth.items()},
        "identified": [asdict(one) for one in study.identified],
        "files": dict(study.files),
    }


def is_study(path: Path) -> bool:
    """Whether the file is one of these."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return bool(file.attrs.get("format") == FORMAT)
    except HDF5_ERRORS:
        return False


def open_study(path: Path) -> GokuStudy:
    """Read what `write_study` wrote. Raises RecordingError for anything else."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs.get("format") != FORMAT:
                raise RecordingError(f"{path} holds no study of an equation; `labctl goku study` makes one")
            return _read(file)
    except (*HDF5_ERRORS, KeyError, TypeError, ValueError) as error:
        raise RecordingError(f"{path} cannot be read as a study of an equation: {error}") from error


def _read(file: h5py.File) -> GokuStudy:
    about = json.loads(file["about"][()])
    courses = file.get("courses", {})
    lists: dict[str, Any] = {name: tuple(about[name]) for name in ("formulas", "words", "channels", "units")}
    return GokuStudy(
        **{name: about[name] for name in ("name", "equation", "simulated", "stage", "verdict", "figures", "files")},
        **lists,
        parameters=tuple(QuantityTold(**one) for one in about["parameters"]),
        rows=tuple(_row(one) for one in about["rows"]),
        courses=tuple(
            Course(
                str(courses[str(number)].attrs["label"]),
                int(courses[str(number)].attrs["n_seen"]),
                **{name: courses[str(number)][name][()] for name in _COURSE},
            )
            for number in range(len(courses))
        ),
        draws=file["draws"][()],
        correlation=file["correlation"][()],
        truth={name: tuple(values) for name, values in about["truth"].items()},
        identified=tuple(
            Identified(one["traces"], tuple(Standing(**each) for each in one["standings"]), tuple(one["lines"]))
            for one in about["identified"]
        ),
    )


def _row(plain: Mapping[str, Any]) -> TraceRow:
    estimates = tuple(
        Estimate(name, one["unit"], one["estimate"], one["low"], one["high"])
        for name, one in plain["parameters"].items()
    )
    told = {name: plain[name] for name in ("trace", "group", "how", "trusted", "why")}
    return TraceRow(estimates=estimates, noise_sd=tuple(plain["noise_sd"]), **told)
