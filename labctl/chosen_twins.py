"""Which of the twins that there are a network takes for each of its devices, unless a person says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from labctl.station import Station
from labctl.twin_cards import TwinCard


def device_of_twin(card: TwinCard, station: Station | None = None) -> str:
    """The device that a twin is of: as its file says, the station's of the same drives, or as the file is called; "" for a
    twin that cannot be used."""
    if card.problem or not card.drives:
        return ""
    devices = {} if station is None else station.devices
    alike = [name for name, one in devices.items() if tuple(one.drive) == card.drives]
    return card.device or (alike[0] if alike else card.path.stem)


def best_twins(
    cards: Sequence[TwinCard], station: Station | None = None, *, asked: Sequence[Path] = ()
) -> Mapping[str, TwinCard]:
    """device -> its twin: one that was asked for, else the newest that passed its gates. Only where there is neither, of
    any device, the newest of each: a failed twin comes into no network beside good ones unless a person wants it.

    cards: the newest first, as twins_below has them.
    """
    good = [*(card for card in cards if card.path in asked), *(card for card in cards if card.passed)]
    best: dict[str, TwinCard] = {}
    for card in good or cards:
        device = device_of_twin(card, station)
        if device:
            best.setdefault(device, card)
    return best


def doubts(devices: Sequence[str], chosen: Mapping[str, TwinCard]) -> list[str]:
    """In words, why what is optimised on these twins will not be applied unasked: those that did not pass their gates."""
    told = []
    for device in devices:
        card = chosen.get(device)
        if card is not None and not card.passed:
            why = {"failed": "failed its gates", "not judged": "was never judged"}.get(card.verdict, "is damaged")
            told.append(f"the twin of {device} {why}: record more or fit longer, or take its nodes out")
    return told
