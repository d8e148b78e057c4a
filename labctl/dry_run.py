"""Dry run: everything that can be checked of a recording before it is made, without writing to any output.

    found = dry_run(station, "leaky", RandomSteps(), seed=1, folder=folder)              # from the station file alone
    found = dry_run(bench.station, "leaky", RandomSteps(), seed=1, folder=folder, bench=bench)
    found.ok, found.problems

All problems are told at once, each with channel, time, value and limit. With a bench its instruments are asked as well: the
inputs are set up for the recording (range, rate, length), errors are read, the memory is compared; no output is touched.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from labctl.bench import Bench
from labctl.bench.film_plan import FilmRequest, make_film_plan
from labctl.bench.plan import DriveProblem, Mode, Plan, drive_problems, driven_devices, lay_plan
from labctl.campaigns.record import MAX_PLAY_S
from labctl.campaigns.record_designed import part_path
from labctl.design_options import Design
from labctl.designed import excitations_of
from labctl.errors import LabctlError
from labctl.excitation import Excitation
from labctl.hdf5_space import SLACK_BYTES
from labctl.station import Station

STATION_ALONE = "the station file alone; no instrument was asked"
WITH_INSTRUMENTS = "the station file and the instruments; no output was written to"
FILMED = "filmed"
PLAY_OVERHEAD_S = 0.15
"""Loading, arming and starting a play, with errors read: of this order for a generator on a network."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the recording would be refused. `time_s` counts from where the trial's drive begins; None where it does not apply."""

    text: str
    channel: str = ""
    trial: int | None = None
    time_s: float | None = None
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    part: str = ""
    """Of the design, where it has several."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class DryRunPart:
    """One recording to be: `n_samples` are of a trial, its preparation of `n_prepare` included; `way` as "buffered"."""

    name: str
    path: Path
    way: str
    n_trials: int
    n_samples: int
    n_prepare: int
    n_plays: int
    device_s: float
    file_bytes: int


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a recording would be, and everything that stands against it; `checked` says what that is known from."""

    device: str
    parts: tuple[DryRunPart, ...]
    problems: tuple[Problem, ...]
    checked: str
    free_bytes: int | None

    @property
    def ok(self) -> bool:
        """Whether nothing is known to stand against it."""
        return not self.problems

    @property
    def device_s(self) -> float:
        """Device time of all parts (s)."""
        return sum(part.device_s for part in self.parts)

    @property
    def wall_s(self) -> float:
        """How long it will take, estimated: device time, and loading each play."""
        return self.device_s + sum(PLAY_OVERHEAD_S * part.n_plays for part in self.parts)

    @property
    def samples(self) -> int:
        """Samples (or frames) of each channel, of all parts."""
        return sum(part.n_trials * part.n_samples for part in self.parts)

    @property
    def file_bytes(self) -> int:
        """Size of all files."""
        return sum(part.file_bytes for part in self.parts)

    def __str__(self) -> str:
        lines = [
            f"{part.path.name}: {part.n_trials} trials of {part.n_samples} ({part.n_prepare} of them preparation), {part.way}, "
            f"{part.n_plays} plays, {part.device_s:.4g} s of device time, {_megabytes(part.file_bytes)}"
            for part in self.parts
        ]
        free = "" if self.free_bytes is None else f", {_megabytes(self.free_bytes)} free there"
        lines += [
            f"together {self.samples} samples a channel, about {self.wall_s:.4g} s in real time, "
            f"{_megabytes(self.file_bytes)}{free}",
            f"checked with {self.checked}",
        ]
        if self.ok:
            return "\n".join([*lines, "nothing stands against it"])
        return "\n".join([*lines, f"REFUSED, {len(self.problems)} problems:", *(f"  {one}" for one in self.problems)])


def dry_run(
    station: Station,
    device: str,
    design: Design,
    *,
    seed: int,
    folder: Path,
    name: str = "",
    conditions: Mapping[str, float] | None = None,
    bench: Bench | None = None,
) -> DryRun:
    """Check what `record_designed` would do with these, and tell everything that stands against it; writes to no output.

    bench: an opened bench that is not recording; without it only the station file is asked.
    """
    checked = STATION_ALONE if bench is None else WITH_INSTRUMENTS
    problems = condition_problems(station, device, conditions or {})
    parts = []
    try:
        excitations = excitations_of(station, device, design, seed=seed)
    except LabctlError as error:
        return DryRun(device, (), (Problem(str(error)), *problems), checked, free_bytes(folder))
    for part, excitation in excitations.items():
        path = part_path(folder, name or device, part)
        if path.exists():
            problems.append(Problem(f"{path} exists already; choose another folder or name"))
        try:
            made, found = _part(station, excitation, part, path, bench)
        except LabctlError as error:
            problems.append(Problem(str(error)))
        else:
            parts.append(made)
            problems += [replace(one, part=part) for one in found]
    return with_space(DryRun(device, tuple(parts), tuple(problems), checked, free_bytes(folder)), folder)


