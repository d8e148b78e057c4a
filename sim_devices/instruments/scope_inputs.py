"""Commands of the simulated oscilloscope that set up its screen: channels, time base, trigger."""

from dataclasses import dataclass
from fractions import Fraction

from sim_devices.scpi import Parameters, ScpiError, ScpiInstrument, command
from sim_devices.scpi.settings import Setting, choice, number

CHANNELS = range(1, 5)
DIVISIONS_HIGH, DIVISIONS_WIDE = 8, 10
MEMORY_POINTS = 100_000
"""A simulated record. The instrument has 1 Mpts, which would cost ten times the physics for the same trace."""
FASTEST_RATE_HZ = 1_000_000_000
"""With all four channels on; the 2 GSa/s of half of them are not simulated."""
RATES_HZ: tuple[int, ...] = tuple(
    digit * 10**power for power in range(10) for digit in (1, 2, 5) if digit * 10**power <= FASTEST_RATE_HZ
)
_CHANNEL, _TIME, _TRIGGER = "CHANnel<n>", "TIMebase", "TRIGger[:EDGE]"
_SHOWN, _TIME_RANGE, _POSITION, _REFERENCE = (
    _CHANNEL + ":DISPlay", _TIME + ":RANGe", _TIME + ":POSition", _TIME + ":REFerence",
)  # fmt: skip
_SWEEP = "TRIGger:SWEep"
_BEFORE_REFERENCE = {"LEFT": Fraction(1, 10), "CENT": Fraction(1, 2), "RIGH": Fraction(9, 10)}


@dataclass(slots=True)
class Vertical:
    """One channel's vertical setting, in volts at the probe tip."""

    scale_V: float = 5.0
    offset_V: float = 0.0
    probe: float = 1.0


