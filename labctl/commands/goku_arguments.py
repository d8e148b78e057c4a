"""What the actions of `labctl goku` ask: which equation, which channels, which data."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from labctl.commands import data_arguments
from labctl.commands.arguments import positive_integer, positive_seconds
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.goku_channels import Wishes
    from labctl.goku_equation import EquationSource
    from labctl.goku_model import GokuModel
    from labctl.goku_series import Measured

Value = TypeVar("Value")
REFINE_SECONDS = 3600.0
FREE = ("linear", "decoder")
_READING = (
    "drive",
    "response",
    "rate",
    "dt",
    "time",
    "trial",
    "condition",
    "unit",
    "axes",
    "clipped",
    "gaps",
    "drive_ahead",
)
"""Options of data that a model keeps, so that the same kind of file is read the same way again."""


def add_equation_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Which equation, and what of it is known."""
    group = parser.add_argument_group("equation")
    add = group.add_argument
    add(
        "--system",
        required=required,
        metavar="EQUATION",
        help="a name (labctl goku systems), an equation written as text (FILE.toml), or a class of your own (FILE.py:Class)",
    )
    add("--option", action="append", metavar="NAME=VALUE", help="option of the equation, as in n=3 or driven=true")
    add("--range", action="append", metavar="NAME=LOW..HIGH", help="range of a parameter or an initial state")
    add("--fix", action="append", metavar="NAME=VALUE", help="a parameter that is known; it is held, not inferred")


def add_channel_arguments(parser: argparse.ArgumentParser) -> None:
    """Which channel shows what."""
    group = parser.add_argument_group("channels")
    add = group.add_argument
    add(
        "--observe",
        action="append",
        metavar="CHANNEL=OUTPUT",
        help="this channel shows this output of the equation; or linear or decoder: learned from the traces, for all channels",
    )
    add("--gain", action="append", metavar="CHANNEL=NUMBER", help="channel = gain · output + offset (default 1)")
    add("--offset", action="append", metavar="CHANNEL=NUMBER", help="see --gain (default 0)")
    add(
        "--drive-as",
        action="append",
        metavar="CHANNEL=DRIVE",
        help="this drive channel, or this condition, is this drive of the equation (default: by name, else in order)",
    )


def add_traces_arguments(parser: argparse.ArgumentParser, *, test_rows: bool = False) -> None:
    """The data."""
    parser.add_argument("data", type=Path, nargs="+", help="recordings (.h5), or data of other programs")
    data_arguments.add_data_arguments(parser, test_rows=test_rows)


def add_share_argument(parser: argparse.ArgumentParser) -> None:
    """Which traces have their parameters in common."""
    parser.add_argument(
        "--share",
        choices=("none", "segments", "file", "conditions", "all"),
        default="none",
        help="which traces have their parameters in common: segments of one trial, trials of one file, traces of equal "
        "conditions, or all (default none)",
    )


def add_refinement_arguments(parser: argparse.ArgumentParser, *, seconds: str) -> None:
    """How long every trace's own likelihood may be asked. seconds: the option's name."""
    parser.add_argument(
        seconds,
        type=positive_seconds,
        dest="refine_seconds",
        default=REFINE_SECONDS,
        metavar="SECONDS",
        help="wall time of the refinement; traces that are not done then are given as far as they came, not trusted, with "
        f"'out of time' (default {REFINE_SECONDS:g})",
    )
    parser.add_argument(
        "--sweeps", type=positive_integer, help="of the chains that draw, at most (default: some hundreds)"
    )


def equation_of(options: argparse.Namespace) -> EquationSource:
    """The equation as it was asked for. Raises UsageError, CampaignError."""
    from labctl.goku_equation import EquationSource

    return EquationSource.of(
        options.system,
        options={name: _literal(value) for name, value in pairs(options.option, "--option", str).items()},
        ranges=pairs(options.range, "--range", span),
        held=pairs(options.fix, "--fix", number),
    )


def wishes_of(options: argparse.Namespace) -> Wishes:
    """What is said of channels. Raises UsageError."""
    from labctl.goku_channels import Wishes

    given = list(options.observe or [])
    free = [one for one in given if one in FREE]
    if free and len(given) > 1:
        raise UsageError(f"--observe {free[0]} is for all channels; give it alone")
    common: dict[str, Any] = {
        "gains": pairs(options.gain, "--gain", number),
        "offsets": pairs(options.offset, "--offset", number),
        "drive_as": pairs(options.drive_as, "--drive-as", str),
    }
    if free:
        return Wishes(kind=free[0], **common)
    return Wishes(observe=pairs(given, "--observe", str), **common)


