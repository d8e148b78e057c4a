"""What an instrument says it is: the four fields of *IDN? (IEEE 488.2, section 10.14)."""

from dataclasses import dataclass

SIMULATED_PREFIX = "SIM-"


@dataclass(frozen=True, slots=True)
class Identity:
    """Maker, model, serial number and firmware revision, as answered; "" where the instrument gives none."""

    maker: str
    model: str
    serial: str
    firmware: str

    @classmethod
    def parse(cls, answer: str) -> "Identity":
        """Split an *IDN? answer. Fields that are missing become ""; the firmware keeps further commas."""
        fields = [field.strip() for field in answer.strip().split(",", 3)]
        return cls(*(fields + [""] * (4 - len(fields))))

    @property
    def simulated(self) -> bool:
        """True when the serial number says that this is a simulated instrument."""
        return self.serial.startswith(SIMULATED_PREFIX)

    def same_instrument(self, other: "Identity") -> bool:
        """True when both are the same unit; its firmware may have been updated in between."""
        return (self.maker, self.model, self.serial) == (other.maker, other.model, other.serial)

    def __str__(self) -> str:
        """As the instrument writes it."""
        if self == UNKNOWN:
            return "cannot say who it is"
        return ",".join((self.maker, self.model, self.serial, self.firmware))


UNKNOWN = Identity("", "", "", "")
"""The identity of an instrument that was never asked (line opened with probe=None)."""