def dry_run_film(station: Station, request: FilmRequest, *, path: Path, bench: Bench | None = None) -> DryRun:
    """The same for a device that a camera sees; frames are counted as samples."""
    checked = STATION_ALONE if bench is None else WITH_INSTRUMENTS
    problems = [Problem(f"{path} exists already; choose another folder or name")] if path.exists() else []
    parts: tuple[DryRunPart, ...] = ()
    try:
        plan = make_film_plan(station, request)
        n_bytes = 0
        if bench is not None:
            rows, columns = bench.rehearse_film(plan)
            n_bytes = 2 * rows * columns * len(plan.planes) * plan.n_trials * plan.n_frames + SLACK_BYTES
        device_s = plan.n_trials * plan.n_frames * plan.interval_s
        parts = (DryRunPart("frames", path, FILMED, plan.n_trials, plan.n_frames, 0, plan.n_trials, device_s, n_bytes),)
    except LabctlError as error:
        problems.append(Problem(str(error)))
    return with_space(DryRun(request.device, parts, tuple(problems), checked, free_bytes(path.parent)), path.parent)


def planned(station: Station, excitation: Excitation) -> Plan:
    """The excitation as it would be played, as far as the station file tells; its values are not checked."""
    return lay_plan(station, excitation, mode=_mode_on_paper(station, excitation), prepare=True)


def problems_of(plan: Plan) -> list[Problem]:
    """What is wrong with the drive of a plan."""
    return [_problem(one) for one in drive_problems(plan)]


def condition_problems(station: Station, device: str, conditions: Mapping[str, float]) -> list[Problem]:
    """Set-points that would be refused."""
    problems = []
    for name, value in conditions.items():
        channel = station.channels.get(name)
        if channel is None or not channel.is_output:
            there = ", ".join(one.name for one in station.channels.values() if one.kind == "set") or "none"
            problems.append(Problem(f"{name} cannot be set on this station; set-points are {there}", name))
            continue
        low, high = channel.limits
        if not low <= value <= high:  # NaN is neither
            text = f"{name}: {value:g} {channel.unit} is outside {low:g}..{high:g} {channel.unit} ({channel.where})"
            limit = high if value > high else low
            problems.append(Problem(text, name, value=value, limit=limit, unit=channel.unit))
        if device in station.devices and name in station.devices[device].drive:
            problems.append(Problem(f"{name} is driven by the recording and cannot be held", name))
    return problems


def free_bytes(folder: Path) -> int | None:
    """Room on the disk of a folder that may not exist yet; None where that cannot be asked."""
    for place in (folder, *folder.absolute().parents):
        if place.exists():
            try:
                return shutil.disk_usage(place).free
            except OSError:
                return None
    return None


def with_space(found: DryRun, folder: Path) -> DryRun:
    """The same, with a problem more where the disk has no room."""
    if found.free_bytes is None or found.file_bytes <= found.free_bytes:
        return found
    text = f"{folder}: {_megabytes(found.file_bytes)} are needed, {_megabytes(found.free_bytes)} are free"
    problem = Problem(text, value=float(found.file_bytes), limit=float(found.free_bytes), unit="bytes")
    return replace(found, problems=(*found.problems, problem))


def _part(
    station: Station, excitation: Excitation, part: str, path: Path, bench: Bench | None
) -> tuple[DryRunPart, list[Problem]]:
    if bench is None:
        plan = planned(station, excitation)
        way, n_plays = f"{plan.mode}, as far as the station file tells", _plays(plan, None)
    else:
        rehearsed = bench.rehearse(excitation)
        plan, way, n_plays = rehearsed.plan, rehearsed.plan.mode, _plays(rehearsed.plan, rehearsed.max_samples)
    problems = problems_of(plan)
    if bench is not None:
        problems += [Problem(text) for text in rehearsed.problems]
    n_samples = plan.n_trials * plan.n_samples
    n_channels = len(plan.drive_channels) + len(plan.response_channels)
    n_bytes = 8 * n_samples * n_channels + 16 * plan.n_trials + 8 * plan.n_samples + SLACK_BYTES
    made = DryRunPart(
        part, path, way, plan.n_trials, plan.n_samples, plan.n_prepare, n_plays, n_samples * plan.dt_s, n_bytes
    )
    return made, problems


def _plays(plan: Plan, max_samples: int | None) -> int:
    """How many plays there will be; each trial is one in stepped mode, where nothing is loaded."""
    if plan.mode == "stepped":
        return 0
    largest = max_samples or plan.play_samples(plan.n_trials) + 16
    try:
        return len(list(plan.groups(max_samples=largest, max_play_s=MAX_PLAY_S)))
    except LabctlError:  # told as a problem of the rehearsal
        return plan.n_trials


def _mode_on_paper(station: Station, excitation: Excitation) -> Mode:
    """Buffered where nothing in the station file is against it."""
    devices = driven_devices(station, excitation.channels)
    drives = [station.channels[name] for device in devices for name in device.drive]
    senses = [station.channels[name] for device in devices for name in device.response]
    if any(device.mode == "stepped" for device in devices):
        return "stepped"
    if any(device.mode == "buffered" for device in devices):
        return "buffered"
    playable = all(channel.kind == "drive" and channel.slew_per_s for channel in drives)
    recordable = all(channel.range is not None for channel in senses)
    one_each = len({channel.instrument for channel in drives}) == 1 == len({channel.instrument for channel in senses})
    return "buffered" if playable and recordable and one_each else "stepped"


def _problem(found: DriveProblem) -> Problem:
    more = f"; {found.count} such samples" if found.count > 1 else ""
    return Problem(
        f"{found.text}{more}", found.channel, found.trial, found.time_s, found.value, found.limit, found.unit
    )


def _megabytes(count: int) -> str:
    return f"{count * 1e-6:.3g} MB" if np.isfinite(count) else "?"
