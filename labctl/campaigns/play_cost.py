"""What playing a network will take of the device's time, before it is played: a budget must never be overrun."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labctl.bench import Bench
from labctl.bench.plan import MEMORY_WORD, make_plan
from labctl.excitation import Excitation
from labctl.network_bench import rounds

if TYPE_CHECKING:
    from twins.network.wiring import Wiring


def network_seconds(bench: Bench, wiring: Wiring, *, n_trials: int, n_steps: int) -> float:
    """The most device time (s) that `play_network` takes for so many trials of so many steps, preparations included.

    An upper bound, too high by less than one word of the instruments' memory (16 samples) a trial: how many trials are
    joined to one play is the instruments' affair. Raises what the bench raises for devices that it cannot play.
    """
    n_samples = n_steps * wiring.samples_per_step
    if wiring.recurrent:  # all nodes at once, sample by sample
        devices = tuple(device for layer in wiring.layers for device in layer.devices)
        return n_trials * _samples_of_a_trial(bench, devices, n_samples, wiring.dt_s, stepped=True) * wiring.dt_s
    seconds = 0.0
    for layer in wiring.layers:
        for nodes in rounds(layer, bench.play_group):
            stepped = any(bench.way_of(device) != "buffered" for device in nodes)
            played = _samples_of_a_trial(bench, tuple(nodes), n_samples, wiring.dt_s, stepped=stepped)
            seconds += n_trials * (played + MEMORY_WORD) * wiring.dt_s
    return seconds


def _samples_of_a_trial(bench: Bench, devices: tuple[str, ...], n_samples: int, dt_s: float, *, stepped: bool) -> int:
    """With the preparation that these devices need together."""
    station = bench.station
    names = [name for device in devices for name in station.device(device).drive]
    at_rest = {name: np.full((1, n_samples), station.channel(name).rest) for name in names}
    excitation = Excitation.from_channels(at_rest, dt_s=dt_s)
    return make_plan(station, excitation, mode="stepped" if stepped else "buffered", prepare=True).n_samples
