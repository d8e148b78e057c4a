"""A device on the bench: its state moves on when a play runs or when somebody looks, on the bench's worker thread."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sim_devices.physics import Device, Remarking
from sim_devices.plays import CHUNK_STEPS, Play
from sim_devices.signals import Level, Signal

_PROCESS, _SETTLE, _IDLE, _FILM = 0, 1, 2, 4  # kinds of random streams of a device
_HELD_CHANGES = 64  # so many of the newest changes act for settle_s before a play


@dataclass(frozen=True, slots=True)
class Change:
    """A port got another signal at a moment of the wall clock."""

    at_s: float
    port: str
    signal: Signal


class WiredDevice:
    """A device, the signals at its ports, and its random streams.

    Stepped use is lazy and in real time: changes of set-points are only written down, and the device catches up with the
    wall clock when it is observed, each interval cut to `idle_limit_s`. A play does not look at the clock: before it every
    change is held for `settle_s`, so that what a play answers depends on the commands and the seed alone.

    Args:
        name: name on the bench.
        device: the physics.
        index: its number on the bench; with the seed it keys the random streams.
        seed: the bench's seed.
        idle_limit_s: longest time between two stepped commands that is simulated.
        settle_s: how long a changed set-point acts before a play.
        now_s: the wall clock.
    """

    def __init__(
        self, *, name: str, device: Device, index: int, seed: int, idle_limit_s: float, settle_s: float, now_s: float
    ) -> None:
        self.name = name
        self.device = device
        self.signals: dict[str, Signal] = {port: Level() for port in device.ports}
        self._since_s = dict.fromkeys(device.ports, now_s)
        self._commanded = {
            port: Change(now_s, port, Level()) for port in device.ports
        }  # ahead of what the worker has applied
        self._changes: deque[Change] = deque()
        self._key = (seed, index)
        self._idle_generator = np.random.default_rng([*self._key, _IDLE])
        self._idle_limit_s = idle_limit_s
        self._settle_s = settle_s
        self._last_s = now_s
        self._deferred: Play | None = None
        self._rate_Hz = math.ceil(device.steps_per_s)
        self.tell: Callable[[str], None] | None = None  # where the device's remarks go; called on the worker

    def change(self, port: str, signal: Signal, *, now_s: float) -> None:
        """Write down that a port gets another signal (event loop)."""
        self._commanded[port] = Change(now_s, port, signal)
        self._changes.append(self._commanded[port])

    def observe(self, *, now_s: float) -> dict[str, float]:
        """Catch up with the wall clock; the observables then (V)."""
        self.run_deferred()
        while self._changes and self._changes[0].at_s <= now_s:
            change = self._changes.popleft()
            self._idle(change.at_s - self._last_s, self._idle_generator)
            self._last_s = max(self._last_s, change.at_s)
            self._apply(change)
        if isinstance(self.device, Remarking):
            self.device.forget_remarks()  # ports on their way are nobody's business, but where they now are is
        self._idle(now_s - self._last_s, self._idle_generator)
        self._last_s = now_s
        self.tell_remarks()
        return self.device.observe()

    def tell_remarks(self) -> None:
        """Pass on what the device has to say."""
        if isinstance(self.device, Remarking):
            for remark in self.device.take_remarks():
                if self.tell is not None:
                    self.tell(remark)

    def begin(self, play: Play, *, now_s: float) -> None:
        """Bring the device to the trigger of a play, without looking at the clock."""
        self.run_deferred()
        if not self._changes:
            return
        generator = np.random.default_rng([*self._key, _SETTLE, play.number])
        while self._changes and self._changes[0].at_s <= now_s:
            self._apply(self._changes.popleft())
            if len(self._changes) < _HELD_CHANGES:  # the older ones of a long ramp leave no trace
                self._idle(self._settle_s, generator, from_start=True)
        self._last_s = now_s

    def run(self, duration_s: float, *, generator: np.random.Generator, now_s: float) -> None:
        """Move on by a time of its own choice, as while a camera takes its frames; what was set until now acts from now."""
        self.run_deferred()
        while self._changes and self._changes[0].at_s <= now_s:
            self._apply(self._changes.popleft())
        steps = math.ceil(duration_s * self.device.steps_per_s - 1e-9)
        if steps:
            first = {port: int((self._last_s - since) * self._rate_Hz) for port, since in self._since_s.items()}
            ports = {
                port: signal.voltages(max(first[port], 0), steps, self._rate_Hz)
                for port, signal in self.signals.items()
            }
            self.device.advance(ports, step_s=duration_s / steps, generator=generator)
        self._last_s = now_s

    def film_generator(self, acquisition: int) -> np.random.Generator:
        """The noise of this device while it is filmed: from seed and the number of the acquisition only."""
        return np.random.default_rng([*self._key, _FILM, acquisition])

    def levels(self, *, now_s: float, rate_Hz: int) -> dict[str, tuple[Signal, int]]:
        """Signal of each port as last commanded, and the steps since it began (event loop)."""
        return {port: (change.signal, int((now_s - change.at_s) * rate_Hz)) for port, change in self._commanded.items()}

    def defer(self, play: Play) -> None:
        """Remember a play that does not drive this device: it is computed only when its record is wanted."""
        self._deferred = play

    def run_deferred(self) -> None:
        """Compute what was put off, unless nobody can ask for it any more."""
        play, self._deferred = self._deferred, None
        if play is not None and play.record is not None and not play.record.discarded:
            runner = DevicePlay(self, play)
            while runner.advance():
                pass

    def process_generator(self, play: Play) -> np.random.Generator:
        """The noise of this device in one play: from seed and play number only."""
        return np.random.default_rng([*self._key, _PROCESS, play.number])

    def finish(self, *, now_s: float) -> None:
        """A play has ended: from here on the wall clock counts again."""
        self._last_s = now_s

    def _apply(self, change: Change) -> None:
        self.signals[change.port] = change.signal
        self._since_s[change.port] = change.at_s

    def _idle(self, duration_s: float, generator: np.random.Generator, *, from_start: bool = False) -> None:
        """Move on without a play; `from_start` has repeating signals begin anew instead of where the clock puts them.

        By whole steps, and by the clock also by the rest of a step: a slow device that is looked at often would lose time.
        """
        steps = min(duration_s, self._idle_limit_s) * self._rate_Hz
        left = int(steps)
        now_s = dict(self._since_s) if from_start else dict.fromkeys(self._since_s, self._last_s)
        first = {port: int((now_s[port] - since) * self._rate_Hz) for port, since in self._since_s.items()}
        done = 0
        while done < left:
            count = min(CHUNK_STEPS, left - done)
            ports = {
                port: signal.voltages(max(first[port], 0) + done, count, self._rate_Hz)
                for port, signal in self.signals.items()
            }
            self.device.advance(ports, step_s=1.0 / self._rate_Hz, generator=generator)
            done += count
        rest = steps - left
        if not from_start and rest > 0.0:
            ports = {
                port: signal.voltages(max(first[port], 0) + left, 1, self._rate_Hz)
                for port, signal in self.signals.items()
            }
            self.device.advance(ports, step_s=rest / self._rate_Hz, generator=generator)


class DevicePlay:
    """One device's part in a play, chunk by chunk."""

    def __init__(self, wired: WiredDevice, play: Play) -> None:
        self._wired = wired
        self._play = play
        self._generator = wired.process_generator(play)
        self._at = play.first_step
        if isinstance(wired.device, Remarking) and any(name == wired.name for name, _ in play.bursts):
            wired.device.begin_play(self._generator)
        self._seen = wired.device.observe()
        # a record that begins and ends at the very first boundary needs no step
        play.take(wired.name, self._at, self._seen, {name: np.empty(0) for name in self._seen})

    def advance(self) -> bool:
        """Compute one chunk; False when the play is over for this device."""
        play, wired = self._play, self._wired
        count = min(CHUNK_STEPS, play.last_step() - self._at)
        if count <= 0:
            return False
        ports = play.voltages(wired.name, wired.device.ports, self._at, count)
        after = wired.device.advance(ports, step_s=1.0 / play.step_rate_Hz, generator=self._generator)
        wired.tell_remarks()  # before its samples are there: who fetches them must find the remark too
        play.take(wired.name, self._at, self._seen, after)
        self._seen = {name: float(values[-1]) for name, values in after.items()}
        self._at += count
        return True
