"""Commands of the simulated source-measure unit that set the source, its ranges and its compliance."""

from sim_devices.scpi import Parameters, ScpiError, ScpiInstrument, command
from sim_devices.scpi.settings import Setting, boolean, choice, number

OUT_OF_RANGE = "Parameter data out of range"
VOLTAGE_RANGES_V = (0.2, 2.0, 20.0, 200.0)
CURRENT_RANGES_A = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_OVER_RANGE = 1.05  # a range reaches 105 % of its name
_VOLTAGE_STEP, _CURRENT_STEP = 2.5e-5, 5e-5  # resolution of a range as a part of its name
_LEVEL = "[:LEVel][:IMMediate][:AMPlitude]"
_SOURCE_V, _SOURCE_A = "SOURce<n>:VOLTage", "SOURce<n>:CURRent"
_SENSE_A, _SENSE_V = "SENSe<n>:CURRent[:DC]", "SENSe<n>:VOLTage[:DC]"
_AUTO = {"V": _SOURCE_V + ":RANGe:AUTO", "A": _SOURCE_A + ":RANGe:AUTO"}
_PROTECTION = {"A": _SENSE_A + ":PROTection[:LEVel]", "V": _SENSE_V + ":PROTection[:LEVel]"}
OUTPUT = "OUTPut<n>[:STATe]"
FUNCTION = "SOURce<n>:FUNCtion[:MODE]"


def source_settings() -> list[Setting]:
    """Settings of source and sense that are only kept and read back."""
    ranges = [
        (_SENSE_A, "[:UPPer]", 1.05e-4, 1.05),
        (_SENSE_V, "[:UPPer]", 21.0, 210.0),
        ("SENSe<n>:RESistance", "", 2.1e5, 2.1e8),
    ]
    table = [number(f"{node}:RANGe{tail}", default, -limit, limit) for node, tail, default, limit in ranges]
    table += [boolean(f"{node}:RANGe:AUTO", default=True) for node, *_ in ranges]
    table += [choice(f"{node}:MODE", "FIXed") for node in (_SOURCE_V, _SOURCE_A)]
    return [
        *table,
        choice(FUNCTION, "VOLTage", "CURRent"),
        boolean(OUTPUT, default=False),
        boolean(_AUTO["V"], default=True),
        boolean(_AUTO["A"], default=True),
        number(_PROTECTION["A"], 1.05e-4, -1.05, 1.05),
        number(_PROTECTION["V"], 21.0, -210.0, 210.0),
        number(_SOURCE_V + ":PROTection[:LEVel]", 210.0, -210.0, 210.0),
        number("SOURce<n>:DELay", 1e-3, 0.0, 999.9999),
        boolean("SOURce<n>:DELay:AUTO", default=True),
        boolean("SOURce<n>:CLEar:AUTO", default=False),
        choice("OUTPut<n>:SMODe", "NORMal", "HIMPedance", "ZERO", "GUARd"),
        choice("SENSe<n>:RESistance:MODE", "MANual", "AUTO"),
        boolean("SENSe<n>:FUNCtion:CONCurrent", default=True),
        boolean("SENSe<n>:AVERage[:STATe]", default=False),
        number("SENSe<n>:AVERage:COUNt", 10, 1, 100, integer=True),
        choice("SENSe<n>:AVERage:TCONtrol", "REPeat", "MOVing"),
    ]


