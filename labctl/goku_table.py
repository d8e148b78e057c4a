"""What was inferred, as a table: for people, as JSON, CSV and HDF5."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from labctl.errors import UsageError
from labctl.json_file import json_text

if TYPE_CHECKING:
    from twins.goku.posterior import Posterior

LEVEL = 0.9
ENDINGS = (".json", ".csv", ".h5")
_SHOWN_TRACES = 40
_WIDE = 4  # parameters a line


@dataclass(frozen=True, slots=True)
class Estimate:
    """One parameter of one trace; low and high: its 90 % interval."""

    parameter: str
    unit: str
    value: float
    low: float
    high: float

    def as_text(self) -> str:
        """As 1.02 [0.98, 1.06] m, to the digits that the interval leaves."""
        digits = significant(self.value, self.high - self.low)
        return f"{self.value:.{digits}g} [{self.low:.{digits}g}, {self.high:.{digits}g}] {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class TraceRow:
    """What is known of one trace. how: by which posterior. why: why it is not to be trusted; empty if it is."""

    trace: str
    group: int
    estimates: tuple[Estimate, ...]
    noise_sd: tuple[float, ...]
    how: str
    trusted: bool
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "trace": self.trace,
            "group": self.group,
            "parameters": {
                one.parameter: {"estimate": one.value, "low": one.low, "high": one.high, "unit": one.unit}
                for one in self.estimates
            },
            "noise_sd": list(self.noise_sd),
            "how": self.how,
            "trusted": self.trusted,
            "why": self.why,
        }


def rows_of(posterior: Posterior, labels: Sequence[str], groups: Sequence[int]) -> list[TraceRow]:
    """One row a trace: medians with central 90 % intervals."""
    low, middle, high = posterior.quantiles([0.5 * (1 - LEVEL), 0.5, 0.5 * (1 + LEVEL)])
    noise = np.einsum("td,tdn->tn", posterior.weights, posterior.noise_sd)
    return [
        TraceRow(
            trace=label,
            group=int(groups[trace]),
            estimates=tuple(
                Estimate(name, unit, float(middle[trace, k]), float(low[trace, k]), float(high[trace, k]))
                for k, (name, unit) in enumerate(zip(posterior.parameter_names, posterior.parameter_units, strict=True))
            ),
            noise_sd=tuple(float(value) for value in noise[trace]),
            how=posterior.how,
            trusted=bool(posterior.trusted[trace]),
            why=_by_option(posterior.why.get(trace, "" if posterior.trusted[trace] else "not said")),
        )
        for trace, label in enumerate(labels)
    ]


def _by_option(why: str) -> str:
    """What Python calls n_sweeps and max_seconds has options here."""
    return why.replace("more n_sweeps may help", "more sweeps may help (--sweeps)")


def table_text(rows: Sequence[TraceRow], *, most: int = _SHOWN_TRACES) -> str:
    """For a terminal: a line a trace where there are few parameters, else a block a trace."""
    lines = []
    shown = list(rows[:most])
    names = [one.parameter for one in rows[0].estimates]
    cells = [[one.as_text() for one in row.estimates] for row in shown]
    if len(names) <= _WIDE:
        widths = [max(len(name), *(len(line[k]) for line in cells)) for k, name in enumerate(names)]
        first = max(len("trace"), *(len(row.trace) for row in shown))
        header = [f"{'trace':<{first}}", *(f"{name:<{width}}" for name, width in zip(names, widths, strict=True))]
        lines.append("  ".join([*header, "trusted"]))
        for row, line in zip(shown, cells, strict=True):
            middle = [f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)]
            lines.append("  ".join([f"{row.trace:<{first}}", *middle, _trust(row)]))
    else:
        width = max(map(len, names))
        for row, line in zip(shown, cells, strict=True):
            lines.append(f"{row.trace}: {'trusted' if row.trusted else _trust(row)}")
            lines += [f"  {name:<{width}}  {cell}" for name, cell in zip(names, line, strict=True)]
    if len(rows) > most:
        lines.append(f"… and {len(rows) - most} traces more; --out FILE.csv has them all")
    return "\n".join(lines) + "\n"


def _trust(row: TraceRow) -> str:
    return "yes" if row.trusted else f"NO: {row.why}"


def significant(value: float, width: float) -> int:
    """Digits of a value that an interval of this width leaves, and one more; at least 2, at most 6."""
    if not (np.isfinite(value) and np.isfinite(width)) or width <= 0.0 or value == 0.0:
        return 4
    return int(np.clip(np.floor(np.log10(abs(value))) - np.floor(np.log10(width)) + 2, 2, 6))


def check_ending(path: Path) -> None:
    """Raise UsageError unless the file's ending is one that can be written."""
    if path.suffix not in ENDINGS:
        raise UsageError(f"--out {path}: the ending says the format; give one of {', '.join(ENDINGS)}")


def write_inferred(path: Path, rows: Sequence[TraceRow], posterior: Posterior, about: dict[str, Any]) -> None:
    """Write JSON, CSV or HDF5 (which has all draws), by the ending; whole or not at all."""
    from twins.files import write_whole

    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".json":
            payload = json_text({**about, "traces": [row.as_dict() for row in rows]}).encode()
        case ".csv":
            payload = _csv(rows, about).encode()
        case _:
            payload = _hdf5(rows, posterior, about)
    write_whole(path, payload)


def _csv(rows: Sequence[TraceRow], about: dict[str, Any]) -> str:
    simulated, refinement = bool(about.get("simulated")), about.get("refinement", "")
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = (
        "trace",
        "group",
        "parameter",
        "unit",
        "estimate",
        "low_90",
        "high_90",
        "how",
        "trusted",
        "why",
        "simulated",
    )
    writer.writerow((*names, "refinement"))
    for row in rows:
        for one in row.estimates:
            figures = (f"{one.value:.9g}", f"{one.low:.9g}", f"{one.high:.9g}")
            origin = (row.how, row.trusted, row.why, simulated, refinement)
            writer.writerow((row.trace, row.group, one.parameter, one.unit, *figures, *origin))
    return file.getvalue()


def _hdf5(rows: Sequence[TraceRow], posterior: Posterior, about: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    text = h5py.string_dtype("utf-8")
    with h5py.File(buffer, "w", libver="earliest") as file:
        file.attrs["format"] = "labctl.goku_inferred"
        file.attrs["simulated"] = bool(about.get("simulated"))
        file.attrs["about"] = json_text(about)
        file.attrs["how"] = posterior.how
        file.attrs["refinement"] = about.get("refinement", "")
        for name in ("parameters", "initial", "noise_sd", "weights"):
            file.create_dataset(name, data=getattr(posterior, name), compression="gzip", compression_opts=4)
        file["trusted"] = posterior.trusted
        file["group"] = np.array([row.group for row in rows])
        for name, values in (
            ("trace", [row.trace for row in rows]),
            ("why", [row.why for row in rows]),
            ("parameter_name", posterior.parameter_names),
            ("parameter_unit", posterior.parameter_units),
        ):
            file.create_dataset(name, data=np.array(list(values), dtype=object), dtype=text)
    return buffer.getvalue()
