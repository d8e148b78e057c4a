"""SimOptics SO-2C: an invented two-colour camera with its own light and frame memory. No such instrument can be bought; it
talks as many do, and everything a driver must know stands here.

It sees one device of the bench through two filters: plane 1 and 2 are the dyes of its first and second species. A pixel of
the sensor is a cell of the device's grid. Upper case is the short form, "(?)" has a query form too.

    *IDN? *RST *CLS *OPC *OPC? *WAI *ESE(?) *ESR? *SRE(?) *STB? *TST? *TRG
    SYSTem:ERRor[:NEXT]?                   -222,"Data out of range"   |   +0,"No error"   (20 entries, then -350)
    SENSor:SIZE?                           rows,columns
    SENSor:BITS?                           bits of a count; full scale is 2^bits - 1, which a saturated pixel has
    SENSor:BLACk?                          counts without light
    IMAGe:PLANes <list>(?)                 which planes, (@1), (@2) or (@1,2); after *RST both
    IMAGe:BINNing {1|2|4|8}(?)             so many pixels a side are summed before conversion
    IMAGe:REGion <left>,<top>,<width>,<height>(?)    in pixels of the sensor, multiples of the binning; after *RST all
    ACQuire:EXPosure <s>(?)                1e-5 to 100, at most the interval
    ACQuire:INTerval <s>(?)                1e-3 to 1e6, from one frame to the next
    ACQuire:COUNt <n>(?)                   frames of an acquisition, 1 to 100000
    ACQuire:NUMBer?                        how often it was armed since it was switched on: names the acquisition
    LIGHt {ON|OFF}(?)                      OFF: frames without light, for a dark reference
    FORMat:BORDer {NORMal|SWAPped}(?)      most or least significant byte first; after *RST NORMal
    ARM                                    forgets the frames in memory and waits for the trigger
    *TRG                                   frame 0 begins now, frame k so many intervals later
    ABORt                                  ends the acquisition; the frames taken stay
    FRAMe:READy?                           frames in memory by now, lost ones counted
    FRAMe:DATA? <k>                        frame k (from 0), as often as wanted until ARM: a definite block
    STATus:OPERation:CONDition?            bit 4 (16) acquiring, bit 5 (32) waiting for the trigger

A block holds a header of 56 bytes, its numbers in the byte order of FORMat:BORDer, then uint16 counts (plane, row, column):

    4 bytes "SO2C" | uint16 56, length of the header | uint16 flags: 1 lost, 2 some pixel is saturated, 4 late
    uint32 acquisition | uint32 frame | uint16 planes, rows, columns, bits | uint32 saturated pixels
    float64 seconds from the trigger to the frame's exposure | float64 exposure (s) | float64 lamp monitor, relative
    uint32 CRC-32 of the counts as sent (zlib's)

What a driver must know
- A lost frame has its header (flag 1, 0 planes) and no counts; it counts in FRAMe:READy?.
- ARM and *TRG answer nothing: look at the error queue. ARM refuses (-221) an exposure longer than the interval, a region that
  does not fit to the binning, and more than 256 MB of frames. Nothing can be set while it waits or acquires (-221).
- The simulated device lives in virtual time: an acquisition of an hour is over as soon as it is computed.
- Exposures are short beside what the device does: no blur is simulated.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable

import numpy as np

from sim_devices.bench import Bench
from sim_devices.faults import FaultyLine
from sim_devices.instruments.camera_frame import Frame
from sim_devices.instruments.camera_optics import Lamp, Optics
from sim_devices.physics import Imaged
from sim_devices.scpi import Parameters, ScpiError, ScpiInstrument, command
from sim_devices.scpi.settings import Setting, boolean, choice, number
from sim_devices.signals import Array

MEMORY_BYTES = 256_000_000
_EXPOSURE, _INTERVAL, _COUNT, _LIGHT, _ORDER = (
    "ACQuire:EXPosure", "ACQuire:INTerval", "ACQuire:COUNt", "LIGHt", "FORMat:BORDer",
)  # fmt: skip
_ACQUIRING, _WAITING = 16, 32
_NOISE, _LAMP = 5, 6  # kinds of random streams, beside those of devices and other instruments


class SimOpticsSO2C(ScpiInstrument):
    """The front end; `device` is what it looks at."""

    def __init__(
        self, *, name: str, identity: str, bench: Bench, device: str, optics: Optics, line: FaultyLine, index: int
    ) -> None:
        self.name = name
        self._bench = bench
        self._wired = bench.devices[device]
        if not isinstance(self._wired.device, Imaged):
            raise ValueError(f"{device} cannot be seen by a camera")
        self._seen: Imaged = self._wired.device
        self._optics = optics
        self._line = line
        self._key = (bench.seed, index)
        self._lamp = Lamp(optics, np.random.default_rng([*self._key, _LAMP]))
        self._acquisition = 0
        self._waiting = False
        self._filming: asyncio.Task[None] | None = None
        self._frames: list[Frame] = []
        self.reset()
        super().__init__(identity=identity, error_capacity=20)

    # Settings

    def settings(self) -> list[Setting]:
        """Those that are only kept."""
        return [
            number(_EXPOSURE, 0.02, 1e-5, 100.0),
            number(_INTERVAL, 1.0, 1e-3, 1e6),
            number(_COUNT, 1, 1, 100_000, integer=True),
            boolean(_LIGHT, default=True),
            choice(_ORDER, "NORMal", "SWAPped"),
        ]

    def check_setting(self, pattern: str) -> None:  # noqa: ARG002 - all alike
        """Nothing changes while it waits or acquires."""
        self._check_idle()

    def _check_idle(self) -> None:
        if self._waiting or self._acquiring:
            raise ScpiError(-221, detail="an acquisition is under way; ABORt ends it")

    @property
    def _acquiring(self) -> bool:
        return self._filming is not None and not self._filming.done()

    def reset(self) -> None:
        """Idle, the whole sensor, both planes, no frames."""
        self._stop()
        self._frames = []
        self._planes: tuple[int, ...] = (1, 2)
        self._binning = 1
        self._region = (0, 0, self._seen.columns, self._seen.rows)

    def update_conditions(self) -> None:
        """Acquiring, or waiting for the trigger."""
        self.status.operation.update(_ACQUIRING * self._acquiring | _WAITING * self._waiting)

    @command("SENSor:SIZE?")
    def size(self, _: Parameters) -> str:
        """Rows and columns."""
        return f"{self._seen.rows},{self._seen.columns}"

    @command("SENSor:BITS?")
    def bits(self, _: Parameters) -> int:
        """Bits of a count."""
        return self._optics.bits

    @command("SENSor:BLACk?")
    def black_level(self, _: Parameters) -> float:
        """Counts without light."""
        return self._optics.black_level

    @command("IMAGe:PLANes", parameters=1)
    def set_planes(self, parameters: Parameters) -> None:
        """Which species."""
        self._check_idle()
        self._planes = tuple(sorted(set(parameters.channels(0, allowed=range(1, 3)))))

    @command("IMAGe:PLANes?")
    def planes(self, _: Parameters) -> str:
        """As a list."""
        return f"(@{','.join(map(str, self._planes))})"

    @command("IMAGe:BINNing", parameters=1)
    def set_binning(self, parameters: Parameters) -> None:
        """1, 2, 4 or 8."""
        self._check_idle()
        wanted = parameters.integer(0)
        if wanted not in (1, 2, 4, 8):
            raise ScpiError(-222)
        self._binning = wanted

    @command("IMAGe:BINNing?")
    def binning(self, _: Parameters) -> int:
        """Pixels a side."""
        return self._binning

    @command("IMAGe:REGion", parameters=4)
    def set_region(self, parameters: Parameters) -> None:
        """Left, top, width, height."""
        self._check_idle()
        left, top, width, height = (parameters.integer(place) for place in range(4))
        inside = left >= 0 and top >= 0 and left + width <= self._seen.columns and top + height <= self._seen.rows
        if not inside or width < 1 or height < 1:
            raise ScpiError(-222)
        self._region = (left, top, width, height)

    @command("IMAGe:REGion?")
    def region(self, _: Parameters) -> str:
        """Left, top, width, height."""
        return ",".join(map(str, self._region))

    # Acquisition

    @command("ACQuire:NUMBer?")
    def acquisition(self, _: Parameters) -> int:
        """The present one."""
        return self._acquisition

    @command("ARM", parameters=0)
    def arm(self, _: Parameters) -> None:
        """Wait for the trigger, if the settings go together."""
        self._check_idle()
        if self.value(_EXPOSURE) > self.value(_INTERVAL):
            raise ScpiError(-221, detail="the exposure is longer than the interval")
        if any(edge % self._binning for edge in self._region):
            raise ScpiError(-221, detail="the region is no multiple of the binning")
        pixels = len(self._planes) * (self._region[2] // self._binning) * (self._region[3] // self._binning)
        if 2 * pixels * self.value(_COUNT) > MEMORY_BYTES:
            raise ScpiError(-221, detail="the frames do not fit into the memory")
        self._frames = []
        self._acquisition += 1
        self._waiting = True

    @command("*TRG", parameters=0)
    def trigger(self, _: Parameters) -> None:
        """Begin."""
        if not self._waiting:
            raise ScpiError(-211)
        self._waiting = False
        self._filming = asyncio.ensure_future(self._film(self._acquisition, self._frames))

    @command("ABORt", parameters=0)
    def abort(self, _: Parameters) -> None:
        """Stop; what was taken stays."""
        self._stop()

    def _stop(self) -> None:
        self._waiting = False
        filming = getattr(self, "_filming", None)
        if filming is not None:
            filming.cancel()
            self._filming = None

    def operation_complete(self) -> Awaitable[None] | None:
        """The end of the acquisition."""
        return self._until_done() if self._acquiring else None

    async def _until_done(self) -> None:
        if self._filming is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._filming)

    async def _film(self, acquisition: int, frames: list[Frame]) -> None:
        """Frame by frame on the worker, so that other commands have their turn between two frames."""
        device = self._wired.film_generator(acquisition)
        noise = np.random.default_rng([*self._key, _NOISE, acquisition])
        at_s = 0.0
        for index in range(self.value(_COUNT)):
            late = self._line.faults.late_frame == index + 1
            due_s = (index + 0.5 * late) * self.value(_INTERVAL)
            step_s, at_s = due_s - at_s, due_s
            frame = await self._bench.work(
                lambda: self._expose(acquisition, index, step_s, at_s, late, device, noise)  # noqa: B023 - awaited here
            )
            frames.append(frame)

    def _expose(
        self, acquisition: int, index: int, step_s: float, at_s: float, late: bool,
        device: np.random.Generator, noise: np.random.Generator,
    ) -> Frame:  # fmt: skip
        """On the worker: move the device on, and take one frame of it."""
        self._wired.run(step_s, generator=device, now_s=time.monotonic())
        light, monitor = self._lamp.after(step_s)
        counts, saturated = self._optics.counts(
            self._cut(self._seen.image()), exposure_s=self.value(_EXPOSURE),
            light=self._cut(self._lit(light)), binning=self._binning, generator=noise,
        )  # fmt: skip
        lost = self._line.faults.lost_frame == index + 1
        return Frame(
            acquisition, index, None if lost else counts, 0 if lost else saturated, at_s, self.value(_EXPOSURE),
            monitor if self.value(_LIGHT) else 0.0, late, self._optics.bits,
        )  # fmt: skip

    def _lit(self, light: float) -> Array:
        """(1, row, column) of the whole sensor."""
        on = light if self.value(_LIGHT) else 0.0
        return on * self._optics.field(self._seen.rows, self._seen.columns)[None]

    def _cut(self, layers: Array) -> Array:
        """The planes and the region that are read; one layer stands for all planes."""
        left, top, width, height = self._region
        chosen = layers if len(layers) == 1 else layers[[plane - 1 for plane in self._planes]]
        return chosen[:, top : top + height, left : left + width]

    @command("FRAMe:READy?")
    def ready(self, _: Parameters) -> int:
        """How many there are."""
        return len(self._frames)

    @command("FRAMe:DATA?", parameters=1)
    def data(self, parameters: Parameters) -> bytes:
        """One frame."""
        index = parameters.integer(0)
        if not 0 <= index < len(self._frames):
            raise ScpiError(-230, detail=f"frame {index} is not in memory")
        return self._frames[index].block("<" if self.value(_ORDER) == "SWAP" else ">")
