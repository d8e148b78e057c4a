"""Which columns of a file are what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from labctl.errors import UsageError
from labctl.outside_data.quantities import TIME_UNITS

AXES = ("trial", "time", "channel")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMap:
    """Which columns (or arrays) are the drive and the response, and what else a file says.

    time: time stamps, in time_unit (else in the unit that the file gives, else in seconds). trial: equal values mark
    one trial. input_column: equal values mark repeats of one drive. conditions: what was held constant, as numbers;
    condition_columns: conditions that stand in a column (name -> column). units: of channels whose unit the file does
    not give, or gives wrongly: text, nothing is converted. axes: of arrays of two or three axes, from AXES.

    Raises UsageError.
    """

    drive_needed: ClassVar[bool] = True
    drive: tuple[str, ...]
    response: tuple[str, ...]
    time: str | None = None
    time_unit: str | None = None
    trial: str | None = None
    input_column: str | None = None
    conditions: Mapping[str, float] = field(default_factory=dict)
    condition_columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    axes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.drive_needed and not self.drive) or not self.response:
            raise UsageError("say which columns are what: --drive NAME and --response NAME, at least one of each")
        used: dict[str, str] = {}
        for role in ("drive", "response", "time", "trial", "input_column"):
            for name in _names(getattr(self, role)):
                if name in used:
                    raise UsageError(f"column {name!r} cannot be {used[name]} and {role}; every channel is one thing")
                used[name] = role
        if self.time_unit is not None and self.time_unit not in TIME_UNITS:
            raise UsageError(f"{self.time_unit!r} is no unit of time; known are {', '.join(TIME_UNITS)}")
        if self.axes and (
            set(self.axes) - set(AXES) or len(set(self.axes)) < len(self.axes) or "time" not in self.axes
        ):
            raise UsageError(f"axes are {', '.join(AXES)} in the order of the file, each once, not {self.axes}")
        if both := self.conditions.keys() & self.condition_columns.keys():
            raise UsageError(f"condition {', '.join(sorted(both))} is given as a number and as a column")

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for provenance."""
        plain = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def _names(value: str | Sequence[str] | None) -> Sequence[str]:
    return (value,) if isinstance(value, str) else value or ()
