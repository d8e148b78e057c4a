"""Commands of the simulated digitiser that set up an acquisition: rate, samples, records."""

from sim_devices.scpi import Parameters, ScpiError, ScpiInstrument, command
from sim_devices.scpi.settings import Setting, choice, number, text

MEMORY_SAMPLES = 32_000_000
RATES_HZ: tuple[int, ...] = tuple(
    base * 10**power for power in range(3, 8) for base in (1, 2, 5) if base * 10**power <= 20_000_000
)
_ACQUISITION = "CONFigure:ACQuisition"
_HOLDOFF, _DELAY = _ACQUISITION + ":THOLdoff", _ACQUISITION + ":TDELay"


class DigitiserAcquisition(ScpiInstrument):
    """Part of the front end: what is recorded at a trigger."""

    rate_Hz: int
    n_samples: int
    n_before: int
    n_records: int

    def reset_acquisition(self) -> None:
        """Settings outside the table, as after *RST."""
        self.rate_Hz, self.n_samples, self.n_before, self.n_records = 1_000_000, 1024, 0, 1

    @property
    def running(self) -> bool:
        """Whether an acquisition is on, which no setting may disturb."""
        raise NotImplementedError

    @property
    def delay_s(self) -> float:
        """Time from the trigger to sample 0."""
        return float(self.value(_DELAY))

    def settings(self) -> list[Setting]:
        """Settings without a coupling to others."""
        return [
            number(_HOLDOFF, 0.0, 0.0, 10.0),
            number(_DELAY, 0.0, 0.0, 3600.0),
            choice("CONFigure:EXTernal:INPut", "POSitive", "NEGative"),
            choice("CONFigure:ROSCillator", "INTernal", "EXTernal"),
            choice("FORMat:BORDer", "NORMal", "SWAPped"),
            text("DISPlay:TEXT"),
        ]

    def check_setting(self, pattern: str) -> None:
        """CONF commands wait for the end of an acquisition."""
        if pattern.startswith("CONF") and self.running:
            raise ScpiError(-221, detail="an acquisition is running")

    @command(_ACQUISITION + "[:ATTRibutes]", parameters=(2, 6))
    def set_acquisition(self, parameters: Parameters) -> None:
        """Rate, samples, pre-trigger samples, records, hold-off and delay in one."""
        self.check_setting(_ACQUISITION)
        given = len(parameters)
        rate = _rate(parameters.number(0))
        before = parameters.integer(2) if given > 2 else self.n_before
        records = parameters.integer(3) if given > 3 else self.n_records
        samples = self._checked_samples(parameters.integer(1), before, records)
        for index, pattern, longest in ((4, _HOLDOFF, 10.0), (5, _DELAY, 3600.0)):
            if given > index:
                if not 0.0 <= parameters.number(index) <= longest:
                    raise ScpiError(-222)
                self.keep(pattern, parameters.number(index))
        self.rate_Hz, self.n_samples, self.n_before, self.n_records = rate, samples, before, records

    @command(_ACQUISITION + "[:ATTRibutes]?")
    def acquisition(self, _: Parameters) -> list[float | int]:
        """The same, read back."""
        fixed = [self.rate_Hz, self.n_samples, self.n_before, self.n_records]
        return [*fixed, float(self.value(_HOLDOFF)), self.delay_s]

    @command(_ACQUISITION + ":SRATe")
    def set_rate(self, parameters: Parameters) -> None:
        """Sample rate (Sa/s): 1, 2 or 5 times a power of ten."""
        self.check_setting(_ACQUISITION)
        self.rate_Hz = _rate(parameters.number(0, {"MINIMUM": RATES_HZ[0], "MAXIMUM": RATES_HZ[-1]}))

    @command(_ACQUISITION + ":SRATe?", parameters=(0, 1))
    def rate(self, _: Parameters) -> int:
        """Sample rate."""
        return self.rate_Hz

    @command(_ACQUISITION + ":SCOunt")
    def set_samples(self, parameters: Parameters) -> None:
        """Samples a record: a multiple of four."""
        self.check_setting(_ACQUISITION)
        value = parameters.integer(0, {"MINIMUM": 8, "MAXIMUM": self._most_samples(self.n_records)})
        self.n_samples = self._checked_samples(value, self.n_before, self.n_records)

    @command(_ACQUISITION + ":SCOunt?", parameters=(0, 1))
    def samples(self, _: Parameters) -> int:
        """Samples a record."""
        return self.n_samples

    @command(_ACQUISITION + ":SCOunt:MAXimum?")
    def most_samples(self, _: Parameters) -> int:
        """Samples a record can have with the present number of records."""
        return self._most_samples(self.n_records)

    @command(_ACQUISITION + ":SPRetrigger")
    def set_before(self, parameters: Parameters) -> None:
        """Samples before the trigger: a multiple of four."""
        self.check_setting(_ACQUISITION)
        value = parameters.integer(0, {"MINIMUM": 0, "MAXIMUM": self.n_samples - 4})
        self._checked_samples(self.n_samples, value, self.n_records)
        self.n_before = value

    @command(_ACQUISITION + ":SPRetrigger?", parameters=(0, 1))
    def before(self, _: Parameters) -> int:
        """Samples before the trigger."""
        return self.n_before

    @command(_ACQUISITION + ":RECords")
    def set_records(self, parameters: Parameters) -> None:
        """Records of an acquisition, one a trigger."""
        self.check_setting(_ACQUISITION)
        value = parameters.integer(0, {"MINIMUM": 1, "MAXIMUM": 1024})
        self._checked_samples(self.n_samples, self.n_before, value)
        self.n_records = value

    @command(_ACQUISITION + ":RECords?", parameters=(0, 1))
    def records(self, _: Parameters) -> int:
        """Records of an acquisition."""
        return self.n_records

    def _most_samples(self, records: int) -> int:
        return MEMORY_SAMPLES // records // 4 * 4

    def _checked_samples(self, samples: int, before: int, records: int) -> int:
        if not 1 <= records <= 1024:
            raise ScpiError(-222, detail="1 to 1024 records")
        if not 8 <= samples <= self._most_samples(records):
            raise ScpiError(-222, detail=f"8 to {self._most_samples(records)} samples a record")
        if not 0 <= before <= samples - 4:
            raise ScpiError(-222, detail="0 to samples - 4 before the trigger")
        if samples % 4 or before % 4:
            raise ScpiError(-224, detail="samples come in multiples of 4")
        return samples


def _rate(value: float) -> int:
    for rate in RATES_HZ:
        if abs(value - rate) < 1e-6 * rate:
            return rate
    raise ScpiError(-224, detail="sample rates are 1, 2 or 5 times 10^n from 1e3 to 20e6")