class ScopeInputs(ScpiInstrument):
    """Part of the front end: what the screen shows, and when."""

    verticals: dict[int, Vertical]
    trigger_source: str

    @property
    def running(self) -> bool:
        """Whether an acquisition is on."""
        raise NotImplementedError

    def reset_inputs(self) -> None:
        """As after *RST."""
        self.verticals = {channel: Vertical() for channel in CHANNELS}
        self.trigger_source = "CHAN1"

    def settings(self) -> list[Setting]:
        """Settings without a coupling to others."""
        return [
            choice(_CHANNEL + ":BWLimit", "OFF", "ON"),
            choice(_CHANNEL + ":IMPedance", "ONEMeg"),
            number(_TIME_RANGE, 1e-3, 50e-9, 500.0),
            number(_POSITION, 0.0, -500.0, 500.0),
            choice(_REFERENCE, "CENTer", "LEFT", "RIGHt"),
            choice("TRIGger:MODE", "EDGE"),
            choice("TRIGger[:EDGE]:SLOPe", "POSitive", "NEGative"),
            choice(_SWEEP, "AUTO", "NORMal"),
            number("TRIGger[:EDGE]:LEVel", 0.0, -40.0, 40.0),
            number("TRIGger:HOLDoff", 40e-9, 40e-9, 10.0),
            number("EXTernal:RANGe", 8.0, 1.6, 8.0),
        ]

    @property
    def shown(self) -> list[int]:
        """Channels on the screen; only those are acquired."""
        return [channel for channel in CHANNELS if self.is_shown(channel)]

    def is_shown(self, channel: int) -> bool:
        """Channel 1 alone after *RST."""
        return bool(self.values.get((_SHOWN, (channel,)), channel == 1))

    def show(self, channel: int, *, on: bool) -> None:
        """Put a channel on the screen or take it off."""
        self.keep(_SHOWN, on, channel)

    @command(_SHOWN, parameters=1)
    def set_display(self, parameters: Parameters, n: int) -> None:
        """ON or OFF."""
        self.show(n, on=parameters.boolean(0))

    @command(_SHOWN + "?")
    def display(self, _: Parameters, n: int) -> bool:
        """Whether the channel is on the screen."""
        return self.is_shown(n)

    # Vertical

    @command(_CHANNEL + ":SCALe", parameters=1)
    def set_scale(self, parameters: Parameters, n: int) -> None:
        """Volts a division, 500 uV to 10 V at the input."""
        self._set_scale(n, parameters.number(0))

    @command(_CHANNEL + ":SCALe?")
    def scale(self, _: Parameters, n: int) -> float:
        """Volts a division."""
        return self.verticals[n].scale_V

    @command(_CHANNEL + ":RANGe", parameters=1)
    def set_range(self, parameters: Parameters, n: int) -> None:
        """Volts over the whole screen of eight divisions."""
        self._set_scale(n, parameters.number(0) / DIVISIONS_HIGH)

    @command(_CHANNEL + ":RANGe?")
    def full_range(self, _: Parameters, n: int) -> float:
        """Volts over the whole screen."""
        return self.verticals[n].scale_V * DIVISIONS_HIGH

    def _set_scale(self, channel: int, scale_V: float) -> None:
        vertical = self.verticals[channel]
        if not 0.5e-3 * (1 - 1e-9) <= scale_V / vertical.probe <= 10.0 * (1 + 1e-9):
            raise ScpiError(
                -222, detail=f"500 uV to 10 V a division at the input, times the probe's {vertical.probe:g}"
            )
        vertical.scale_V = scale_V

    @command(_CHANNEL + ":OFFSet", parameters=1)
    def set_offset(self, parameters: Parameters, n: int) -> None:
        """Voltage at the middle of the screen, within 20 divisions here."""
        offset_V, vertical = parameters.number(0), self.verticals[n]
        if abs(offset_V) > 20 * vertical.scale_V * (1 + 1e-9):
            raise ScpiError(-222, detail="within 20 divisions")
        vertical.offset_V = offset_V

    @command(_CHANNEL + ":OFFSet?")
    def offset(self, _: Parameters, n: int) -> float:
        """Voltage at the middle of the screen."""
        return self.verticals[n].offset_V

    @command(_CHANNEL + ":PROBe", parameters=1)
    def set_probe(self, parameters: Parameters, n: int) -> None:
        """The attenuation that readings are multiplied by; scale and offset go with it."""
        probe, vertical = parameters.number(0), self.verticals[n]
        if not 0.001 <= probe <= 10_000.0:
            raise ScpiError(-222)
        vertical.scale_V *= probe / vertical.probe
        vertical.offset_V *= probe / vertical.probe
        vertical.probe = probe

    @command(_CHANNEL + ":PROBe?")
    def probe(self, _: Parameters, n: int) -> float:
        """The attenuation."""
        return self.verticals[n].probe

    @command(_CHANNEL + ":COUPling", parameters=1)
    def set_coupling(self, parameters: Parameters, n: int) -> None:  # noqa: ARG002 - the same for every channel
        """DC; AC is not simulated (-221)."""
        if parameters.choice(0, "DC", "AC") == "AC":
            raise ScpiError(-221, detail="AC coupling is not simulated")

    @command(_CHANNEL + ":COUPling?")
    def coupling(self, _: Parameters, n: int) -> str:  # noqa: ARG002
        """Coupling."""
        return "DC"

    # Time base

    @property
    def rate_Hz(self) -> int:
        """Samples a second: the fastest of 1, 2 or 5 times 10^n at which the screen's width fits into the memory."""
        return max(rate for rate in RATES_HZ if rate * self.width_s <= MEMORY_POINTS)

    @property
    def width_s(self) -> Fraction:
        """Time over the whole screen."""
        return Fraction(str(self.value(_TIME_RANGE)))

    @property
    def start_s(self) -> Fraction:
        """Time from the trigger to the left edge of the screen; negative before the trigger."""
        position = Fraction(str(self.value(_POSITION)))
        return position - self.width_s * _BEFORE_REFERENCE[self.value(_REFERENCE)]

    @property
    def points(self) -> int:
        """Samples over the screen."""
        return int(self.rate_Hz * self.width_s)

    @command(_TIME + ":SCALe", parameters=1)
    def set_time_scale(self, parameters: Parameters) -> None:
        """Seconds a division, 5 ns to 50 s."""
        scale_s = parameters.number(0)
        if not 5e-9 <= scale_s <= 50.0:
            raise ScpiError(-222)
        self.keep(_TIME_RANGE, float(Fraction(str(scale_s)) * DIVISIONS_WIDE))

    @command(_TIME + ":SCALe?")
    def time_scale(self, _: Parameters) -> float:
        """Seconds a division."""
        return float(self.width_s / DIVISIONS_WIDE)

    @command(_TIME + ":MODE", parameters=1)
    def set_time_mode(self, parameters: Parameters) -> None:
        """MAIN; the others are not simulated (-221)."""
        if parameters.choice(0, "MAIN", "WINDow", "XY", "ROLL") != "MAIN":
            raise ScpiError(-221, detail="only the main time base is simulated")

    @command(_TIME + ":MODE?")
    def time_mode(self, _: Parameters) -> str:
        """MAIN."""
        return "MAIN"

    # Trigger

    @property
    def triggers_itself(self) -> bool:
        """Sweep AUTO: an acquisition does not wait for a trigger that does not come."""
        return bool(self.value(_SWEEP) == "AUTO")

    @command(_TRIGGER + ":SOURce", parameters=1)
    def set_trigger_source(self, parameters: Parameters) -> None:
        """EXTernal, or a channel; a channel's own edges are not simulated, so it waits for ever or triggers itself."""
        names = [f"CHANnel{channel}" for channel in CHANNELS]
        chosen = parameters.choice(0, "EXTernal", "LINE", "WGEN", *names)
        if chosen in ("LINE", "WGEN"):
            raise ScpiError(-221, detail="this trigger source is not simulated")
        self.trigger_source = chosen

    @command(_TRIGGER + ":SOURce?")
    def get_trigger_source(self, _: Parameters) -> str:
        """EXT or CHANn."""
        return self.trigger_source
