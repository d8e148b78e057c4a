"""Four instruments of other makes around two devices, in a process of their own: `python bench.py` prints their addresses.

vela    a generator in the manner of Siglent's SDG: C1:… commands, headers and units in answers, samples as bare bytes
orion   an oscilloscope in the manner of Tektronix' TDS: labelled curves of signed bytes, set by its screen, fixed record
        lengths, a record that is there only when it has ended; vela's trigger output starts it
pebble  a serial box with DAC and ADC codes, carriage returns, no *IDN?, no read-back; drives and reads a slow device
polar   a bipolar supply: OUTP and MEAS, units in answers, no error queue; biases that device
lyra    plays and digitises: integer millivolts out, float64 in, acknowledges every command; a device of its own

Lines on stdin make faults: "orion short" (half a curve), "lyra nonsense" (text for numbers), "lyra mute" (no answers).
"""

import json
import sys
import threading

import numpy as np
from physics import Remanence
from serving import Instrument, Port, blocks, fields


class Vela(Instrument):
    """Two outputs; output 1 drives the device."""

    def __init__(self, orion: "Orion") -> None:
        self.faults = set()
        self.orion = orion
        self.level_V = {"C1": 0.0, "C2": 0.0}
        self.on = {"C1": False, "C2": False}
        self.rate_Hz = {"C1": 1e3, "C2": 1e3}
        self.wave_V: dict[str, np.ndarray] = {}

    def handle(self, port: Port) -> None:
        if port.starts_with(6)[2:] == b":WVD":
            text = port.until(b"WAVEDATA,").decode()
            count = int(dict(fields(text.split(" ", 1)[1]))["LENGTH"])
            codes = np.frombuffer(port.exactly(2 * count), dtype="<i2")
            assert port.exactly(1) == b"\n"
            self.wave_V[text[:2]] = codes / 32767 * 5.0
            return
        answer = self.answer(port.until(b"\n").decode())
        if answer is not None:
            port.put(answer.encode() + b"\n")

    def answer(self, text: str) -> str | None:
        if text == "*IDN?":
            return "Vela Electronics,SDX1032,SDX00001234,1.01"
        channel, _, rest = text.partition(":")
        command, _, given = rest.partition(" ")
        match command:
            case "BSWV":
                self.level_V[channel] = float(dict(fields(given))["OFST"])
            case "BSWV?":
                return f"{channel}:BSWV WVTP,DC,OFST,{self.level_V[channel]:g}V"
            case "OUTP":
                self.on[channel] = given == "ON"
            case "OUTP?":
                return f"{channel}:OUTP {'ON' if self.on[channel] else 'OFF'},LOAD,HZ,PLRT,NOR"
            case "SRATE":
                self.rate_Hz[channel] = float(dict(fields(given))["VALUE"])
            case "SRATE?":
                return f"{channel}:SRATE MODE,TARB,VALUE,{self.rate_Hz[channel]:g}Sa/s"
            case "BTWV" if given == "MTRIG":
                self.orion.trigger(self.wave_V[channel], self.rate_Hz[channel])
        return None


class Orion(Instrument):
    """Signed bytes with noise of its own; sample rates 1, 2, 5 · 10^n; 500, 2500 or 10000 points."""

    LENGTHS = (500, 2500, 10000)

    def __init__(self, device: Remanence) -> None:
        self.faults = set()
        self.device = device
        self.settings: dict[str, str] = {"HOR:RECO": "500", "HOR:SCA": "0.1", "CH1:SCA": "1"}
        self.state = "STOP"
        self.curve = b""
        self.errors: list[str] = []

    @property
    def rate_Hz(self) -> float:
        wanted_Hz = float(self.settings["HOR:RECO"]) / (10 * float(self.settings["HOR:SCA"]))
        steps = [mantissa * 10.0**power for power in range(6) for mantissa in (1, 2, 5)]
        return min(steps, key=lambda step: abs(step - wanted_Hz))

    def trigger(self, drive_V: np.ndarray, drive_rate_Hz: float) -> None:
        ratio = self.rate_Hz / drive_rate_Hz
        response = self.device.play(drive_V, 1 / drive_rate_Hz)
        if self.state != "READY" or ratio != 1.0:
            return
        length = int(self.settings["HOR:RECO"])
        seen = np.concatenate([response, np.full(length, response[-1])])[:length]
        self.curve = np.clip(np.rint(seen / self.volts_per_count) + 5, -127, 127).astype("i1").tobytes()
        self.state = "STOP"

    @property
    def volts_per_count(self) -> float:
        return float(self.settings["CH1:SCA"]) / 25

    def handle(self, port: Port) -> None:
        text = port.until(b"\n").decode()
        if text == "CURVE?":
            curve = self.curve[:7] if "short" in self.faults else self.curve
            port.put(b":CURVE " + blocks(curve) + b"\n\n")
        elif (answer := self.answer(text)) is not None:
            port.put(answer.encode() + b"\n")

    def answer(self, text: str) -> str | None:
        match text:
            case "*IDN?":
                return "ORION,TDX 2002,C012345,CF:91.1CT FV:v1.0"
            case "ALLEV?":
                told, self.errors = self.errors or ['0,"No events to report"'], []
                return ":ALLEV " + told[0]
            case "ACQ:STATE RUN":
                self.state, self.curve = "READY", b""
            case "ACQ:STATE STOP":
                self.state = "STOP"
            case "TRIG:STATE?":
                return ":TRIGGER:STATE " + self.state
            case "WFMO:YMU?":
                return f":WFMOUTPRE:YMULT {self.volts_per_count:.4E}"
            case "WFMO:YOF?":
                return ":WFMOUTPRE:YOFF 5.0000E0"
            case "WFMO:XIN?":
                return f":WFMOUTPRE:XINCR {1 / self.rate_Hz:.4E}"
            case _:
                name, _, value = text.partition(" ")
                if name == "HOR:RECO" and int(value) not in self.LENGTHS:
                    self.errors = [f'222,"Data out of range; {text}"']
                self.settings[name] = value
        return None


