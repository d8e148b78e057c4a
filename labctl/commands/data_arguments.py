"""The options that map columns of other programs' files, and the recordings that come of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import LabctlError, UsageError
from labctl.recording import Recording

if TYPE_CHECKING:
    from labctl.outside_data import ColumnMap, OutsideData, Treatments
    from labctl.outside_data.treatments import Ahead, Gaps

_MAPPING = (
    *("time", "trial", "input", "condition", "unit", "axes", "rate", "dt", "rows", "test_rows", "segment", "gaps"),
    "drive_ahead",
)


def add_data_arguments(parser: argparse.ArgumentParser, *, test_rows: bool = True) -> None:
    """Add the options. test_rows: whether a part can be kept from a fit."""
    group = parser.add_argument_group(
        "data of other programs (CSV, HDF5, netCDF, .mat)", "Not needed for labctl's own recordings."
    )
    add = group.add_argument
    add("--drive", action="append", metavar="NAME", help="column of the drive; NAME,NAME or repeated for several")
    add("--response", action="append", metavar="NAME", help="column of the response; NAME,NAME or repeated for several")
    add("--rate", type=_quantity("rate_Hz_of"), metavar="HERTZ", help="sampling rate, as in 610.35Hz or 1kHz")
    add("--dt", type=_quantity("seconds_of"), metavar="SECONDS", help="sampling time instead, as in 1.6ms")
    add("--time", metavar="COLUMN[:UNIT]", help="column of time stamps, in seconds or in UNIT (ms, us)")
    add("--trial", metavar="COLUMN", help="column that tells trials apart")
    add("--input", metavar="COLUMN", help="column of equal values where the same drive was repeated")
    add(
        "--condition",
        action="append",
        metavar="NAME=VALUE",
        help="held constant: a number, or NAME of a constant column",
    )
    add("--unit", action="append", metavar="NAME=UNIT", help="unit of a channel, as in V1=mV; nothing is converted")
    add("--axes", metavar="A,B", help="axes of arrays, in order: trial,time or time,trial or time,channel ...")
    add("--rows", type=_quantity("span_of"), metavar="START:STOP", help="read only these rows (samples of each trial)")
    if test_rows:
        add("--test-rows", type=_quantity("span_of"), metavar="START:STOP", help="keep these from the fit, to judge it")
    add(
        "--segment",
        type=int,
        metavar="SAMPLES",
        help="cut trials to segments of this length; 0: never (default: as needed)",
    )
    add(
        "--gaps",
        type=_gaps,
        metavar="HOW",
        help="split: cut the data at gaps and NaN; interpolate:N: fill up to N samples",
    )
    add("--resample", action="store_true", help="put unevenly sampled data onto a grid by linear interpolation")
    add(
        "--clipped",
        choices=("accept", "drop"),
        help="channels at a rail: take them, or drop the segments that touch it",
    )
    add(
        "--drive-ahead",
        type=_ahead,
        metavar="SAMPLES",
        help="the drive measured so many samples later acts between a sample and the next: 1 where drive and response were "
        "sampled together and the drive was not held, 0 where it was (default auto: as the data tell)",
    )
    add("--simulated", action="store_true", help="the data were simulated, not measured; the twin will say so")


def recordings_of(options: argparse.Namespace, paths: Sequence[Path]) -> tuple[list[Recording], list[Recording]]:
    """(recordings, recordings of the test rows) of these files, labctl's own or others'.

    Where the data are to tell how far ahead the drive is, the first file tells for all that are read with these options.

    Raises RecordingError, UsageError.
    """
    from labctl.outside_data import as_recordings, is_recording, own_recording
    from labctl.outside_data.recordings import refuse_mapping

    found: list[Recording] = []
    test: list[Recording] = []
    for path in paths:
        if is_recording(path):
            refuse_mapping(path, given_mapping(options))
            found.append(own_recording(path, names_of(options.drive), names_of(options.response)))
            continue
        data = outside_data_of(options, path)
        _settle_ahead(options, data)
        found += as_recordings(data)
        test += as_recordings(data, test=True)
    return found, test


def heldout_of(options: argparse.Namespace, path: Path) -> list[Recording]:
    """The recordings of a file to judge on: read as the options say, but whole, since rows are those of the other file.

    Raises RecordingError, UsageError.
    """
    whole = argparse.Namespace(**vars(options) | {"rows": None, "test_rows": None})
    return recordings_of(whole, [path])[0]


def align_as(options: argparse.Namespace, twins: Sequence[Path]) -> None:
    """Take the drive of data to judge twins on as far ahead as it was for their fit, unless the options say how far.

    Raises UsageError if the twins differ in that, twins.TwinError for files that are none.
    """
    from twins import read_provenance

    if options.drive_ahead is not None or not options.drive:
        return
    fitted: dict[int, Path] = {}
    for path in twins:
        for source in read_provenance(path).get("extra", {}).get("recordings", ()):
            fitted.setdefault(int(source.get("outside_data", {}).get("drive_ahead", 0)), path)
    if len(fitted) > 1:
        told = ", ".join(f"{path} with the drive {ahead} ahead" for ahead, path in fitted.items())
        raise UsageError(f"these twins were fitted to differently aligned data: {told}; say --drive-ahead SAMPLES")
    options.settled_ahead = next(iter(fitted), None)


def _settle_ahead(options: argparse.Namespace, data: OutsideData) -> None:
    """Keep what the first file told, and say it."""
    if options.drive_ahead not in (None, "auto") or getattr(options, "settled_ahead", None) is not None:
        return
    options.settled_ahead = data.provenance["drive_ahead"]
    for one in data.provenance["treatments"]:
        if one["treatment"] == "drive taken ahead":
            sys.stderr.write(
                f"{data.path.name}: the drive is taken {one['samples']} sample ahead, as {one['channel']} shows it: one-step "
                f"models err by {one['one_step_error']:.3g} of its spread, and by {one['one_step_error_as_it_stands']:.3g} with "
                "the drive as it stands; --drive-ahead 0 takes it so\n"
            )


def outside_data_of(options: argparse.Namespace, path: Path) -> OutsideData:
    """One file of another program, read as the options say. Raises OutsideDataError, UsageError."""
    from labctl.outside_data import ColumnMap, read_mapped

    check_columns_said(options, path)
    columns, treatments, dt_s = mapping_of(options, ColumnMap)
    return read_mapped(path, columns, treatments, dt_s=dt_s, simulated=options.simulated)


def check_columns_said(options: argparse.Namespace, path: Path) -> None:
    """Raises UsageError, which names the columns there are, where it is not said which are drive and response."""
    from labctl.outside_data.opening import open_data_file

    if not (options.drive and options.response):
        raise UsageError(
            f"{path} is no recording of labctl's own: say which of its columns are what with --drive NAME and "
            f"--response NAME; {open_data_file(path).there_are()}"
        )


def mapping_of(options: argparse.Namespace, kind: type[ColumnMap]) -> tuple[ColumnMap, Treatments, float | None]:
    """Columns (as a map of this kind), treatments and sampling time as the options say. Raises UsageError."""
    if options.rate is not None and options.dt is not None:
        raise UsageError("give --rate or --dt, not both")
    dt_s = options.dt if options.rate is None else 1.0 / options.rate
    return _columns(options, kind), _treatments(options), dt_s


def _columns(options: argparse.Namespace, kind: type[ColumnMap]) -> ColumnMap:
    time, unit = _time(options.time)
    held = dict(_pair(text) for text in options.condition or [])
    numbers = {name: _number(value) for name, value in held.items()}
    return kind(
        drive=names_of(options.drive),
        response=names_of(options.response),
        time=time,
        time_unit=unit,
        trial=options.trial,
        input_column=options.input,
        conditions={name: value for name, value in numbers.items() if value is not None},
        condition_columns={name: held[name] for name, value in numbers.items() if value is None},
        units=dict(_pair(text) for text in options.unit or []),
        axes=tuple(axis.strip() for axis in options.axes.split(",")) if options.axes else (),
    )


def _treatments(options: argparse.Namespace) -> Treatments:
    from labctl.outside_data import Treatments

    gaps: Gaps = "refuse"
    longest = 0
    if options.gaps:
        gaps, longest = options.gaps
    return Treatments(
        gaps=gaps,
        longest_gap=longest,
        resample=options.resample,
        clipped=options.clipped or "refuse",
        segment_samples=options.segment,
        rows=options.rows or (0, None),
        test_rows=getattr(options, "test_rows", None),
        drive_ahead=_drive_ahead(options),
    )


def _drive_ahead(options: argparse.Namespace) -> Ahead:
    settled: int | None = getattr(options, "settled_ahead", None)
    if options.drive_ahead not in (None, "auto"):
        return int(options.drive_ahead)
    return "auto" if settled is None else settled


def given_mapping(options: argparse.Namespace) -> list[str]:
    """Options that only other programs' files need, as they were given."""
    named = [name for name in _MAPPING if getattr(options, name, None) is not None]
    flags = [name for name in ("resample", "clipped", "simulated") if getattr(options, name)]
    return [f"--{name.replace('_', '-')}" for name in (*named, *flags)]


