"""How a training on simulations divides its time."""

import math
import time

from twins.goku.amortised.budget import Budget
from twins.goku.amortised.settings import AmortisedSettings
from twins.goku.amortised.trust import MISFIT_DRAWS


def budget(max_seconds: float, rate: float) -> Budget:
    return Budget(AmortisedSettings(max_seconds=max_seconds), time.monotonic(), rate)


def test_without_a_limit_as_many_are_simulated_as_were_asked_for() -> None:
    free, asked = budget(math.inf, 1.0), AmortisedSettings()
    assert (free.held_out, free.chunk, free.calibration) == (asked.held_out, asked.chunk, asked.calibration)
    assert free.training_seconds == math.inf
    drawn: list[int] = []
    free.measure(drawn.append)
    assert not drawn


def test_dear_simulations_are_fewer_and_all_of_it_fits_into_the_time() -> None:
    dear = budget(30.0, 400.0)
    cost = dear.held_out + dear.chunk + dear.calibration * (1 + MISFIT_DRAWS)
    assert cost / dear.rate < 30.0
    assert dear.training_seconds + dear.calibration * (1 + MISFIT_DRAWS) / dear.rate <= 30.0
    assert dear.chunk < AmortisedSettings().chunk
    assert not dear.worth(10 * dear.chunk)


def test_so_few_that_odd_traces_could_not_be_told_are_never_made() -> None:
    dearest = budget(1.0, 1.0)
    assert dearest.calibration == 500
    assert dearest.training_seconds > 0.0
