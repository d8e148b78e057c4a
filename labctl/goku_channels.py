"""How what was measured belongs to an equation: which channel shows which output, and what drives it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from labctl.errors import CampaignError, UsageError
from labctl.goku_series import Measured

if TYPE_CHECKING:
    from twins.goku.observation import KnownObservation
    from twins.goku.system import System

ObservationKind = Literal["known", "linear", "decoder"]
FREE_KINDS = ("linear", "decoder")


class _Stored(BaseModel):
    """A Wired as it stands in a model's file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Literal["known", "linear", "decoder"]
    channels: list[str] = Field(min_length=1, max_length=100_000)
    units: list[str]
    outputs: list[str]
    gains: list[FiniteFloat]
    offsets: list[FiniteFloat]
    drives: dict[str, str]


@dataclass(frozen=True, slots=True)
class Wired:
    """channels: what is observed, in order, with units. kind "known": channel = gain · output + offset, one output a
    channel; "linear" and "decoder" are learned, and outputs, gains and offsets are empty. drives: the equation's drives, each
    with the channel or condition of the data that it is.
    """

    kind: ObservationKind
    channels: tuple[str, ...]
    units: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    gains: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    drives: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {name: list(one) if isinstance(one, tuple) else one for name, one in asdict(self).items()}

    @classmethod
    def from_dict(cls, stored: object) -> Wired:
        """What `as_dict` gave. Raises CampaignError for anything else."""
        try:
            model = _Stored.model_validate(stored)
        except ValidationError as error:
            raise CampaignError(f"the model's file does not say what it observes: {error}") from error
        n = len(model.channels) if model.kind == "known" else 0
        if len(model.units) != len(model.channels) or {len(model.outputs), len(model.gains), len(model.offsets)} != {n}:
            raise CampaignError("the model's file has not one unit, output, gain and offset a channel")
        lists = {name: tuple(getattr(model, name)) for name in ("channels", "units", "outputs", "gains", "offsets")}
        return cls(kind=model.kind, drives=dict(model.drives), **lists)

    def known(self, system: System) -> KnownObservation | None:
        """The known operator, None where it is learned. Raises twins.errors.EquationInvalid for an unknown output."""
        if self.kind != "known":
            return None
        import torch

        from twins.goku.observation import KnownObservation

        plain = KnownObservation.of_outputs(system, self.outputs)
        gains = torch.tensor(self.gains)
        return KnownObservation(plain.get_buffer("matrix") * gains.unsqueeze(-1), torch.tensor(self.offsets))

    def in_words(self) -> list[str]:
        """One line a channel and a drive."""
        if self.kind != "known":
            channels = [f"{', '.join(self.channels)}: by a {self.kind} operator that is learned"]
        else:
            channels = [
                f"{name} ({unit or 'no unit'}) shows {_scaled(output, gain, offset)}"
                for name, unit, output, gain, offset in zip(
                    self.channels, self.units, self.outputs, self.gains, self.offsets, strict=True
                )
            ]
        return [*channels, *(f"{source} drives {drive}" for drive, source in self.drives.items())]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says of channels.

    observe: channel -> output; or `kind` "linear" or "decoder", for all channels. gains, offsets: by channel, where
    channel = gain · output + offset. drive_as: channel or condition -> drive of the equation.
    """

    observe: Mapping[str, str] = field(default_factory=dict)
    kind: ObservationKind = "known"
    gains: Mapping[str, float] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)
    drive_as: Mapping[str, str] = field(default_factory=dict)


def wire(system: System, measured: Measured, wishes: Wishes) -> tuple[Wired, list[str]]:
    """Settle what is observed and what drives, and what of it wants saying. Raises UsageError where that is not clear."""
    drives, told = _drives(system, measured, wishes.drive_as)
    names, units = measured.channels.names, measured.channels.units
    if wishes.kind in FREE_KINDS:
        if wishes.observe or wishes.gains or wishes.offsets:
            raise UsageError(f"a {wishes.kind} operator is learned for all channels: give no outputs, gains or offsets")
        return Wired(wishes.kind, names, units, drives=drives), told
    pairs = _pairs(system, names, wishes.observe)
    for option, given in (("--gain", wishes.gains), ("--offset", wishes.offsets)):
        for name, value in given.items():
            if name not in pairs:
                raise UsageError(f"{option} {name}: that channel is not observed; observed are {', '.join(pairs)}")
            if not math.isfinite(value) or (option == "--gain" and value == 0.0):
                raise UsageError(
                    f"{option} {name}={value:g}: give a finite number{', not zero' * (option == '--gain')}"
                )
    wired = Wired(
        kind="known",
        channels=tuple(pairs),
        units=tuple(units[names.index(name)] for name in pairs),
        outputs=tuple(pairs.values()),
        gains=tuple(float(wishes.gains.get(name, 1.0)) for name in pairs),
        offsets=tuple(float(wishes.offsets.get(name, 0.0)) for name in pairs),
        drives=drives,
    )
    return wired, [*told, *_unit_remarks(system, wired, wishes, measured)]


def _pairs(system: System, names: Sequence[str], observe: Mapping[str, str]) -> dict[str, str]:
    """Channel -> output: as said, else by equal names, else the only channel shows the only output."""
    outputs = [quantity.name for quantity in system.flat_outputs]
    if observe:
        for channel, output in observe.items():
            if channel not in names:
                raise UsageError(
                    f"--observe {channel}={output}: the data have no channel {channel!r}, but {_list(names)}"
                )
            if output not in outputs:
                raise UsageError(
                    f"--observe {channel}={output}: {system.name} has no output {output!r}; its outputs are {_list(outputs)}"
                )
        return dict(observe)
    same = {name: name for name in names if name in outputs}
    if same:
        return same
    if len(names) == len(outputs) == 1:
        return {names[0]: outputs[0]}
    raise UsageError(
        f"say which channel shows which output of {system.name}: --observe CHANNEL=OUTPUT, with the channels {_list(names)} "
        f"and the outputs {_list(outputs)}; or --observe linear, or --observe decoder, which are learned"
    )


def _drives(system: System, measured: Measured, drive_as: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Drive of the equation -> channel or condition: as said, else by equal names, else in order where the counts agree."""
    wanted, there = [quantity.name for quantity in system.drives], measured.drive_sources
    for source, drive in drive_as.items():
        if drive not in wanted:
            raise UsageError(f"--drive-as {source}={drive}: the drives of {system.name} are {_list(wanted)}")
        if source not in there:
            raise UsageError(
                f"--drive-as {source}={drive}: the data have no drive {source!r}; they have {_list(there)}"
            )
    if len(set(drive_as.values())) < len(drive_as):
        raise UsageError("--drive-as names one drive of the equation twice")
    found = {drive: source for source, drive in drive_as.items()}
    found |= {name: name for name in wanted if name not in found and name in there and name not in found.values()}
    left = [name for name in wanted if name not in found]
    unused = [name for name in measured.channels.drive_names if name not in found.values()]
    if left and len(left) == len(unused):
        found |= dict(zip(left, unused, strict=True))
        left, unused = [], []
    if left:
        raise UsageError(
            f"{system.name} is driven by {_list(wanted)}, and nothing says what {_list(left)} was: --drive-as CHANNEL=DRIVE, "
            f"with one of {_list(there)}"
        )
    told = [
        f"{name} was driven, but {system.name} takes no notice of it: it counts as if it had been constant"
        for name in unused
    ]
    return {name: found[name] for name in wanted}, told


