"""The part of a Bench that sets one output at a time, and knows how far a ramp is."""

from __future__ import annotations

from drivers.errors import DriverError
from labctl.bench.filming import FilmRecordings
from labctl.channels import OutputChannel
from labctl.errors import InstrumentFault, LabctlError, StationError
from labctl.ramping import Ramp


class SingleOutputs(FilmRecordings):
    """Set-points, ramped; any thread may look on, or stop a ramp."""

    def set(self, channel: str, value: float) -> None:
        """Set an output, in its unit, within its limits and at its ramp. Switches it on if it is off.

        Raises OutOfLimits (naming channel, value, range, file and line), UnknownState or SafetyError before a byte
        leaves; RampStopped if `stop_ramp` was called meanwhile; InstrumentFault.
        """
        output = self._output(channel, "set")
        self._written_epoch = self.safe_states.epoch
        output.set(value)

    def get(self, channel: str) -> float:
        """What an output is set to, read back from the instrument, in its unit."""
        return self._output(channel, "read back").get()

    def check_set(self, channel: str, value: float) -> None:
        """Raise what `set` would raise before a byte leaves; writes nothing."""
        self._output(channel, "set").check_set(value)

    def ramp_time_s(self, channel: str, value: float) -> float:
        """How long `set` would take to ramp there from where the channel stands, as last known (s)."""
        return self._output(channel, "set").ramp_time_s(value)

    def ramp_under_way(self, channel: str) -> Ramp | None:
        """How far the ramp of a channel is, None while it stands still. Asks no instrument."""
        return self._output(channel, "set").ramp_under_way

    def stop_ramp(self, channel: str) -> bool:
        """End a ramp where it is, from any thread: the output stays on at that level. False if there was none.

        Its `set` raises RampStopped.
        """
        return self._output(channel, "set").stop_ramp()

    def set_safe(self, channel: str) -> float:
        """Bring one output to its safe value, whatever is known of it, and return what was read back.

        A ramp under way ends; the output is switched off where the station says so. Raises SafetyError while a recording
        is playing on it or holds it, InstrumentFault.
        """
        output = self._output(channel, "made safe")
        output.stop_ramp()
        output.check_free()
        try:
            return output.go_safe()
        except DriverError as error:
            raise InstrumentFault(f"{channel}: {error}") from error

    def _output(self, channel: str, verb: str) -> OutputChannel:
        output = self._outputs.get(channel)
        if output is None:
            raise self._no_channel(channel, verb)
        return output

    def _no_channel(self, name: str, verb: str) -> LabctlError:
        channel = self.station.channel(name)  # raises for a name that the station does not have
        return StationError(f"{name} is a {channel.kind!r} channel of {channel.instrument} and cannot be {verb}")