def names_of(given: Sequence[str] | None) -> tuple[str, ...]:
    """NAME,NAME or repeated, as one list."""
    return tuple(name.strip() for text in given or [] for name in text.split(",") if name.strip())


def _pair(text: str) -> tuple[str, str]:
    """NAME=VALUE, or NAME alone, which then is its own column."""
    name, equals, value = text.partition("=")
    if not name or (equals and not value):
        raise UsageError(f"{text!r} is not NAME=VALUE")
    return name.strip(), value.strip() if equals else name.strip()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _time(text: str | None) -> tuple[str | None, str | None]:
    """COLUMN or COLUMN:UNIT; a colon that no unit of time follows belongs to the name."""
    from labctl.outside_data.quantities import TIME_UNITS

    name, _, unit = (text or "").rpartition(":")
    return (name, unit) if name and unit in TIME_UNITS else (text, None)


def _ahead(text: str) -> Ahead:
    if text == "auto":
        return "auto"
    if text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: give 0, 1 or another number of samples, or auto")


def _gaps(text: str) -> tuple[Gaps, int]:
    how, _, longest = text.partition(":")
    if how == "split" and not longest:
        return "split", 0
    if how == "interpolate" and longest.isdigit() and int(longest) > 0:
        return "interpolate", int(longest)
    raise argparse.ArgumentTypeError(f"{text!r}: give split, or interpolate:N with the most samples to fill in a row")


def _quantity(name: str) -> Callable[[str], object]:
    """An argparse type from a function of labctl.outside_data.quantities, loaded when it is needed."""

    def parse(text: str) -> object:
        from labctl.outside_data import quantities

        try:
            return getattr(quantities, name)(text)
        except LabctlError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse
