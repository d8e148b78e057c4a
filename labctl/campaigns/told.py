"""What the twins' long work tells of itself, a generator of events of its own, as the events of a campaign's step."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from labctl.campaign import Campaign
from labctl.events import Event, Figures, Progress
from twins.network.judged import NoisePass
from twins.network.optimise_settings import Iteration, Validation

Outcome = TypeVar("Outcome")
Translate = Callable[[Any], Iterable[Event]]
"""The campaign's events for one of the work's; at least one each, for Stop acts between two of them."""


def told(run: Generator[Any, None, Outcome], translate: Translate) -> Campaign[Outcome]:
    """Run the work, tell its events, and return its result."""
    while True:
        try:
            event = next(run)
        except StopIteration as finished:
            outcome: Outcome = finished.value
            return outcome
        yield from translate(event)


def drained(run: Generator[Any, None, Outcome]) -> Outcome:
    """The result of a generator whose events nobody wants."""
    while True:
        try:
            next(run)
        except StopIteration as finished:
            outcome: Outcome = finished.value
            return outcome


def of_training(key: str, budget_s: float | None = None) -> Translate:
    """An optimisation's; budget_s: of its wall time, which may end it before its iterations do."""
    from twins.network.multi_start import StartJudged  # loads torch, which whoever trains has loaded

    n_iterations = 0

    def translate(event: Any) -> Iterable[Event]:
        nonlocal n_iterations
        match event:
            case StartJudged(draw=draw, n_drawn=total, score=value, best=best):
                yield Figures(f"{key}/starts", draw, {"score of each random start": value, "best so far": best})
                yield Progress(key, draw, total, f"random starts: best {best:.4f}")
            case Iteration(iteration=n_iterations, n_iterations=total, loss=loss, seconds=seconds, skipped=skipped):
                share = max(n_iterations / total, seconds / budget_s if budget_s else 0.0)
                yield Figures(key, n_iterations, {_of_start("loss", event): loss})
                of_no_use = f", {skipped} passes not finite and skipped" if skipped else ""
                yield Progress(key, share, 1.0, f"loss {loss:.4f}{of_no_use}")
            case Validation(iteration=n_iterations, score=value):
                yield Figures(key, n_iterations, {_of_start("validation", event): value})
            case _:
                yield Figures(key, n_iterations, {})

    return translate


def _of_start(figure: str, event: Iteration | Validation) -> str:
    """A figure's name, with the number of the start where several are trained."""
    return figure if event.start is None else f"{figure} ({event.start + 1})"


def of_search(key: str) -> Translate:
    """A search's among random networks, each of which has passes of its own."""

    from twins.network.reservoir import ReservoirDraw  # loads torch

    def translate(event: Any) -> Iterable[Event]:
        if isinstance(event, ReservoirDraw):
            yield Progress(key, event.draw, event.n_draws, f"best {event.best:.3f}")
        else:
            yield Figures(key, 0, {})

    return translate


def of_passes(key: str) -> Translate:
    """Those of passes of one network in different noise: of a promise, or for a read-out."""

    def translate(event: Any) -> Iterable[Event]:
        if isinstance(event, NoisePass):
            yield Progress(key, event.draw, event.n_draws)
        else:
            yield Figures(key, 0, {})

    return translate