def _unit_remarks(system: System, wired: Wired, wishes: Wishes, measured: Measured) -> list[str]:
    """Nothing is ever converted, so what is counted in another unit is said."""
    told = []
    units = {quantity.name: quantity.unit for quantity in system.flat_outputs}
    for name, unit, output in zip(wired.channels, wired.units, wired.outputs, strict=True):
        if unit and units[output] and unit != units[output] and name not in wishes.gains:
            told.append(
                f"{name} is in {unit} and {output} in {units[output]}: 1 {unit} is taken for 1 {units[output]}; --gain "
                f"{name}=NUMBER says how many {unit} one {units[output]} gives"
            )
    for quantity in system.drives:
        unit = measured.drive_unit(wired.drives[quantity.name])
        if unit and quantity.unit and unit != quantity.unit:
            source = wired.drives[quantity.name]
            told.append(
                f"{source} is in {unit} and {quantity.name} in {quantity.unit}: 1 {unit} is taken for 1 {quantity.unit}"
            )
    return told


def _scaled(output: str, gain: float, offset: float) -> str:
    scaled = output if gain == 1.0 else f"{gain:g} · {output}"
    return scaled if offset == 0.0 else f"{scaled} {'+' if offset > 0 else '-'} {abs(offset):g}"


def _list(names: Sequence[str]) -> str:
    shown = list(names)[:12]
    return (", ".join(shown) + (f" and {len(names) - 12} more" if len(names) > 12 else "")) or "none"
