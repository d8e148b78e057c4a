"""What a stack refuses: twins that do not fit together, missing conditions, drives such as no twin has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from twins.device.ranges import RANGE_SLACK, check_conditions, check_drive
from twins.device.responding import condition_values
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid, TracesMismatch


def check_stackable(twins: Sequence[DeviceTwin]) -> None:
    """Raise TracesMismatch or TwinNotFitted unless these can be stacked."""
    if not twins:
        raise TracesMismatch("no twins to stack")
    first = twins[0].spec
    for number, twin in enumerate(twins):
        if not isinstance(twin, DeviceTwin):
            raise TracesMismatch(
                f"twin {number} is a {type(twin).__name__}; of an ensemble, stack the members, each at nodes of its own"
            )
        spec = twin.spec
        twin.histories([0])  # raises TwinNotFitted
        if abs(spec.dt_s - first.dt_s) > 1e-9 * first.dt_s:
            raise TracesMismatch(f"twin {number} steps by {spec.dt_s:g} s, twin 0 by {first.dt_s:g} s; they must agree")


def conditions_of(twins: Sequence[DeviceTwin], conditions: Sequence[Mapping[str, float] | None] | None) -> list[Tensor]:
    """(condition,) of every twin, in physical units, checked."""
    given = [None] * len(twins) if conditions is None else list(conditions)
    if len(given) != len(twins):
        raise TracesInvalid(f"{len(given)} conditions for {len(twins)} twins; give one mapping (or None) for each")
    held = []
    for node, (twin, values) in enumerate(zip(twins, given, strict=True)):
        try:
            held.append(condition_values(twin, values, ()))
        except TracesInvalid as error:
            raise TracesInvalid(f"node {node}: {error}") from error
        check_conditions(held[-1], twin.condition_range, twin.spec)
    return held


def check_shape(drive: Tensor, n_lines: int, shortest: int) -> None:
    """Raise TracesInvalid unless it is (line, batch, time) of at least one trial and `shortest` samples."""
    if drive.ndim != 3 or len(drive) != n_lines or not drive.shape[1] or drive.shape[2] < shortest:
        raise TracesInvalid(
            f"drive must be ({n_lines} lines, batch >= 1, time >= {shortest}), not {tuple(drive.shape)}"
        )


def check_ranges(
    drive: Tensor, limits: Tensor, twins: Sequence[DeviceTwin], lines_of_node: Sequence[Sequence[int]]
) -> None:
    """Raise OutsideFittedRange or TracesInvalid for the first line of a drive that leaves its limits, (line, 2)."""
    values = drive.detach()
    slack = RANGE_SLACK * (limits[:, 1] - limits[:, 0])
    inside = (values.amin((1, 2)) >= limits[:, 0] - slack) & (values.amax((1, 2)) <= limits[:, 1] + slack)
    if bool(inside.all()):
        return
    line = int((~inside).nonzero()[0])  # also when a value is NaN
    node = next(n for n, lines in enumerate(lines_of_node) if line in lines)
    own = list(lines_of_node[node])
    check_drive(values[own].movedim(0, -1), limits[own], twins[node].spec)
    raise TracesInvalid(f"the drive of node {node} holds values that are not finite")