def measured_of(options: argparse.Namespace, paths: Sequence[Path], *, moving: bool = True) -> Measured:
    """The traces of these files, whole: recordings of labctl's own, or of other programs as they stand.

    moving: whether a channel that never moves is an error. Raises RecordingError, UsageError.
    """
    from labctl.goku_reading import joined, of_loose, of_recordings
    from labctl.outside_data import is_recording, own_recording
    from labctl.outside_data.recordings import refuse_mapping

    parts = []
    for number_of_file, path in enumerate(paths):
        if is_recording(path):
            refuse_mapping(path, [one for one in data_arguments.given_mapping(options) if one != "--segment"])
            names = data_arguments.names_of
            recording = own_recording(path, names(options.drive), names(options.response))
            part = of_recordings([recording])
        else:
            part = of_loose(number_of_file, _loose(options, path, moving=moving))
        parts.append(part.of_file(number_of_file))
    return joined(parts)


def _loose(options: argparse.Namespace, path: Path, *, moving: bool) -> Any:
    from labctl.outside_data.loose import LooseColumnMap, read_loose
    from labctl.outside_data.opening import open_data_file

    if not options.response:
        raise UsageError(
            f"{path} is no recording of labctl's own: say which columns were measured, --response NAME (and --drive NAME, where "
            f"there was a drive); {open_data_file(path).there_are()}"
        )
    columns, treatments, dt_s = data_arguments.mapping_of(options, LooseColumnMap)
    data = read_loose(path, columns, treatments, dt_s=dt_s, simulated=options.simulated, moving=moving)
    for one in data.provenance["treatments"]:
        if one["treatment"] == "drive taken ahead" and one.get("decided") == "by the data":
            sys.stderr.write(
                f"{path.name}: the drive is taken {one['samples']} sample ahead, as {one['channel']} shows it\n"
            )
    return data


def reading_of(options: argparse.Namespace) -> dict[str, Any]:
    """How the data were read, as plain data, to read others the same way."""
    return {name: getattr(options, name) for name in _READING if getattr(options, name) not in (None, [])}


def read_as(options: argparse.Namespace, model: GokuModel) -> None:
    """Where no column is named, read the data as those that the model was fitted to."""
    from labctl.outside_data import is_recording

    stored = model.about.get("goku", {}).get("reading")
    if options.response or not isinstance(stored, dict) or all(is_recording(path) for path in options.data):
        return
    for name in _READING:
        value = stored.get(name)
        if getattr(options, name) in (None, []) and value is not None:
            setattr(options, name, tuple(value) if name == "gaps" and isinstance(value, list) else value)
    words = " ".join(f"--{name.replace('_', '-')} {_in_words(value)}" for name, value in stored.items())
    sys.stderr.write(f"read as what {model.name} was fitted to: {words}\n")


def _in_words(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else f"{value}"


def pairs(given: Sequence[str] | None, option: str, convert: Callable[[str], Value]) -> dict[str, Value]:
    """NAME=VALUE arguments as a mapping. Raises UsageError for anything else, or a name given twice."""
    found: dict[str, Value] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise UsageError(f"{option} {text!r}: expected NAME=VALUE")
        if name.strip() in found:
            raise UsageError(f"{option}: {name.strip()} is given twice")
        try:
            found[name.strip()] = convert(value.strip())
        except ValueError as error:
            raise UsageError(f"{option} {text!r}: {error}") from None
    return found


def number(text: str) -> float:
    """A finite number. Raises ValueError."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not abs(value) < float("inf"):
        raise ValueError(f"{text} is not finite")
    return value


def span(text: str, *, known: str = "a value that is known: --fix") -> tuple[float, float]:
    """LOW..HIGH; known: what to do instead where there is no range. Raises ValueError."""
    low, dots, high = text.partition("..")
    if not (low and dots and high):
        raise ValueError(f"{text!r} is no range; write LOW..HIGH, as in 0.5..2")
    ends = number(low), number(high)
    if ends[0] > ends[1]:
        raise ValueError(f"the range {text} is empty: LOW must lie below HIGH; turned round it is {high}..{low}")
    if ends[0] == ends[1]:
        raise ValueError(f"the range {text} is empty: LOW must lie below HIGH ({known})")
    return ends


def noise_span(text: str) -> tuple[str, tuple[float, float]]:
    """An argparse type: LOW..HIGH for all channels, or CHANNEL=LOW..HIGH."""
    name, equals, value = text.rpartition("=")
    try:
        return (name if equals else ""), span(value, known="a level that is known: a narrow range around it")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _literal(text: str) -> Any:
    """A value of an option: true, 3, 0.5, [1, 2], null; anything else is a word."""
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)
