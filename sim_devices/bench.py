"""The running bench: devices, their ports, trigger lines, and the one worker thread on which all physics is computed."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from sim_devices.physics import Device, Remarking
from sim_devices.plays import Play, Record, step_rate
from sim_devices.signals import Burst, Signal
from sim_devices.wired_device import DevicePlay, WiredDevice


class TriggeredInstrument(Protocol):
    """An instrument that listens to a trigger line."""

    def on_trigger(self, play_number: int) -> Record | None:
        """The record that a trigger starts; None when the instrument does not wait for one."""
        ...

    def on_record_end(self, record: Record) -> None:
        """The record is full or aborted (called on the event loop)."""
        ...


Port = tuple[str, str]
Result = TypeVar("Result")
_CHANGES_KEPT = 10_000


class Bench:
    """Devices by name and everything that acts on them.

    All physics runs on one worker thread, in the order of the commands; front ends live on the event loop and never wait for it.

    Args:
        devices: the physics, by name.
        seed: keys every random stream.
        idle_limit_s: longest time between two stepped commands that is simulated.
        settle_s: how long a changed set-point acts before a play.
    """

    def __init__(
        self, devices: Mapping[str, Device], *, seed: int, idle_limit_s: float = 0.2, settle_s: float = 0.02
    ) -> None:
        now_s = time.monotonic()
        self.seed = seed
        self.devices = {
            name: WiredDevice(
                name=name, device=device, index=index, seed=seed,
                idle_limit_s=idle_limit_s, settle_s=settle_s, now_s=now_s,
            )
            for index, (name, device) in enumerate(devices.items())
        }  # fmt: skip
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="physics")
        self._listeners: dict[str, list[TriggeredInstrument]] = {}
        self._play_count = 0
        self._change_count = 0
        self._closing = threading.Event()

    def listen(self, line: str, instrument: TriggeredInstrument) -> None:
        """Connect an instrument to the trigger line of another."""
        self._listeners.setdefault(line, []).append(instrument)

    def report_remarks(self, device: str, reports: list[Callable[[str], None]]) -> None:
        """What the device remarks goes to the log and, where it wants that, to these (on the event loop that runs now)."""
        wired, loop = self.devices[device], asyncio.get_running_loop()
        errors = isinstance(wired.device, Remarking) and wired.device.remarks_are_errors

        def tell(remark: str) -> None:
            text = f"{device}: {remark}"
            logging.getLogger("sim_devices").warning(text)
            for report in reports if errors and not loop.is_closed() else []:
                loop.call_soon_threadsafe(report, text)

        wired.tell = tell

    def change(self, port: Port, signal: Signal) -> None:
        """A port gets another signal now."""
        device = self.devices[port[0]]
        device.change(port[1], signal, now_s=time.monotonic())
        self._change_count += 1
        if self._change_count % _CHANGES_KEPT == 0:  # nobody looks for a long time: do not remember for ever
            self._worker.submit(lambda: device.observe(now_s=time.monotonic()))

    async def observe(self, device: str, observable: str) -> float:
        """An observable now, after the device has caught up with the wall clock (V)."""
        loop = asyncio.get_running_loop()
        seen = await loop.run_in_executor(self._worker, lambda: self.devices[device].observe(now_s=time.monotonic()))
        return seen[observable]

    def trigger(self, line: str, bursts: Mapping[Port, Burst], *, fires: bool) -> Play:
        """Start bursts, and with them every instrument that waits on the line.

        Args:
            line: name of the generator.
            bursts: by port.
            fires: whether the generator's trigger output is on.

        Returns:
            The play; its event `done` is set when it is over.
        """
        self._play_count += 1
        listeners = self._listeners.get(line, []) if fires else []
        for listener in listeners:
            record = listener.on_trigger(self._play_count)
            if record is not None:
                return self._start(bursts, record, listener)
        return self._start(bursts, None, None)

    def acquire(self, instrument: TriggeredInstrument) -> None:
        """A digitiser starts by itself: everything it sees catches up with the wall clock first."""
        self._play_count += 1
        record = instrument.on_trigger(self._play_count)
        if record is not None:
            self._start({}, record, instrument)

    async def compute(self, device: str) -> None:
        """Compute what was put off for a device."""
        await asyncio.get_running_loop().run_in_executor(self._worker, self.devices[device].run_deferred)

    async def work(self, job: Callable[[], Result]) -> Result:
        """Do something with the devices, in its turn, on the worker; what comes of it."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, job)

    def next_play(self) -> int:
        """The number of a play that begins now; it keys the random streams."""
        self._play_count += 1
        return self._play_count

    def close(self) -> None:
        """Stop the worker; a play that runs ends at its next chunk."""
        self._closing.set()
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _start(self, bursts: Mapping[Port, Burst], record: Record | None, listener: TriggeredInstrument | None) -> Play:
        recorded = {entry.device for entry in record.inputs.values()} if record else set()
        driven = {device for device, _ in bursts}
        fewest = max((self.devices[name].device.steps_per_s for name in driven | recorded), default=1.0)
        rates = [burst.rate_Hz for burst in bursts.values()] + ([record.rate_Hz] if record else [])
        rate_Hz, now_s = step_rate(rates, fewest), time.monotonic()
        levels = {
            (name, port): level
            for name in driven | recorded
            for port, level in self.devices[name].levels(now_s=now_s, rate_Hz=rate_Hz).items()
        }
        play = Play(self._play_count, rate_Hz, bursts, levels, record)
        active, passive = (driven, recorded - driven) if driven else (recorded, set())
        computing = self._worker.submit(self._run, play, sorted(active), sorted(passive), now_s)
        loop = asyncio.get_running_loop()

        def ended(future: Future[None]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._end, play, listener, future)

        computing.add_done_callback(ended)
        return play

    def _end(self, play: Play, listener: TriggeredInstrument | None, computed: Future[None]) -> None:
        """On the loop: first the generator is free again, then the digitiser says that it is done."""
        if not computed.cancelled() and (error := computed.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "the physics failed", "exception": error})
        play.done.set()
        if listener is not None and play.record is not None:
            listener.on_record_end(play.record)

    def _run(self, play: Play, active: list[str], passive: list[str], now_s: float) -> None:
        """On the worker: the whole play, chunk by chunk."""
        for name in active + passive:
            if play.bursts:
                self.devices[name].begin(play, now_s=now_s)
            else:
                self.devices[name].observe(now_s=now_s)
        for name in passive:
            self.devices[name].defer(play)
        runners = [DevicePlay(self.devices[name], play) for name in active]
        while runners and not self._closing.is_set():
            runners = [runner for runner in runners if runner.advance()]
        for name in active:
            self.devices[name].finish(now_s=time.monotonic())
