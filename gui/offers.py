"""The campaigns that the window offers for a bench. Others are given to `MainWindow` the same way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labctl.bench import Bench
from labctl.campaign import Campaign


@dataclass(frozen=True, slots=True)
class Offer:
    """A campaign to choose: `make(bench, folder, seed)` builds it, in a worker thread, when it is started."""

    title: str
    explanation: str
    make: Callable[[Bench, Path, int], Campaign[Any]]
    pause: threading.Event | None = None
    """Set while it shall rest."""


Offers = Callable[[Bench], Sequence[Offer]]


def offers_of(bench: Bench) -> Sequence[Offer]:
    """The closed loop, and the characterisation of each device that has one drive channel."""
    loop = Offer(
        "Close the loop",
        "Characterise the devices, fit a twin to each, optimise networks of them, apply these to the bench and measure",
        _close_the_loop,
    )
    single = [
        Offer(f"Characterise {name}", f"Record how {name} answers designed excitations", _characterise(name))
        for name, device in bench.station.devices.items()
        if len(device.drive) == 1
    ]
    return (loop, *single)


def _close_the_loop(bench: Bench, folder: Path, seed: int) -> Campaign[Any]:
    from labctl.campaigns.reported_loop import close_the_loop_and_report
    from labctl.demo import loop_settings_of

    return close_the_loop_and_report(bench, folder=folder, seed=seed, settings=loop_settings_of(bench.station))


def _characterise(device: str) -> Callable[[Bench, Path, int], Campaign[Any]]:
    def make(bench: Bench, folder: Path, seed: int) -> Campaign[Any]:
        from labctl.campaigns.characterise import characterise

        return characterise(bench, device, folder=folder, rng=np.random.default_rng(seed), seed=seed)

    return make


def when_started(make: Callable[[], Campaign[Any]]) -> Campaign[Any]:
    """A campaign that is built when it starts: building may load libraries, which must not hold up the window."""
    return (yield from make())
