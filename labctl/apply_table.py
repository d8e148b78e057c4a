"""What applying a network would change on the bench: for every output what it is now, what is proposed, what is allowed.

    table = apply_table(bench, proposal)
    table.ok, table.rows

Reads outputs back and writes to none. `labctl deploy --dry-run` prints it; nothing outside its limits is ever sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from labctl.drive_jumps import too_fast_jumps
from labctl.errors import DeploymentError
from labctl.network_bench import check_wiring
from labctl.proposal import Proposal

if TYPE_CHECKING:
    from labctl.bench import Bench
    from labctl.station import Channel, Station
    from twins.network.wiring import Wiring


@dataclass(frozen=True, slots=True)
class ApplyRow:
    """One output. All values in `unit`.

    kind: "set-point" is brought to `proposed` and held; "drive" is played within `proposed`. current: as read back, None
    where it could not be. ramp_s: how long bringing it there takes, for a drive to its rest; None where it is not ramped.
    refused: why it cannot be applied; "" if it can. warned: what a person should know though it can.
    """

    channel: str
    device: str
    kind: Literal["set-point", "drive"]
    unit: str
    current: float | None
    proposed: tuple[float, float]
    limits: tuple[float, float]
    ramp_s: float | None
    refused: str = ""
    warned: str = ""

    @property
    def within(self) -> bool:
        """Whether all that is proposed lies within the limits."""
        return self.limits[0] <= self.proposed[0] <= self.proposed[1] <= self.limits[1]

    @property
    def ok(self) -> bool:
        """Whether it may be applied."""
        return self.within and not self.refused


@dataclass(frozen=True, slots=True)
class ApplyTable:
    """All rows. problems: what is in the way besides, such as a device that the station lacks. notes: to be known before."""

    rows: tuple[ApplyRow, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the network may be applied as it is."""
        return not self.problems and all(row.ok for row in self.rows)

    def why_not(self) -> str:
        """Everything that is in the way, one a line; "" if nothing is."""
        return "\n".join([*self.problems, *(f"{row.channel}: {row.refused}" for row in self.rows if not row.ok)])

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        rows = [{**asdict(row), "within": row.within, "ok": row.ok} for row in self.rows]
        return {"ok": self.ok, "rows": rows, "problems": list(self.problems), "notes": list(self.notes)}


def apply_table(bench: Bench, proposal: Proposal, *, rivals: bool = True) -> ApplyTable:
    """What playing the proposal's networks would do to each output. Only reads.

    rivals: also those of the reservoir and of the network as it was before training. Raises InstrumentFault where the
    bench does not answer.
    """
    wirings = dict(proposal.wirings) if rivals else {"optimised": proposal.wirings["optimised"]}
    rows = [*_set_points(bench, proposal, wirings.values()), *_drives(bench, wirings.values())]
    known = "\n".join(row.refused for row in rows)
    problems: dict[str, None] = {}
    for wiring in wirings.values():
        try:
            check_wiring(bench, wiring)
        except DeploymentError as error:
            if "the station allows" not in str(error) or not known:  # limits are told by their rows
                problems[str(error)] = None
    notes = list(proposal.notes)
    if proposal.simulated and not bench.simulated:
        notes.append("this network was learned on SIMULATED devices, and this bench is a real one")
    return ApplyTable(tuple(rows), tuple(problems), tuple(notes))


def _set_points(bench: Bench, proposal: Proposal, wirings: Iterable[Wiring]) -> Iterator[ApplyRow]:
    values: dict[str, list[float]] = {}
    for wiring in wirings:
        for name, value in {**proposal.conditions, **wiring.conditions}.items():
            values.setdefault(name, []).append(float(value))
    for name, wanted in values.items():
        proposed = (min(wanted), max(wanted))
        devices = ", ".join(one.name for one in bench.station.devices.values() if name in one.conditions)
        channel = bench.station.channels.get(name)
        if channel is None:
            told = f"the station has no channel {name!r}; there are {', '.join(bench.station.channels)}"
            yield ApplyRow(name, devices, "set-point", "", None, proposed, proposed, None, refused=told)
            continue
        if not channel.is_output:
            told = f"is a {channel.kind!r} channel and cannot be set"
            yield ApplyRow(name, devices, "set-point", channel.unit, None, proposed, channel.limits, None, refused=told)
            continue
        current = bench.get(name)
        refused = _outside(channel, proposed)
        if not refused and channel.ramp_per_s is None:
            refused = f"has no ramp_per_s, so it can be played but not set ({channel.where})"
        far = max(abs(edge - current) for edge in proposed)
        ramp_s = None if channel.ramp_per_s is None else far / channel.ramp_per_s
        yield ApplyRow(name, devices, "set-point", channel.unit, current, proposed, channel.limits, ramp_s, refused)


def _drives(bench: Bench, wirings: Iterable[Wiring]) -> Iterator[ApplyRow]:
    station = bench.station
    ranges: dict[tuple[str, int], tuple[float, float]] = {}
    fast: set[str] = set()
    for wiring in wirings:
        for port in wiring.ports:
            for number, (low, high) in enumerate(port.drive_ranges):
                before = ranges.get((port.name, number), (low, high))
                ranges[port.name, number] = (min(low, before[0]), max(high, before[1]))
        fast |= set(_jumps(station, wiring))
    for (device, number), proposed in ranges.items():
        known = station.devices.get(device)
        if known is None or number >= len(known.drive):
            continue  # check_wiring tells of devices that are not as in the station
        channel = station.channels[known.drive[number]]
        current = bench.get(channel.name)
        ramp_s = None if channel.ramp_per_s is None else abs(current - channel.rest) / channel.ramp_per_s
        warned = next((told for told in sorted(fast) if told.startswith(f"{channel.name}:")), "")
        yield ApplyRow(
            channel.name,
            device,
            "drive",
            channel.unit,
            current,
            proposed,
            channel.limits,
            ramp_s,
            refused=_outside(channel, proposed),
            warned=warned.removeprefix(f"{channel.name}: "),
        )


def _jumps(station: Station, wiring: Wiring) -> tuple[str, ...]:
    """What could be driven too fast, of the devices that are as in the station."""
    ranges = {
        port.name: port.drive_ranges
        for port in wiring.ports
        if port.name in station.devices and len(station.devices[port.name].drive) == len(port.drives)
    }
    return too_fast_jumps(station, ranges, dt_s=wiring.dt_s, recurrent=wiring.recurrent)


def _outside(channel: Channel, proposed: tuple[float, float]) -> str:
    low, high = channel.limits
    if low <= proposed[0] <= proposed[1] <= high:
        return ""
    wanted = f"{proposed[0]:g}" if proposed[0] == proposed[1] else f"{proposed[0]:g}..{proposed[1]:g}"
    return f"{wanted} {channel.unit} is proposed; {low:g}..{high:g} {channel.unit} is allowed ({channel.where})"
