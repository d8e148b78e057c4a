"""Commands of the simulated digitiser that set up its inputs and what it waits for."""

from sim_devices.instruments.digitiser_acquisition import DigitiserAcquisition
from sim_devices.scpi import Parameters, ScpiError, command

CHANNELS = range(1, 3)
RANGES_V = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 128.0, 256.0)
_CHANNEL = "CONFigure:CHANnel"
_COUPLINGS, _FILTERS = ("DC", "AC"), ("LP_20_MHZ", "LP_2_MHZ", "LP_200_KHZ")


class DigitiserInputs(DigitiserAcquisition):
    """Part of the front end: ranges, couplings, filters, trigger and arm source."""

    ranges_V: dict[int, float]
    trigger_source: str
    arm_source: str
    triggers_per_arm: int

    def reset_inputs(self) -> None:
        """As after *RST."""
        self.ranges_V = dict.fromkeys(CHANNELS, 256.0)
        self._couplings = dict.fromkeys(CHANNELS, "DC")
        self._filters = dict.fromkeys(CHANNELS, "LP_20_MHZ")
        self.trigger_source, self.arm_source, self.triggers_per_arm = "IMM", "IMM", 1024

    @command(_CHANNEL + "[:ATTRibutes]", parameters=4)
    def set_channel(self, parameters: Parameters) -> None:
        """Range, coupling and filter of some channels."""
        self.check_setting(_CHANNEL)
        channels, full_scale = parameters.channels(0, allowed=CHANNELS), _range(parameters.number(1))
        coupling, low_pass = parameters.choice(2, *_COUPLINGS), parameters.choice(3, *_FILTERS)
        for channel in channels:
            self.ranges_V[channel] = full_scale
            self._couplings[channel], self._filters[channel] = coupling, low_pass

    @command(_CHANNEL + "[:ATTRibutes]?", parameters=1)
    def channel(self, parameters: Parameters) -> list[float | str]:
        """The same, read back."""
        answer: list[float | str] = []
        for channel in parameters.channels(0, allowed=CHANNELS):
            answer += [self.ranges_V[channel], self._couplings[channel], self._filters[channel]]
        return answer

    @command(_CHANNEL + ":RANGe", parameters=2)
    def set_range(self, parameters: Parameters) -> None:
        """Full scale of some channels (V)."""
        self.check_setting(_CHANNEL)
        full_scale = _range(parameters.number(1, {"MINIMUM": RANGES_V[0], "MAXIMUM": RANGES_V[-1]}))
        self.ranges_V.update(dict.fromkeys(parameters.channels(0, allowed=CHANNELS), full_scale))

    @command(_CHANNEL + ":RANGe?", parameters=1)
    def full_scale(self, parameters: Parameters) -> list[float]:
        """Full scale."""
        return [self.ranges_V[channel] for channel in parameters.channels(0, allowed=CHANNELS)]

    @command(_CHANNEL + ":COUPling", parameters=2)
    def set_coupling(self, parameters: Parameters) -> None:
        """DC; AC is kept and read back, and acts as DC here."""
        self.check_setting(_CHANNEL)
        chosen = parameters.choice(1, *_COUPLINGS)
        self._couplings.update(dict.fromkeys(parameters.channels(0, allowed=CHANNELS), chosen))

    @command(_CHANNEL + ":COUPling?", parameters=1)
    def coupling(self, parameters: Parameters) -> list[str]:
        """Coupling."""
        return [self._couplings[channel] for channel in parameters.channels(0, allowed=CHANNELS)]

    @command(_CHANNEL + ":FILTer", parameters=2)
    def set_filter(self, parameters: Parameters) -> None:
        """Low pass; far above what the devices do, so it changes nothing."""
        self.check_setting(_CHANNEL)
        chosen = parameters.choice(1, *_FILTERS)
        self._filters.update(dict.fromkeys(parameters.channels(0, allowed=CHANNELS), chosen))

    @command(_CHANNEL + ":FILTer?", parameters=1)
    def low_pass(self, parameters: Parameters) -> list[str]:
        """Low pass."""
        return [self._filters[channel] for channel in parameters.channels(0, allowed=CHANNELS)]

    @command("CONFigure:TRIGger:SOURce")
    def set_trigger_source(self, parameters: Parameters) -> None:
        """What starts a record; triggering on a level is not simulated (-221)."""
        self.check_setting("CONFigure")
        chosen = parameters.choice(0, "IMMediate", "SOFTware", "EXTernal", "CHANnel", "OR")
        if chosen in ("CHAN", "OR"):
            raise ScpiError(-221, detail="channel triggers are not simulated")
        self.trigger_source = chosen

    @command("CONFigure:TRIGger:SOURce?")
    def get_trigger_source(self, _: Parameters) -> str:
        """What starts a record."""
        return self.trigger_source

    @command("CONFigure:ARM:SOURce", parameters=(1, 2))
    def set_arm_source(self, parameters: Parameters) -> None:
        """What lets triggers in; EXT and TIM are not simulated (-221)."""
        self.check_setting("CONFigure")
        chosen = parameters.choice(0, "IMMediate", "SOFTware", "EXTernal", "TIMer")
        per_arm = parameters.integer(1) if len(parameters) > 1 else self.triggers_per_arm
        if chosen in ("EXT", "TIM"):
            raise ScpiError(-221, detail="this arm source is not simulated")
        if not 1 <= per_arm <= 1024:
            raise ScpiError(-222)
        self.arm_source, self.triggers_per_arm = chosen, per_arm

    @command("CONFigure:ARM:SOURce?")
    def get_arm_source(self, _: Parameters) -> str:
        """What lets triggers in, and how many."""
        return f"{self.arm_source},{self.triggers_per_arm}"


def _range(value: float) -> float:
    for full_scale in RANGES_V:
        if abs(value - full_scale) < 1e-6:
            return full_scale
    raise ScpiError(-224, detail="ranges are " + " ".join(f"{full_scale:g}" for full_scale in RANGES_V) + " V")
