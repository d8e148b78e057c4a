"""SimFluidics SF-2: an invented two-channel pump with an injector, for reaction cells. No such instrument can be bought.

    *IDN? *RST *CLS *OPC *OPC? *WAI *ESE(?) *ESR? *SRE(?) *STB? *TST?
    SYSTem:ERRor[:NEXT]?
    PUMP<n>:RATE <1/s>(?)           0 to 0.2; n is 1 or 2
    PUMP<n>[:STATe] {ON|OFF}(?)     a pump that is off delivers nothing; its rate is kept
    INJect <pattern>,<seed>         BLOCks, SPOTs, NOISe, UNIForm: fills the cell anew. HOLE: washes a disc out of what is there.
                                    The seed, 0 to 2147483647, alone says where. The next command waits until it is done.

With `outputs` the bench file says which port of the device each pump feeds; it injects into the device of pump 1.
"""

from collections.abc import Callable, Mapping

from sim_devices.bench import Bench, Port
from sim_devices.physics import Imaged
from sim_devices.scpi import Parameters, ScpiError, ScpiInstrument, command
from sim_devices.scpi.settings import Setting, boolean, number
from sim_devices.signals import Level

HIGHEST_RATE_PER_S = 0.2
_RATE, _STATE = "PUMP<n>:RATE", "PUMP<n>[:STATe]"
_PATTERNS = {"BLOC": "blocks", "SPOT": "spots", "NOIS": "noise", "UNIF": "uniform", "HOLE": "hole"}
_LARGEST_SEED = 2**31 - 1


class SimFluidicsSF2(ScpiInstrument):
    """The front end."""

    suffix_limits = {"n": 2}  # noqa: RUF012

    def __init__(self, *, name: str, identity: str, bench: Bench, outputs: Mapping[int, Port]) -> None:
        self.name = name
        self._bench = bench
        self._outputs = outputs
        self._acting = dict.fromkeys(outputs, 0.0)
        super().__init__(identity=identity, error_capacity=20)

    def settings(self) -> list[Setting]:
        """Rates and switches."""
        return [number(_RATE, 0.0, 0.0, HIGHEST_RATE_PER_S), boolean(_STATE, default=False)]

    def changed(self) -> None:
        """The ports follow the settings."""
        for channel, port in self._outputs.items():
            rate_per_s = self.value(_RATE, channel) if self.value(_STATE, channel) else 0.0
            if rate_per_s != self._acting[channel]:
                self._acting[channel] = rate_per_s
                self._bench.change(port, Level(rate_per_s))

    @command("INJect", parameters=2)
    async def inject(self, parameters: Parameters) -> None:
        """A pattern at places that the seed says."""
        pattern = _PATTERNS[parameters.choice(0, "BLOCks", "SPOTs", "NOISe", "UNIForm", "HOLE")]
        seed = parameters.integer(1)
        if not 0 <= seed <= _LARGEST_SEED:
            raise ScpiError(-222)
        device = self._bench.devices[self._outputs[1][0]].device if 1 in self._outputs else None
        await self._bench.work(self._injection(device, pattern, seed))

    @staticmethod
    def _injection(device: object, pattern: str, seed: int) -> Callable[[], None]:
        if not isinstance(device, Imaged):
            raise ScpiError(-221, detail="nothing to inject into")
        return lambda: device.inject(pattern, seed)
