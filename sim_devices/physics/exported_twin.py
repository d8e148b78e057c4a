"""A device that was measured: its fitted twin, exported to plain arrays (twins/export.py) and advanced with NumPy.

[devices.leaky]
kind = "exported_twin"
path = "leaky.exported.json"      # beside the bench file, or absolute
start = 0                         # which of the measured starts it is switched on in
trial_s = 0.0                     # a trial's offset lasts this long; 0: one a play (only twins with a drift over trials)
outside_range = "error"           # or "log": what happens where a port leaves the fitted range
hold = { bath_temperature = 4.2 } # conditions that no instrument drives

Ports are the drive channels, the conditions, and the conditions that were the same in all recordings; observables are
the response channels. One volt at a port is one volt of the channel (mV, kV … are converted; 1 unit of anything else).

Time. The twin is a map from one sample to the next, dt_s apart. steps_per_s is 1 / dt_s. In a play the twin's sample
begins at the trigger; at its own sampling time every step is a step of the twin, with exactly the numbers played. With
shorter internal steps the twin sees the MEAN of a port over each of its samples, and the response HOLDS its last sample
until the next is complete (it is not interpolated: what comes next is not known yet). A play slower than the twin holds
its port over several steps of the twin.

Range. Beyond what the twin was fitted on the device extrapolates, never clips. It remarks on it, once a port and play:
"error" puts the remark into the error queue of every instrument that sees the device (-222), so that a recording fails;
"log" only writes it to the simulator's log.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sim_devices.physics.device import Array
from sim_devices.physics.twin_clock import TwinClock
from sim_devices.physics.twin_file import TwinFile, read_twin_file
from sim_devices.physics.twin_step import TwinStep, n_observation_noise

_PREFIXES = {"pV": 1e-12, "nV": 1e-9, "uV": 1e-6, "mV": 1e-3, "kV": 1e3, "MV": 1e6, "GV": 1e9}
_SLACK = 0.01  # of a range's width: as the twin itself counts
_SAME = 0.02  # relative: measured values of a held condition scatter


@dataclass(slots=True, kw_only=True)
class ExportedTwin:
    """State and parameters of one measured device; see the top of this file."""

    path: str
    start: int = 0
    trial_s: float = 0.0
    outside_range: str = "error"
    hold: dict[str, float] = field(default_factory=dict)
    _file: TwinFile = field(init=False, repr=False)
    _step: TwinStep = field(init=False, repr=False)
    _clock: TwinClock = field(init=False, repr=False)
    _seen: Array = field(init=False, repr=False)
    _driven: Array = field(init=False, repr=False)
    _auxiliaries: Array = field(init=False, repr=False)
    _offset: Array = field(init=False, repr=False)
    _shown: Array = field(init=False, repr=False)
    _trial_steps: int = field(init=False, repr=False, default=0)
    _remarked: set[str] = field(init=False, repr=False, default_factory=set)
    _remarks: list[str] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        if self.outside_range not in ("error", "log"):
            raise ValueError(f'outside_range must be "error" or "log", not {self.outside_range!r}')
        if not 0.0 <= self.trial_s < float("inf"):
            raise ValueError(f"trial_s must not be negative, not {self.trial_s}")
        self._file = read_twin_file(Path(self.path))
        spec, arrays = self._file.spec, self._file.arrays
        unknown = sorted(set(self.hold) - {*spec.condition_names, *self._file.held})
        if unknown:
            raise ValueError(f"hold names {', '.join(unknown)}, which are no conditions of {self.path}")
        if not 0 <= self.start < len(arrays["start_response"]):
            raise ValueError(f"start must lie in 0..{len(arrays['start_response']) - 1}, not {self.start}")
        self._step = TwinStep(self._file)
        self._clock = TwinClock(len(spec.drive_names) + len(spec.condition_names))
        self._seen = _normalised(arrays["start_response"][self.start], self._file, "response")
        self._driven = _normalised(arrays["start_drive"][self.start], self._file, "drive")
        self._auxiliaries = arrays["start_auxiliaries"][self.start].copy()
        self._offset = np.zeros(len(spec.response_names))
        self._shown = self._seen[0]

    @property
    def ports(self) -> tuple[str, ...]:
        """Drive channels, then the conditions that are not held here."""
        spec = self._file.spec
        conditions = dict.fromkeys((*spec.condition_names, *self._file.held))
        return (*spec.drive_names, *(name for name in conditions if name not in self.hold))

    @property
    def observables(self) -> tuple[str, ...]:
        """The response channels."""
        return self._file.spec.response_names

    @property
    def steps_per_s(self) -> float:
        """One step a sample of the twin; a rounding error less, or a play at just that rate would take two."""
        return (1.0 - 1e-12) / self._file.spec.dt_s

    @property
    def remarks_are_errors(self) -> bool:
        """Whether instruments report the remarks as errors."""
        return self.outside_range == "error"

    def observe(self) -> dict[str, float]:
        """The last sample, as an instrument sees it: with measurement noise and the trial's offset (V)."""
        return {name: float(volts) for name, volts in zip(self.observables, self._volts(self._shown), strict=True)}

    def begin_play(self, generator: np.random.Generator) -> None:
        """The device is about to be driven: its sample begins now, and so does a trial."""
        self._clock.restart()
        self._trial_steps = 0
        self.forget_remarks()
        if self._file.spec.trial_drift:
            self._next_offset(generator.standard_normal(self._offset.size))

    def advance(self, ports: Mapping[str, Array], *, step_s: float, generator: np.random.Generator) -> dict[str, Array]:
        """As Device says. The draws of a step of the twin: process noise, measurement noise, the next trial's offset."""
        spec = self._file.spec
        self._look_at(ports)
        count = len(ports[self.ports[0]])
        inputs = np.empty((count, len(spec.drive_names) + len(spec.condition_names)))
        for column, name in enumerate((*spec.drive_names, *spec.condition_names)):
            inputs[:, column] = self.hold[name] if name in self.hold else ports[name] / self._volts_per_unit(name)
        means, done = self._clock.advance(inputs, step_s / spec.dt_s)
        samples = self._samples(means, generator)
        shown = self._volts(np.concatenate((self._shown[None], samples))[done])
        if len(samples):
            self._shown = samples[-1]
        return {name: shown[:, column].copy() for column, name in enumerate(spec.response_names)}

    def forget_remarks(self) -> None:
        """What happened until now is of no interest."""
        self._remarks.clear()
        self._remarked.clear()

    def take_remarks(self) -> list[str]:
        """What there is to say since the last time, and it is then forgotten."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def _samples(self, means: Array, generator: np.random.Generator) -> Array:
        """What is seen at the end of each step of the twin, (step, response), normalised; inputs in their own units."""
        spec, arrays, n = self._file.spec, self._file.arrays, self._offset.size
        m, n_own, n_trial = len(spec.drive_names), n * spec.observation, n * spec.trial_drift
        n_seen = n_observation_noise(spec)
        draws = generator.standard_normal((len(means), spec.n_noise + n_seen + n_trial))
        process, measured = draws[:, : spec.n_noise], draws[:, spec.n_noise : spec.n_noise + n_seen]
        drive = _normalised(means[:, :m], self._file, "drive")
        conditions = _normalised(means[:, m:], self._file, "condition")
        states = np.empty((len(means), n))
        offsets = np.empty((len(means), n))
        trial_steps = round(self.trial_s / spec.dt_s)
        for k in range(len(means)):
            if n_trial and trial_steps and self._trial_steps >= trial_steps:
                self._next_offset(draws[k, -n_trial:])
                self._trial_steps = 0
            self._trial_steps += 1
            driven = np.concatenate((drive[k], self._driven.ravel(), conditions[k]))
            x, self._auxiliaries = self._step(self._seen, driven, self._auxiliaries, process[k])
            self._seen = np.concatenate((x[None], self._seen[:-1]))
            self._driven = np.concatenate((drive[k : k + 1], self._driven))[: spec.drive_delays]
            states[k], offsets[k] = x, self._offset
        if n_own:
            states = states + measured[:, :n_own] * arrays["observation_std"]
            states = states + measured[:, n_own:] @ arrays["observation_patterns"].T
        return states + offsets

    def _next_offset(self, normals: Array) -> None:
        """The offset of the next trial: an AR(1) sequence, stationary from the first on."""
        correlation = float(self._file.arrays["trial_correlation"]) if self._offset.any() else 0.0
        fresh = self._file.arrays["trial_offsets"] @ normals
        self._offset = correlation * self._offset + np.sqrt(1.0 - correlation**2) * fresh

    def _volts(self, normalised: Array) -> Array:
        arrays = self._file.arrays
        factors = np.array([_PREFIXES.get(unit, 1.0) for unit in self._file.spec.response_units])
        volts: Array = (normalised * arrays["response_scale"] + arrays["response_centre"]) * factors
        return volts

    def _volts_per_unit(self, port: str) -> float:
        spec = self._file.spec
        units = self._file.condition_units | dict(zip(spec.drive_names, spec.drive_units, strict=True))
        return _PREFIXES.get(units.get(port, "V"), 1.0)

    def _look_at(self, ports: Mapping[str, Array]) -> None:
        """Remark on ports beyond the fitted range; one that is back inside may be remarked on again."""
        spec, arrays = self._file.spec, self._file.arrays
        limits = dict(zip(spec.drive_names, arrays["drive_range"], strict=True))
        limits |= dict(zip(spec.condition_names, arrays["condition_range"], strict=True))
        for name in self.ports:
            values = ports[name] / self._volts_per_unit(name)
            if not values.size:
                continue
            low, high = limits.get(name, (self._file.held.get(name, 0.0),) * 2)
            slack = _SLACK * (high - low) if name in limits else _SAME * abs(high)
            slack += 1e-6 * max(abs(low), abs(high)) + 1e-9
            worst = values[np.argmax(np.maximum(low - values, values - high))]
            if low - slack <= worst <= high + slack:
                continue
            if name not in self._remarked:
                self._remarked.add(name)
                self._remarks.append(
                    f"{name} went to {worst:.6g}, beyond {low:.6g}..{high:.6g}, where the twin was fitted: extrapolated"
                )


def _normalised(values: Array, file: TwinFile, side: str) -> Array:
    normalised: Array = (values - file.arrays[f"{side}_centre"]) / file.arrays[f"{side}_scale"]
    return normalised
