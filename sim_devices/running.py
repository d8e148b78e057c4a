"""A bench file made real: physics, front ends and lines together, and a thread to run them in for tests."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sim_devices.bench import Bench, Port
from sim_devices.bench_file import BenchSpec, InstrumentSpec, load_bench, split_end
from sim_devices.faults import FaultyLine
from sim_devices.instruments.keithley_2400 import Keithley2400
from sim_devices.instruments.keysight_33522b import Keysight33522B
from sim_devices.instruments.keysight_dsox1204g import KeysightDSOX1204G
from sim_devices.instruments.keysight_l4532a import KeysightL4532A
from sim_devices.instruments.simfluidics_sf2 import SimFluidicsSF2
from sim_devices.instruments.simoptics_so2c import SimOpticsSO2C
from sim_devices.scpi import ScpiError, ScpiInstrument
from sim_devices.servers import PtyServer, TcpServer

_IDENTITIES = {
    "keysight_33522b": "Keysight Technologies,33522B,{},5.03-3.15-2.00-58-00",
    "keysight_l4532a": "Agilent Technologies,L4532A,{},1.11-1.07-0.01",
    "keysight_dsox1204g": "KEYSIGHT TECHNOLOGIES,DSO-X 1204G,{},02.11.2019111333",
    "keithley_2400": "KEITHLEY INSTRUMENTS INC.,MODEL 2400,{},C34 Sep 21 2016 15:30:00/A02  /K/M",
    "simoptics_so2c": "SimOptics,SO-2C,{},1.0",
    "simfluidics_sf2": "SimFluidics,SF-2,{},1.0",
}
_RECORDERS: Mapping[str, type[KeysightL4532A | KeysightDSOX1204G]] = {
    "keysight_l4532a": KeysightL4532A,
    "keysight_dsox1204g": KeysightDSOX1204G,
}


@dataclass(frozen=True, slots=True)
class Served:
    """An instrument and where it can be reached."""

    instrument: ScpiInstrument
    server: TcpServer | PtyServer


class RunningBench:
    """A bench whose instruments listen.

    Args:
        spec: what the bench file says.
    """

    def __init__(self, spec: BenchSpec) -> None:
        self.spec = spec
        self.bench = Bench(spec.devices, seed=spec.seed, idle_limit_s=spec.idle_limit_s, settle_s=spec.settle_s)
        self.served: dict[str, Served] = {}

    async def start(self) -> None:
        """Open every line; OSError when one cannot be opened."""
        for index, (name, spec) in enumerate(self.spec.instruments.items()):
            line = FaultyLine(spec.faults)
            instrument = self._front_end(name, spec, index=len(self.spec.devices) + index, line=line)
            server: TcpServer | PtyServer
            if spec.transport == "tcp":
                server = TcpServer(instrument=instrument, line=line, latency_s=spec.latency_s, port=spec.port)
            else:
                server = PtyServer(instrument=instrument, line=line, latency_s=spec.latency_s, link=spec.link)
            try:
                await server.start()
            except OSError as error:
                raise OSError(f"[instruments.{name}] cannot listen: {error}") from error
            self.served[name] = Served(instrument, server)
        for device in self.spec.devices:
            self.bench.report_remarks(device, [_reporter(one.instrument) for one in self._seeing(device)])

    def _seeing(self, device: str) -> list[Served]:
        """The instruments that see a device."""
        ends = {
            name: [*spec.inputs.values(), spec.sense, f"{spec.sees}."] for name, spec in self.spec.instruments.items()
        }
        return [self.served[name] for name, seen in ends.items() if any(end.startswith(f"{device}.") for end in seen)]

    def _front_end(self, name: str, spec: InstrumentSpec, *, index: int, line: FaultyLine) -> ScpiInstrument:
        identity = _IDENTITIES[spec.model].format(spec.serial)
        if spec.model == "keysight_33522b":
            outputs = {int(channel): self._end(end, "ports") for channel, end in spec.outputs.items()}
            return Keysight33522B(name=name, identity=identity, bench=self.bench, outputs=outputs)
        if spec.model == "simfluidics_sf2":
            outputs = {int(channel): self._end(end, "ports") for channel, end in spec.outputs.items()}
            return SimFluidicsSF2(name=name, identity=identity, bench=self.bench, outputs=outputs)
        if spec.model == "simoptics_so2c":
            return SimOpticsSO2C(
                name=name,
                identity=identity,
                bench=self.bench,
                device=spec.sees,
                optics=spec.optics,
                line=line,
                index=index,
            )
        recorder = _RECORDERS.get(spec.model)
        if recorder is not None:
            inputs = {int(channel): self._end(end, "observables") for channel, end in spec.inputs.items()}
            digitiser = recorder(
                name=name, identity=identity, bench=self.bench, inputs=inputs, noise_V=spec.noise_V, index=index
            )
            if spec.trigger:
                self.bench.listen(spec.trigger, digitiser)
            return digitiser
        return Keithley2400(
            name=name, identity=identity, bench=self.bench, load_ohm=spec.load_ohm, index=index,
            output=self._end(spec.output, "ports") if spec.output else None,
            sense=self._end(spec.sense, "observables") if spec.sense else None,
            noise_A=spec.noise_A, noise_V=spec.noise_V,
        )  # fmt: skip

    def _end(self, end: str, kind: str) -> Port:
        return split_end(end, self.spec.devices, kind, "the bench")

    def addresses(self) -> dict[str, str]:
        """VISA resource name of each instrument."""
        return {name: served.server.address for name, served in self.served.items()}

    def announcement(self, *, pid: int) -> Mapping[str, object]:
        """What the command line prints: bench, process, and address and identity of every instrument."""
        instruments = {
            name: {"address": served.server.address, "identity": served.instrument.identity}
            for name, served in self.served.items()
        }
        return {"bench": self.spec.name, "simulated": True, "pid": pid, "instruments": instruments}

    async def close(self) -> None:
        """Hang up on everybody and stop the physics."""
        for served in self.served.values():
            await served.server.close()
        await asyncio.get_running_loop().run_in_executor(None, self.bench.close)


def _reporter(instrument: ScpiInstrument) -> Callable[[str], None]:
    """What puts a remark into the error queue of an instrument."""
    return lambda remark: instrument.report(ScpiError(-222, detail=remark))


class BenchThread:
    """A bench in a thread of this process, for tests and notebooks: `with BenchThread(path) as bench: bench.addresses`."""

    def __init__(self, spec: BenchSpec | Path) -> None:
        self._spec = load_bench(spec) if isinstance(spec, Path) else spec
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sim_devices", daemon=True)
        self.running = RunningBench(self._spec)
        self.addresses: dict[str, str] = {}

    def __enter__(self) -> "BenchThread":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.running.start(), self._loop).result(timeout=10)
        self.addresses = self.running.addresses()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _stop(self) -> None:
        await self.running.close()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
