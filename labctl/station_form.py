"""What a form for a station file needs to know of each field, from the schema: its kind, its words, what may be chosen.

for field in form_fields("channels"):
    field.key, field.kind, field.told
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from labctl.station_checks import meaningless_for
from labctl.station_schema import ChannelTable, DeviceTable, InstrumentTable, StationTable
from labctl.toml_text import value_text

Kind = Literal["text", "choice", "suggested", "number", "whole", "yes_no", "pair", "names", "toml", "table"]

_TABLES: dict[str, type[BaseModel]] = {
    "station": StationTable,
    "instruments": InstrumentTable,
    "channels": ChannelTable,
    "devices": DeviceTable,
}
_USUAL = {
    "station": ("name", "simulated", "description"),
    "instruments": ("driver", "address", "serial", "baud_rate", "timeout_s"),
    "devices": ("drive", "response", "conditions", "time_constant_s", "sample_rate_Hz", "mode", "description"),
}
_UNITS = ("V", "mV", "A", "mA", "uA", "nA", "T", "mT", "K", "Hz", "kHz", "W", "s", "1")
"""What is suggested; labctl.units knows more."""
_RARE_OF_CHANNELS = ("instrument_unit", "description", "rest", "tolerance", "safe.output")
_IN_UNIT = {
    "limits": "{unit}",
    "safe.value": "{unit}",
    "rest": "{unit}",
    "tolerance": "{unit}",
    "range": "{unit}",
    "ramp_per_s": "{unit}/s",
    "slew_per_s": "{unit}/s",
}
_NAMES_OF = {"instrument": "instruments", "drive": "channels", "response": "channels", "conditions": "channels"}


@dataclass(frozen=True, slots=True)
class FormField:
    """One field: `key` within its entry ("safe.value"), its kind, and its words.

    default: what holds where it is left out, as text; "" for nothing. choices: what may be chosen; names_of: the section
    whose names may be. usual: whether most people fill it in.
    """

    key: str
    kind: Kind
    told: str
    required: bool
    default: str
    choices: tuple[str, ...] = ()
    names_of: str = ""
    usual: bool = True

    @property
    def path(self) -> tuple[str, ...]:
        """The parts of the key."""
        return tuple(self.key.split("."))


@cache
def form_fields(section: str) -> tuple[FormField, ...]:
    """The fields of an entry of "station", "instruments", "channels" or "devices"."""
    return tuple(_fields(section, _TABLES[section], prefix="", optional=False))


def fields_for(section: str, entry: Mapping[str, Any]) -> tuple[FormField, ...]:
    """Those that make sense for this entry: a sense channel has no limits. What stands there is always among them."""
    without = meaningless_for(str(entry.get("kind"))) if section == "channels" else ()
    return tuple(one for one in form_fields(section) if one.path[0] not in without or one.path[0] in entry)


def label_of(field: FormField, unit: str) -> str:
    """Its words for people, with its unit; `unit` is that of the channel. * marks what must be given."""
    key = field.key
    if key in _IN_UNIT:
        told = _IN_UNIT[key].format(unit=unit) if unit else ""
    else:
        told = next((one for one in ("s", "Hz") if key.endswith(f"_{one}")), "")
    stem = key.removesuffix("_per_s").removesuffix(f"_{told}") if told else key
    words = stem.replace(".", " · ").replace("_", " ")
    return f"{words}{f' ({told})' if told else ''}{' *' if field.required else ''}"


def _fields(section: str, table: type[BaseModel], *, prefix: str, optional: bool) -> Iterator[FormField]:
    for name, info in table.model_fields.items():
        kind, choices, inner = _kind(name, info.annotation)
        key = prefix + name
        if inner is not None and not prefix:
            yield from _fields(section, inner, prefix=f"{name}.", optional=not info.is_required())
            continue
        if name == "driver":
            kind, choices = "suggested", _drivers()
        elif name in ("unit", "instrument_unit"):
            kind, choices = "suggested", _UNITS
        yield FormField(
            key,
            kind,
            _sentence(info),
            required=info.is_required() and not optional,
            default=_default(info),
            choices=choices,
            names_of=_NAMES_OF.get(name, "") if not prefix else "",
            usual=_usual(section, key),
        )


def _usual(section: str, key: str) -> bool:
    return key not in _RARE_OF_CHANNELS if section == "channels" else key in _USUAL[section]


def _kind(name: str, hint: Any) -> tuple[Kind, tuple[str, ...], type[BaseModel] | None]:  # noqa: PLR0911
    """The kind of a type, what may be chosen, and the table that it is, if it is one."""
    hint = _bare(hint)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return "toml", (), hint
    if typing.get_origin(hint) is Literal:
        return "choice", tuple(str(one) for one in typing.get_args(hint)), None
    if hint is bool:
        return "yes_no", (), None
    if hint in (int, float):
        return ("whole" if hint is int else "number"), (), None
    if hint is str:
        return ("choice" if name in _NAMES_OF else "text"), (), None
    if typing.get_origin(hint) is list and name in _NAMES_OF:
        return "names", (), None
    if typing.get_origin(hint) is tuple and len(typing.get_args(hint)) == 2:
        return "pair", (), None
    return ("table" if typing.get_origin(hint) is dict else "toml"), (), None


def _bare(hint: Any) -> Any:
    """A type without None and without what is annotated to it."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [one for one in typing.get_args(hint) if one is not type(None)]
        return _bare(kinds[0]) if len(kinds) == 1 else hint
    if typing.get_origin(hint) is typing.Annotated:
        return _bare(typing.get_args(hint)[0])
    return hint


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True) if not info.is_required() else None
    return "" if value in (None, "", {}, []) or isinstance(value, BaseModel) else value_text(value).strip('"')


def _sentence(info: FieldInfo) -> str:
    return " ".join((info.description or "").split())


def _drivers() -> tuple[str, ...]:
    from drivers.registry import driver_names

    return tuple(driver_names())
