"""Commands of the simulated source-measure unit for its trigger model, reading buffer and statistics."""

import numpy as np

from sim_devices.scpi import Parameters, ScpiError, ScpiInstrument, command
from sim_devices.scpi.settings import Setting, boolean, choice, number

ARM_COUNT, TRIGGER_COUNT = "ARM:COUNt", "TRIGger:COUNt"
ARM_SOURCE, TRIGGER_SOURCE = "ARM:SOURce", "TRIGger:SOURce"
BUFFER_CONTROL, BUFFER_POINTS = "TRACe:FEED:CONTrol", "TRACe:POINts"
MOST_READINGS = 2500
BUFFER_FULL = 512  # bit of the measurement register

Reading = tuple[float, float, float, float, float]  # voltage, current, resistance, time, status


def buffer_settings() -> list[Setting]:
    """Settings of trigger model, buffer and front panel that are only kept and read back."""
    return [
        number(ARM_COUNT, 1, 1, MOST_READINGS, integer=True),
        number(TRIGGER_COUNT, 1, 1, MOST_READINGS, integer=True),
        choice(ARM_SOURCE, "IMMediate", "TLINk", "TIMer", "MANual", "BUS", "NSTest", "PSTest", "BSTest"),
        choice(TRIGGER_SOURCE, "IMMediate", "TLINk"),
        number("ARM:TIMer", 0.1, 0.001, 99999.99),
        number("TRIGger:DELay", 0.0, 0.0, 999.9999),
        choice("ARM:OUTPut", "NONE", "TENTer", "TEXit"),
        choice("TRIGger:OUTPut", "NONE", "SOURce", "DELay", "SENSe"),
        number("ARM:ILINe", 1, 1, 4, integer=True),
        number("TRIGger:ILINe", 1, 1, 4, integer=True),
        number("ARM:OLINe", 2, 1, 4, integer=True),
        number("TRIGger:OLINe", 2, 1, 4, integer=True),
        number(BUFFER_POINTS, 100, 1, MOST_READINGS, integer=True),
        choice("TRACe:FEED", "SENSe", "CALCulate1", "CALCulate2"),
        choice(BUFFER_CONTROL, "NEVer", "NEXT"),
        choice("CALCulate3:FORMat", "MEAN", "SDEViation", "MAXimum", "MINimum", "PKPK"),
        choice("FORMat[:DATA]", "ASCii"),
        Setting("SYSTem:AZERo[:STATe]", True, _auto_zero),
        boolean("SYSTem:RSENse", default=False),
        number("SYSTem:LFRequency", 50, 50, 60, integer=True),
        boolean("SYSTem:LFRequency:AUTO", default=True),
        boolean("SYSTem:BEEPer:STATe", default=True),
        boolean("DISPlay:ENABle", default=True),
        choice("ROUTe:TERMinals", "FRONt", "REAR"),
    ]


def _auto_zero(parameters: Parameters) -> bool:
    """ON, OFF, or ONCE, which leaves it off."""
    return False if parameters.text(0).upper() == "ONCE" else parameters.boolean(0)


class SmuBuffer(ScpiInstrument):
    """Part of the front end: the buffer of readings and what is computed from it."""

    _buffer: list[Reading]

    def reset_buffer(self) -> None:
        """Empty."""
        self._buffer = []

    def store(self, readings: list[Reading]) -> None:
        """Take readings while the buffer is open; when it is full it closes and raises its bit."""
        if self.value(BUFFER_CONTROL) != "NEXT":
            return
        room = self.value(BUFFER_POINTS) - len(self._buffer)
        self._buffer += readings[:room]
        if len(self._buffer) >= self.value(BUFFER_POINTS):
            self.keep(BUFFER_CONTROL, "NEV")

    @property
    def buffer_is_full(self) -> bool:
        """Whether as many readings are stored as were asked for."""
        return len(self._buffer) >= int(self.value(BUFFER_POINTS))

    def write_readings(self, readings: list[Reading]) -> str:
        """Readings in the chosen elements."""
        raise NotImplementedError

    @command("TRACe:CLEar", parameters=0)
    def clear_buffer(self, _: Parameters) -> None:
        """Empty the buffer."""
        self._buffer = []

    @command("TRACe:POINts:ACTual?")
    def stored(self, _: Parameters) -> int:
        """Readings in the buffer."""
        return len(self._buffer)

    @command("TRACe:DATA?")
    def buffer_data(self, _: Parameters) -> str:
        """All readings in the buffer."""
        if not self._buffer:
            raise ScpiError(-230)
        return self.write_readings(self._buffer)

    @command("CALCulate3:DATA?")
    def statistics(self, _: Parameters) -> list[float]:
        """Statistics of voltage, current and resistance in the buffer."""
        if not self._buffer:
            raise ScpiError(-230)
        columns = np.array(self._buffer)[:, :3]
        compute = {
            "MEAN": np.mean(columns, axis=0), "SDEV": np.std(columns, axis=0, ddof=min(1, len(columns) - 1)),
            "MAX": np.max(columns, axis=0), "MIN": np.min(columns, axis=0), "PKPK": np.ptp(columns, axis=0),
        }  # fmt: skip
        return [float(value) for value in compute[self.value("CALCulate3:FORMat")]]

    @command("TRIGger:CLEar", "SYSTem:LOCal", "SYSTem:REMote", "SYSTem:RWLock", parameters=0)
    def no_effect(self, _: Parameters) -> None:
        """Obeyed without anything to do."""

    @command("SYSTem:BEEPer[:IMMediate]", parameters=2)
    def beep(self, parameters: Parameters) -> None:
        """A silent beep."""
        if not (65 <= parameters.number(0) <= 2e6 and 0 <= parameters.number(1) <= 7.9):
            raise ScpiError(-222)

    @command("SYSTem:CLEar", parameters=0)
    def clear_errors(self, _: Parameters) -> None:
        """Empty the error queue."""
        self.errors.clear()

    @command("STATus:QUEue[:NEXT]?")
    def next_message(self, _: Parameters) -> str:
        """The oldest error."""
        code, text = self.errors.pop()
        return f'{code},"{text}"'

    @command("SYSTem:ERRor:COUNt?")
    def error_count(self, _: Parameters) -> int:
        """Errors in the queue."""
        return len(self.errors)

    @command("SYSTem:ERRor:ALL?")
    def all_errors(self, _: Parameters) -> str:
        """All errors, oldest first."""
        texts = [f'{code},"{text}"' for code, text in (self.errors.pop() for _ in range(max(1, len(self.errors))))]
        return ",".join(texts)

    @command("STATus:MEASurement:CONDition?")
    def measurement_condition(self, _: Parameters) -> int:
        """The measurement register."""
        self.update_conditions()
        return self.status.measurement.condition

    @command("STATus:MEASurement[:EVENt]?")
    def measurement_event(self, _: Parameters) -> int:
        """Its events; reading clears them."""
        self.update_conditions()
        return self.status.measurement.read_event()

    @command("STATus:MEASurement:ENABle")
    def set_measurement_enable(self, parameters: Parameters) -> None:
        """Its mask."""
        self.status.measurement.enable = parameters.integer(0) & 0x7FFF

    @command("STATus:MEASurement:ENABle?")
    def measurement_enable(self, _: Parameters) -> int:
        """Its mask."""
        return self.status.measurement.enable
