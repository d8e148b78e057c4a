"""Commands of the simulated generator that set function, amplitude, offset, limits and load of a channel."""

from sim_devices.instruments.awg_channel import AwgChannel
from sim_devices.scpi import INFINITY, Parameters, ScpiError, command

CHANNELS = (1, 2)
SOURCE = "[SOURce<ch>:]"
OUTPUT = "OUTPut<ch>[:STATe]"
_LEVEL = SOURCE + "VOLTage[:LEVel][:IMMediate]"


class AwgVoltageCommands:
    """Part of the front end: everything that is coupled through the voltage a channel may reach."""

    channels: dict[int, AwgChannel]

    def reset_channels(self) -> None:
        """Channels as after *RST."""
        self.channels = {channel: AwgChannel() for channel in CHANNELS}

    @command(SOURCE + "BURSt:STATe")
    def set_burst(self, parameters: Parameters, ch: int) -> None:
        """Burst mode; DC has none (-221)."""
        on = parameters.boolean(0)
        if on and self.channels[ch].function == "DC":
            raise ScpiError(-221, detail="burst is not possible with DC")
        self.channels[ch].burst_on = on

    @command(SOURCE + "BURSt:STATe?")
    def burst_state(self, _: Parameters, ch: int) -> bool:
        """Whether the channel waits for triggers."""
        return self.channels[ch].burst_on

    @command(SOURCE + "FUNCtion")
    def set_function(self, parameters: Parameters, ch: int) -> None:
        """Shape of the output; DC ends burst mode, with -221."""
        chosen = parameters.choice(0, "SINusoid", "SQUare", "ARB", "DC")
        channel = self.channels[ch]
        channel.function = chosen
        if chosen == "DC" and channel.burst_on:
            channel.burst_on = False
            raise ScpiError(-221, detail="burst turned off by the selection of DC")
        self._fit(ch)

    def _fit(self, ch: int) -> None:
        """A shape with an amplitude may need more room than DC had."""
        channel = self.channels[ch]
        if channel.function != "DC":
            channel.set_offset(channel.offset_V)

    @command(SOURCE + "FUNCtion?")
    def get_function(self, _: Parameters, ch: int) -> str:
        """Short form of the shape."""
        return self.channels[ch].function

    @command(SOURCE + "FUNCtion:ARBitrary")
    def select(self, parameters: Parameters, ch: int) -> None:
        """Choose a waveform in memory."""
        self.channels[ch].select(waveform_name(parameters))

    @command(SOURCE + "FUNCtion:ARBitrary?")
    def selected(self, _: Parameters, ch: int) -> str:
        """The chosen waveform, quoted."""
        return f'"{self.channels[ch].selected}"'

    @command(_LEVEL + "[:AMPlitude]")
    def set_amplitude(self, parameters: Parameters, ch: int) -> None:
        """Peak-to-peak voltage."""
        channel = self.channels[ch]
        names = {"MINIMUM": 2e-3 / channel.load_factor, "MAXIMUM": 2.0 * channel.peak_limit_V}
        channel.set_amplitude(parameters.number(0, names))

    @command(_LEVEL + "[:AMPlitude]?", parameters=(0, 1))
    def get_amplitude(self, _: Parameters, ch: int) -> float:
        """Peak-to-peak voltage."""
        return self.channels[ch].amplitude_Vpp

    @command(_LEVEL + ":OFFSet", SOURCE + "VOLTage:OFFSet")
    def set_offset(self, parameters: Parameters, ch: int) -> None:
        """Offset, or the level of DC."""
        channel = self.channels[ch]
        room = channel.peak_limit_V - channel.half_amplitude_V
        channel.set_offset(parameters.number(0, {"MINIMUM": -room, "MAXIMUM": room}))

    @command(_LEVEL + ":OFFSet?", parameters=(0, 1))
    def get_offset(self, _: Parameters, ch: int) -> float:
        """Offset."""
        return self.channels[ch].offset_V

    @command(SOURCE + "VOLTage:LIMit:HIGH")
    def set_limit_high(self, parameters: Parameters, ch: int) -> None:
        """Upper voltage limit."""
        self._set_limits(ch, high=parameters.number(0))

    @command(SOURCE + "VOLTage:LIMit:LOW")
    def set_limit_low(self, parameters: Parameters, ch: int) -> None:
        """Lower voltage limit."""
        self._set_limits(ch, low=parameters.number(0))

    def _set_limits(self, ch: int, *, high: float | None = None, low: float | None = None) -> None:
        channel = self.channels[ch]
        new_high = channel.limit_high_V if high is None else high
        new_low = channel.limit_low_V if low is None else low
        top, bottom = channel.offset_V + channel.half_amplitude_V, channel.offset_V - channel.half_amplitude_V
        if channel.limits_on and not (new_low <= bottom and top <= new_high):
            raise ScpiError(-221, detail="the present output is beyond these limits")
        if not (abs(new_high) <= channel.peak_limit_V and abs(new_low) <= channel.peak_limit_V and new_low < new_high):
            raise ScpiError(-222)
        channel.limit_high_V, channel.limit_low_V = new_high, new_low

    @command(SOURCE + "VOLTage:LIMit:HIGH?", parameters=(0, 1))
    def limit_high(self, _: Parameters, ch: int) -> float:
        """Upper voltage limit."""
        return self.channels[ch].limit_high_V

    @command(SOURCE + "VOLTage:LIMit:LOW?", parameters=(0, 1))
    def limit_low(self, _: Parameters, ch: int) -> float:
        """Lower voltage limit."""
        return self.channels[ch].limit_low_V

    @command(SOURCE + "VOLTage:LIMit:STATe")
    def set_limit_state(self, parameters: Parameters, ch: int) -> None:
        """Switch the limits on or off; on only where the present output keeps within them."""
        channel, on = self.channels[ch], parameters.boolean(0)
        half = channel.half_amplitude_V
        fits = channel.limit_low_V <= channel.offset_V - half and channel.offset_V + half <= channel.limit_high_V
        if on and not fits:
            raise ScpiError(-221, detail="the present output is beyond the limits")
        channel.limits_on = on

    @command(SOURCE + "VOLTage:LIMit:STATe?")
    def limit_state(self, _: Parameters, ch: int) -> bool:
        """Whether the limits are on."""
        return self.channels[ch].limits_on

    @command("OUTPut<ch>:LOAD")
    def set_load(self, parameters: Parameters, ch: int) -> None:
        """Expected load; displayed voltages are rescaled."""
        value = parameters.number(0, {"INFINITY": INFINITY, "MINIMUM": 1.0, "MAXIMUM": 10e3, "DEFAULT": 50.0})
        if value < INFINITY and not 1.0 <= value <= 10e3:
            raise ScpiError(-222)
        self.channels[ch].set_load(value)

    @command("OUTPut<ch>:LOAD?", parameters=(0, 1))
    def load(self, _: Parameters, ch: int) -> float:
        """Expected load; 9.9E+37 is infinite."""
        return self.channels[ch].load_ohm


def waveform_name(parameters: Parameters) -> str:
    """Name of a waveform: a letter, then letters, digits and underscores; case is kept but does not distinguish."""
    name = parameters.string(0)
    if not (name.isascii() and name[:1].isalpha() and name.replace("_", "a").isalnum()):
        raise ScpiError(-224, detail="a waveform name is a letter and then letters, digits and underscores")
    return name
