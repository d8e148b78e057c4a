"""What a campaign says of an optimisation while it runs."""

from __future__ import annotations

import math

from labctl.campaigns.told import of_training
from labctl.events import Progress
from twins.network.optimise import Iteration


def test_passes_that_were_skipped_are_counted_where_a_person_looks() -> None:
    words = []
    for skipped in (0, 3):
        events = of_training("net")(Iteration(5, 10, math.nan, 0.1, 2.0, skipped))
        words += [event.note for event in events if isinstance(event, Progress)]
    assert words == ["loss nan", "loss nan, 3 passes not finite and skipped"]
