"""Status registers of IEEE 488.2 and SCPI: event status, status byte, and condition/event/enable sets."""

POWER_ON, COMMAND_ERROR, EXECUTION_ERROR, DEVICE_ERROR, QUERY_ERROR, OPERATION_COMPLETE = 128, 32, 16, 8, 4, 1


def event_bit(code: int) -> int:
    """Bit of the event status register that an error code sets."""
    for lowest, bit in ((-199, COMMAND_ERROR), (-299, EXECUTION_ERROR), (-399, DEVICE_ERROR), (-499, QUERY_ERROR)):
        if lowest <= code <= lowest + 99:
            return bit
    return DEVICE_ERROR


class ConditionRegister:
    """A SCPI status register: condition, events latched on rising bits, enable mask."""

    def __init__(self) -> None:
        self.condition = 0
        self.event = 0
        self.enable = 0

    def update(self, condition: int) -> None:
        """Take the present condition; bits that rise are latched."""
        self.event |= condition & ~self.condition
        self.condition = condition

    def read_event(self) -> int:
        """The latched events; reading clears them."""
        event, self.event = self.event, 0
        return event

    @property
    def summary(self) -> bool:
        """Whether an enabled event is latched."""
        return bool(self.event & self.enable)


class StatusRegisters:
    """ESR, ESE, SRE and the registers behind the status byte."""

    def __init__(self) -> None:
        self.event_status = POWER_ON
        self.event_enable = 0
        self.service_enable = 0
        self.operation = ConditionRegister()
        self.questionable = ConditionRegister()
        self.measurement = ConditionRegister()

    def clear_events(self) -> None:
        """What *CLS does to the registers: events go, enables stay."""
        self.event_status = 0
        for register in (self.operation, self.questionable, self.measurement):
            register.event = 0

    def preset(self) -> None:
        """STATus:PRESet: SCPI enable registers to zero."""
        for register in (self.operation, self.questionable, self.measurement):
            register.enable = 0

    def read_event_status(self) -> int:
        """The event status register; reading clears it."""
        value, self.event_status = self.event_status, 0
        return value

    def status_byte(self, *, errors: bool, message: bool) -> int:
        """Status byte with the summary of everything (MSS) in bit 6."""
        value = (
            (1 if self.measurement.summary else 0)
            | (4 if errors else 0)
            | (8 if self.questionable.summary else 0)
            | (16 if message else 0)
            | (32 if self.event_status & self.event_enable else 0)
            | (128 if self.operation.summary else 0)
        )
        return value | (64 if value & self.service_enable & ~64 else 0)