class Pebble(Instrument):
    """V1=2458 sets DAC code 2458 (2048 is 0 V, 409.6 codes a volt); R1? answers an ADC code (16 bits about 0)."""

    def __init__(self, device: Remanence) -> None:
        self.faults = set()
        self.device = device

    def handle(self, port: Port) -> None:
        text = port.until(b"\r").decode()
        if text.startswith("V1="):
            self.device.catch_up()
            self.device.drive_V = (int(text[3:]) - 2048) / 409.6
        elif text == "R1?":
            self.device.catch_up()
            port.put(b"R1:%+06d\r\n" % round(self.device.x * 6553.6))


class Polar(Instrument):
    """Says nothing to what it does not know, as it has no error queue."""

    def __init__(self, device: Remanence) -> None:
        self.faults = set()
        self.device = device
        self.level_V = 0.0
        self.on = False

    def handle(self, port: Port) -> None:
        answer = self.answer(port.until(b"\n").decode().strip())
        if answer is not None:
            port.put(answer.encode() + b"\r\n")

    def answer(self, text: str) -> str | None:
        name, _, value = text.partition(" ")
        match name:
            case "*IDN?":
                return "POLAR POWER BIP-20-5 SN 771 V3"
            case "VOLT":
                self.level_V = float(value)
            case "OUTP":
                self.on = value == "ON"
            case "VOLT?":
                return f"{self.level_V:+.4f}V"
            case "OUTP?":
                return "ON" if self.on else "OFF"
            case "MEAS:VOLT?":
                return f"{self.level_V if self.on else 0.0:+.4f}V"
        self.device.bias_V = self.level_V if self.on else 0.0
        return None


class Lyra(Instrument):
    """OK or ERR to every command. One output in integer millivolts, one input as float64, both at one rate."""

    def __init__(self, device: Remanence) -> None:
        self.faults = set()
        self.device = device
        self.level_mV = 0
        self.rate_Hz = 1000
        self.wave_V = np.zeros(0)
        self.record = np.zeros(0)
        self.state = "IDLE"

    def handle(self, port: Port) -> None:
        text = b""
        while text[-1:] not in (b"\n", b"@"):
            text += port.exactly(1)
        if text[-1:] == b"@":
            self.wave_V = np.frombuffer(port.block(), dtype=">i2") * 1e-3
            port.until(b"\n")
            port.put(b"OK\n")
        elif text == b"ai data\n" and "nonsense" not in self.faults:
            port.put(blocks(self.record.astype("<f8").tobytes()) + b"\n")
        elif (answer := self.answer(text.decode().strip())) and "mute" not in self.faults:
            port.put(answer.encode() + b"\n")

    def answer(self, text: str) -> str:
        match text.split():
            case ["who"]:
                return "Lyra DAQ-7"
            case ["ao"]:
                return f"ao = {self.level_mV} mV"
            case ["ao", level]:
                self.level_mV = int(level)
                self.device.catch_up()
                self.device.drive_V = self.level_mV * 1e-3
            case ["ai"]:
                self.device.catch_up()
                return "ai = nothing" if "nonsense" in self.faults else f"ai = {1e3 * self.device.x:.3f} mV"
            case ["ai", "data"]:
                return "ai = nothing"
            case ["rate"]:
                return f"rate = {self.rate_Hz} Hz"
            case ["rate", rate]:
                self.rate_Hz = int(rate)
            case ["arm"]:
                self.state = "ARMED"
            case ["state"]:
                return f"state = {self.state}"
            case ["go"] if self.state == "ARMED":
                self.record = self.device.play(self.wave_V, 1 / self.rate_Hz)
                self.state = "DONE"
            case ["halt"]:
                self.state = "IDLE"
            case _:
                return f"ERR {text}"
        return "OK"


def main() -> None:
    fast, slow, own = (Remanence(tau_s=tau_s, seed=seed) for seed, tau_s in enumerate((1e-3, 2e-2, 1e-3)))
    orion, pebble, polar, lyra = Orion(fast), Pebble(slow), Polar(slow), Lyra(own)
    vela = Vela(orion)
    made = {"vela": vela, "orion": orion, "pebble": pebble, "polar": polar, "lyra": lyra}
    addresses = {name: one.pty() if name == "pebble" else one.tcp() for name, one in made.items()}
    sys.stdout.write(json.dumps(addresses) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        name, fault = line.split()
        made[name].faults.add(fault)
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    threading.current_thread().name = "other makes"
    main()
