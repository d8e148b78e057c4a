"""SimOptics SO-2C, the invented two-colour camera of the simulated bench; its commands are described in
sim_devices/instruments/simoptics_so2c.py. A model for drivers of real cameras: the role is roles.Camera.

Station file:

    [instruments.camera]
    driver = "simoptics_so2c"
    address = "TCPIP::192.168.0.9::5025::SOCKET"

Terminals "1" and "2" (planes of an image): filmed together by the camera() role.

Every frame carries number, size and a checksum. One that does not agree with what was asked for is fetched once more (it stays
in the camera's memory) and then refused; a frame that the camera lost is told as lost.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drivers.errors import BadAnswer, DriverError, InstrumentReported, LineTimeout, OutOfRange
from drivers.line import Line
from drivers.options import Options, read_options
from drivers.roles import CameraFrame, FrameFormat, Region
from drivers.scpi import Number, ScpiDriver, Switch, describe, parse_number

PLANES = ("1", "2")
BINNINGS = (1, 2, 4, 8)
MOST_FRAMES = 100_000
MEMORY_BYTES = 256_000_000
HEADER = struct.Struct("<4sHHIIHHHHIdddI")
MAGIC = b"SO2C"
LOST, LATE = 1, 4
ATTEMPTS = 2
"""How often a frame that does not agree with its checksum is fetched."""


class CameraOptions(Options):
    """The option table of the station file: there is nothing to choose."""


class FrameRecorder:
    """The camera role, and the table of settings."""

    exposure_s = Number("ACQ:EXP?", "ACQ:EXP {value:.9g}", "Exposure of a frame", unit="s", within=(1e-5, 100.0))
    interval_s = Number(
        "ACQ:INT?", "ACQ:INT {value:.12g}", "Time from frame to frame", unit="s", within=(1e-3, 1e6)
    )  # fmt: skip
    n_frames = Number("ACQ:COUN?", "ACQ:COUN {value:.0f}", "Frames", unit="frames", within=(1, MOST_FRAMES))
    binning = Number(
        "IMAG:BINN?", "IMAG:BINN {value:.0f}", "Pixels a side that are summed", unit="px", one_of=tuple(map(float, BINNINGS))
    )  # fmt: skip
    light = Switch("LIGH?", "LIGH {value}", "Whether the lamp is on")
    black_level = Number("SENS:BLAC?", None, "Counts without light", unit="counts")
    bits = Number("SENS:BITS?", None, "Bits of a count", unit="bits")
    planes = PLANES
    max_frames = MOST_FRAMES

    def __init__(self, driver: "SimOpticsSO2C") -> None:
        self.line = driver.line
        self.place: Mapping[str, str] = {}
        self._driver = driver
        self._wanted: tuple[tuple[str, ...], float, float, int, int, Region, bool] | None = None
        self._format: FrameFormat | None = None
        self._acquisition = -1
        self._n_frames = 0

    @property
    def sensor_size(self) -> tuple[int, int]:
        """(rows, columns) as the camera says."""
        command = "SENS:SIZE?"
        answer = self.line.query(command)
        try:
            rows, columns = (int(part) for part in answer.split(","))
        except ValueError:
            raise BadAnswer(
                f"{self.line.address}: {command!r} was answered {answer!r}; rows,columns expected"
            ) from None
        return rows, columns

    # ---- setting up ------------------------------------------------------------------------------------------------

    def configure(
        self,
        planes: Sequence[str],
        *,
        exposure_s: float,
        interval_s: float,
        n_frames: int,
        binning: int = 1,
        region: Region | None = None,
        light: bool = True,
    ) -> FrameFormat:
        """See roles.Camera. Everything is checked before a setting is sent."""
        chosen = self._checked_planes(planes)
        FrameRecorder.exposure_s.check(exposure_s)
        FrameRecorder.interval_s.check(interval_s)
        FrameRecorder.n_frames.check(n_frames)
        FrameRecorder.binning.check(binning)
        where = self.line.address
        if exposure_s > interval_s:
            raise OutOfRange(
                f"{where}: an exposure of {exposure_s:g} s is longer than the interval of {interval_s:g} s"
            )
        rows, columns = self.sensor_size
        window = Region(0, 0, columns, rows) if region is None else region
        _check_region(where, window, rows, columns, binning)
        shape = (window.height // binning, window.width // binning, len(chosen))
        n_bytes = 2 * int(np.prod(shape)) * n_frames
        if n_bytes > MEMORY_BYTES:
            fit = MEMORY_BYTES // (n_bytes // n_frames)
            raise OutOfRange(f"{where}: {n_frames} frames do not fit into the camera's memory; {fit} do at this size")
        self._acquisition, self._n_frames = -1, n_frames
        with self.line.locked():
            self._wanted = (chosen, exposure_s, interval_s, n_frames, binning, window, light)
            self._apply()
            self._driver.check_errors("configuring the camera")
            self._format = FrameFormat(*shape, (1 << int(self.bits)) - 1, float(self.black_level))
        return self._format

    def _checked_planes(self, planes: Sequence[str]) -> tuple[str, ...]:
        for plane in planes:
            if plane not in PLANES:
                raise self._driver.no_role(plane, "filmed")
        if not planes or list(planes) != sorted(set(planes)):
            raise OutOfRange(
                f"{self.line.address}: planes {list(planes)}: each once, in the order of {', '.join(PLANES)}"
            )
        return tuple(planes)

    def _apply(self) -> None:
        if self._wanted is None:
            return
        planes, exposure_s, interval_s, n_frames, binning, window, light = self._wanted
        send = self.line.write
        send("ABOR")
        send("FORM:BORD SWAP")
        send(f"IMAG:PLAN (@{','.join(planes)})")
        self.binning = binning
        send(f"IMAG:REG {window.left},{window.top},{window.width},{window.height}")
        # the shorter exposure first, so that no order of the two is refused
        self.exposure_s = exposure_s
        self.interval_s = interval_s
        self.n_frames = n_frames
        self.light = light

    # ---- an acquisition --------------------------------------------------------------------------------------------

    def arm(self) -> None:
        """Forget the frames in memory and wait for the trigger."""
        if self._format is None:
            raise DriverError(f"{self.line.address}: configure() before arm()")
        with self.line.locked():
            self._acquisition = -1
            before = self._number()  # also repairs a broken line, before the settings are sent once more
            self._apply()
            self.line.write("ARM")
            self._driver.check_errors("ARM")
            after = self._number()
            if after != before + 1:
                raise BadAnswer(f"{self.line.address}: armed once, but its acquisitions went from {before} to {after}")
            self._acquisition = after

    def _number(self) -> int:
        command = "ACQ:NUMB?"
        return int(parse_number(self.line.query(command), self.line.address, command))

    def trigger(self) -> None:
        """Frame 0 begins."""
        with self.line.locked():
            self.line.write("*TRG")
            self._driver.check_errors("*TRG")

    def frames_ready(self) -> int:
        """Frames that can be fetched by now, lost ones counted."""
        command = "FRAM:READ?"
        return int(parse_number(self.line.query(command), self.line.address, command))

    def fetch(self, index: int) -> CameraFrame:
        """Frame `index` (from 0). Raises BadAnswer for one that is not the one asked for, or is damaged twice."""
        if not 0 <= index < self._n_frames:
            raise OutOfRange(f"{self.line.address}: frame {index} of an acquisition of {self._n_frames}")
        for attempt in range(ATTEMPTS):
            try:
                return self._fetch(index)
            except BadAnswer:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("not reached")

    def _fetch(self, index: int) -> CameraFrame:
        command = f"FRAM:DATA? {index}"
        with self.line.locked():
            try:
                block = self.line.query_block(command)
            except LineTimeout as silence:
                try:
                    self._driver.check_errors(command)  # it does not answer where it has no such frame
                except InstrumentReported as reported:
                    raise reported from silence
                raise
        return self._decoded(block, index)

    def _decoded(self, block: bytes, index: int) -> CameraFrame:
        where = f"{self.line.address}: frame {index}"
        if len(block) < HEADER.size:
            raise BadAnswer(f"{where}: a block of {len(block)} bytes is no frame")
        magic, length, flags, acquisition, number, n_planes, rows, columns, _, saturated, time_s, _, monitor, check = (
            HEADER.unpack_from(block)
        )
        if magic != MAGIC or length < HEADER.size:
            raise BadAnswer(f"{where}: does not begin as a frame of this camera does: {block[:8]!r}")
        if (acquisition, number) != (self._acquisition, index):
            raise BadAnswer(
                f"{where} of acquisition {self._acquisition} was asked for, frame {number} of {acquisition} came; was the "
                "camera switched off, or armed by somebody else?"
            )
        data = block[length:]
        if zlib.crc32(data) != check or not np.isfinite((time_s, monitor)).all():
            raise BadAnswer(f"{where}: damaged on the way, its checksum does not agree")
        late = bool(flags & LATE)
        if flags & LOST:
            return CameraFrame(index, time_s, None, 0, monitor, late)
        form = self._format
        if form is None or (rows, columns, n_planes) != (form.rows, form.columns, form.n_planes):
            raise BadAnswer(f"{where}: {rows} x {columns} pixels in {n_planes} planes came, {form} was set")
        if len(data) != 2 * rows * columns * n_planes:
            raise BadAnswer(f"{where}: {len(data)} bytes of counts for {rows} x {columns} pixels in {n_planes} planes")
        counts = np.frombuffer(data, "<u2").reshape(n_planes, rows, columns).transpose(1, 2, 0)
        return CameraFrame(index, time_s, np.ascontiguousarray(counts, dtype=np.uint16), int(saturated), monitor, late)

    def abort(self) -> None:
        """Stop waiting or taking frames, and switch the lamp off; frames taken stay until the next arm()."""
        with self.line.locked():
            self.line.write("ABOR")
            self.light = False

    def lit(self) -> bool:
        """Whether the lamp is on."""
        return self.light


def _check_region(where: str, window: Region, rows: int, columns: int, binning: int) -> None:
    inside = window.left >= 0 and window.top >= 0 and window.width >= 1 and window.height >= 1
    if not inside or window.left + window.width > columns or window.top + window.height > rows:
        raise OutOfRange(f"{where}: the region {tuple(window)} is not within the sensor of {columns} x {rows} pixels")
    if any(edge % binning for edge in window):
        raise OutOfRange(f"{where}: the region {tuple(window)} (left, top, width, height) is no multiple of {binning}")


class SimOpticsSO2C(ScpiDriver):
    """One camera."""

    roles_offered = "camera() with the planes '1' and '2'"

    def __init__(self, line: Line, options: Mapping[str, Any]) -> None:
        """Changes nothing at the instrument."""
        super().__init__(line)
        read_options(CameraOptions, options, where=f"{line.address}: driver simoptics_so2c")
        self.recorder = FrameRecorder(self)

    def describe_settings(self) -> dict[str, str]:
        """The table of the recorder, and what is seen."""
        seen = {"planes": self.line.query("IMAG:PLAN?"), "region": self.line.query("IMAG:REG?")}
        return {**describe(self.recorder), **seen}

    def camera(self) -> FrameRecorder:
        """The planes together."""
        return self.recorder
