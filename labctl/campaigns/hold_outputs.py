"""Set outputs and hold them there: what `bench.set` alone cannot do in a script, where the outputs end safe with the bench."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from labctl.campaign import Campaign, Step
from labctl.errors import CampaignError
from labctl.events import Progress, Waiting

if TYPE_CHECKING:
    from labctl.bench import Bench

TURN_S = 0.1
"""So often somebody can stop it."""
TELL_S = 1.0


def hold_outputs(
    bench: Bench, levels: Mapping[str, float], *, seconds: float | None = None
) -> Campaign[dict[str, float]]:
    """Bring outputs to these levels (channel -> value in its unit), one after another at their ramps, and hold them.

    seconds: how long; None: until it is stopped, or Ctrl-C. All levels are checked before the first output moves. Returns
    the levels as read back. The outputs stay on when it ends: whoever opened the bench makes them safe.

    Raises CampaignError for nothing to hold or no time, and what `Bench.set` raises.
    """
    if not levels:
        raise CampaignError("name at least one output to hold: {channel: value}")
    if seconds is not None and not seconds > 0.0:
        raise CampaignError(f"outputs are held for some time (s) or until stopped, not for {seconds:g} s")
    for name, value in levels.items():
        bench.check_set(name, value)
    for name, value in levels.items():
        yield from _ramp(bench, name, value)
    read = {name: bench.get(name) for name in levels}
    told = ", ".join(f"{name} {value:.6g} {bench.station.channel(name).unit}" for name, value in read.items())
    step = Step("hold", f"holding {told}{'' if seconds is None else f' for {seconds:g} s'}")
    yield step.started()
    try:
        yield from _hold(seconds)
    except KeyboardInterrupt as interrupt:  # how a person ends it who named no time; any other signal goes on
        if seconds is not None or getattr(interrupt, "signal_number", signal.SIGINT) != signal.SIGINT:
            raise
    yield step.finished(told)
    return read


def _hold(seconds: float | None) -> Campaign[None]:
    began = told = time.monotonic()
    until = float("inf") if seconds is None else began + seconds
    while (now := time.monotonic()) < until:
        if now - told >= TELL_S:
            told = now
            yield Progress("hold", now - began, seconds or now - began, f"{now - began:.0f} s")
        else:
            yield Waiting("hold")
        time.sleep(min(TURN_S, max(0.0, until - time.monotonic())))


def _ramp(bench: Bench, name: str, value: float) -> Campaign[None]:
    """Set one output, told while it is on its way; where the campaign is closed meanwhile it stays where it is."""
    step = Step(f"set/{name}", f"{name} to {value:g} {bench.station.channel(name).unit}")
    yield step.started()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            bench.set(name, value)
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=work, name=f"labctl set {name}", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            ramp = bench.ramp_under_way(name)
            yield Waiting(step.key) if ramp is None else Progress(step.key, ramp.fraction, 1.0, str(ramp))
            thread.join(TURN_S)
    finally:
        while thread.is_alive():  # it may not have begun to move yet
            bench.stop_ramp(name)
            thread.join(TURN_S)
    if errors:
        raise errors[0]
    yield step.finished()