class SmuSource(ScpiInstrument):
    """Part of the front end: levels and ranges, and what they make of the terminals."""

    load_ohm: float
    _levels: dict[str, float]
    _ranges: dict[str, float]

    def reset_source(self) -> None:
        """0 V, 0 A, the ranges of *RST."""
        self._levels = {"V": 0.0, "A": 0.0}
        self._ranges = {"V": 20.0, "A": 1e-4}
        self.nplc = 1.0

    def terminals(self) -> tuple[float, float, bool]:
        """Voltage (V) and current (A) at the terminals, and whether compliance limits them."""
        if not self.value(OUTPUT):
            return 0.0, 0.0, False
        if self.value(FUNCTION) == "VOLT":
            wanted_V, limit_A = self._levels["V"], abs(self.value(_PROTECTION["A"]))
            tripped = abs(wanted_V) > limit_A * self.load_ohm
            current_A = (limit_A if wanted_V > 0 else -limit_A) if tripped else wanted_V / self.load_ohm
            return current_A * self.load_ohm, current_A, tripped
        wanted_A, limit_V = self._levels["A"], abs(self.value(_PROTECTION["V"]))
        tripped = abs(wanted_A) * self.load_ohm > limit_V
        volts = (limit_V if wanted_A > 0 else -limit_V) if tripped else wanted_A * self.load_ohm
        return volts, volts / self.load_ohm, tripped

    def _set_level(
        self, parameters: Parameters, kind: str, limit: float, names: tuple[float, ...], step: float
    ) -> None:
        value = parameters.number(0, {"MINIMUM": -limit, "MAXIMUM": limit, "DEFAULT": 0.0})
        in_use = self._ranges[kind]
        if self.value(_AUTO[kind]):
            in_use = next((name for name in names if abs(value) <= name * _OVER_RANGE), names[-1])
        if abs(value) > min(limit, in_use * _OVER_RANGE):
            raise ScpiError(-222, OUT_OF_RANGE)
        self._ranges[kind] = in_use
        self._levels[kind] = round(value / (step * in_use)) * step * in_use

    def _set_range(self, parameters: Parameters, kind: str, names: tuple[float, ...]) -> None:
        at = names.index(self._ranges[kind])
        steps = {"UP": names[min(at + 1, len(names) - 1)], "DOWN": names[max(at - 1, 0)]}
        raw = parameters.text(0).upper()
        value = steps[raw] if raw in steps else abs(parameters.number(0, {"MINIMUM": names[0], "MAXIMUM": names[-1]}))
        if value > names[-1] * _OVER_RANGE:
            raise ScpiError(-222, OUT_OF_RANGE)
        self._ranges[kind] = next(name for name in names if value <= name * _OVER_RANGE)
        self.keep(_AUTO[kind], False)

    @command(_SOURCE_V + _LEVEL)
    def set_voltage(self, parameters: Parameters) -> None:
        """Source voltage."""
        self._set_level(parameters, "V", 210.0, VOLTAGE_RANGES_V, _VOLTAGE_STEP)

    @command(_SOURCE_V + _LEVEL + "?", parameters=(0, 1))
    def voltage(self, _: Parameters) -> float:
        """Source voltage as programmed."""
        return self._levels["V"]

    @command(_SOURCE_A + _LEVEL)
    def set_current(self, parameters: Parameters) -> None:
        """Source current."""
        self._set_level(parameters, "A", 1.05, CURRENT_RANGES_A, _CURRENT_STEP)

    @command(_SOURCE_A + _LEVEL + "?", parameters=(0, 1))
    def current(self, _: Parameters) -> float:
        """Source current as programmed."""
        return self._levels["A"]

    @command(_SOURCE_V + ":RANGe")
    def set_voltage_range(self, parameters: Parameters) -> None:
        """Source range; switches autorange off."""
        self._set_range(parameters, "V", VOLTAGE_RANGES_V)

    @command(_SOURCE_V + ":RANGe?", parameters=(0, 1))
    def voltage_range(self, _: Parameters) -> float:
        """Source range."""
        return self._ranges["V"] * _OVER_RANGE

    @command(_SOURCE_A + ":RANGe")
    def set_current_range(self, parameters: Parameters) -> None:
        """Source range; switches autorange off."""
        self._set_range(parameters, "A", CURRENT_RANGES_A)

    @command(_SOURCE_A + ":RANGe?", parameters=(0, 1))
    def current_range(self, _: Parameters) -> float:
        """Source range."""
        return self._ranges["A"] * _OVER_RANGE

    @command(_SENSE_A + ":PROTection:TRIPped?", _SENSE_V + ":PROTection:TRIPped?")
    def tripped(self, _: Parameters) -> bool:
        """Whether compliance limits the source."""
        return self.terminals()[2]

    @command(_SENSE_A + ":NPLCycles", _SENSE_V + ":NPLCycles", "SENSe<n>:RESistance:NPLCycles")
    def set_nplc(self, parameters: Parameters) -> None:
        """Integration time in power-line cycles, one for all functions."""
        value = parameters.number(0, {"MINIMUM": 0.01, "MAXIMUM": 10.0, "DEFAULT": 1.0})
        if not 0.01 <= value <= 10.0:
            raise ScpiError(-222, OUT_OF_RANGE)
        self.nplc = value

    @command(_SENSE_A + ":NPLCycles?", _SENSE_V + ":NPLCycles?", "SENSe<n>:RESistance:NPLCycles?", parameters=(0, 1))
    def get_nplc(self, _: Parameters) -> float:
        """Integration time."""
        return self.nplc
