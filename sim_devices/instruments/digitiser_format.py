"""How the simulated digitiser writes samples: blocks or text, and small duties such as the display."""

import numpy as np
from numpy.typing import NDArray

from sim_devices.instruments.digitiser_inputs import CHANNELS, DigitiserInputs
from sim_devices.scpi import Parameters, ScpiError, command


class DigitiserFormat(DigitiserInputs):
    """Part of the front end: FORMat and what follows from it."""

    def reset_format(self) -> None:
        """As after *RST: int16 and float32 blocks."""
        self._integer_format, self._real_format, self._digits = "INT", "REAL,32", 7

    @command("FORMat[:DATA]:INTeger")
    def set_integer_format(self, parameters: Parameters) -> None:
        """How counts are written."""
        self._integer_format = parameters.choice(0, "INTeger", "ASCii")

    @command("FORMat[:DATA]:INTeger?")
    def integer_format(self, _: Parameters) -> str:
        """How counts are written."""
        return self._integer_format

    @command("FORMat[:DATA]:REAL", parameters=(1, 2))
    def set_real_format(self, parameters: Parameters) -> None:
        """How volts are written."""
        if parameters.choice(0, "REAL", "ASCii") == "REAL":
            size = parameters.integer(1) if len(parameters) > 1 else 32
            if size not in (32, 64):
                raise ScpiError(-224)
            self._real_format = f"REAL,{size}"
            return
        digits = parameters.integer(1) if len(parameters) > 1 else 7
        if not 1 <= digits <= 15:
            raise ScpiError(-222)
        self._real_format, self._digits = f"ASC,{digits}", digits

    @command("FORMat[:DATA]:REAL?")
    def real_format(self, _: Parameters) -> str:
        """How volts are written."""
        return self._real_format

    def format_counts(self, counts: NDArray[np.int16]) -> bytes:
        """Counts in the chosen format."""
        if self._integer_format == "ASC":
            return ",".join(f"{value:+d}" for value in counts.tolist()).encode()
        return self._block(counts, "i2")

    def format_volts(self, volts: NDArray[np.float64]) -> bytes:
        """Volts in the chosen format."""
        if self._real_format.startswith("ASC"):
            return ",".join(f"{value:+.{self._digits - 1}E}" for value in volts.tolist()).encode()
        return self._block(volts, "f4" if self._real_format == "REAL,32" else "f8")

    def _block(self, values: NDArray[np.float64] | NDArray[np.int16], kind: str) -> bytes:
        order = "<" if self.value("FORMat:BORDer") == "SWAP" else ">"
        data = values.astype(order + kind).tobytes()
        length = str(len(data))
        return f"#{len(length)}{length}".encode() + data

    @command("CALibration:ZERO:AUTO?", parameters=1)
    def auto_zero(self, parameters: Parameters) -> int:
        """Nothing drifts here."""
        parameters.channels(0, allowed=CHANNELS)
        return 0

    @command("DISPlay:TEXT:CLEar", parameters=0)
    def clear_display(self, _: Parameters) -> None:
        """Empty the display."""
        self.keep("DISPlay:TEXT", '""')
