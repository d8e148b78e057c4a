"""Candidate equations on held-out data: the right one wins, equal ones cannot be told apart. All data are simulated."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import numpy as np
import pytest
import torch

from twins.errors import EquationInvalid, SeriesInvalid
from twins.goku.diagnosis.comparison_data import shown_of, split_in_time
from twins.goku.diagnosis.model_comparison import Candidate, ComparisonSettings, compare_equations, predictive_density
from twins.goku.inference.refine import refine
from twins.goku.inference.refine_settings import RefineSettings
from twins.goku.observation import KnownObservation
from twins.goku.quantity import Quantity, Values
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.trajectories import solve_system

F64 = torch.float64
T = TypeVar("T")
QUICK = ComparisonSettings(
    refine=RefineSettings(n_starts=2, n_spans=1, n_draws=200, sampler="none", substeps=1), warm_up=8, n_draws=50
)


class Spring(System):
    """A damped spring."""

    states = (Quantity("x", "mm", -2.0, 2.0), Quantity("v", "mm/s", -4.0, 4.0))
    parameters = (Quantity("stiffness", "1/s^2", 1.0, 9.0), Quantity("damping", "1/s", 0.02, 1.0, scale="log"))

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return z.v, -p.stiffness * z.x - p.damping * z.v


class Rubbing(Spring):
    """The same with another friction: by the square of the velocity."""

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return z.v, -p.stiffness * z.x - p.damping * z.v * z.v.abs()


class Doubled(Spring):
    """The same as Spring, its position in another unit."""

    states = (Quantity("x", "", -4.0, 4.0), Quantity("v", "", -8.0, 8.0))


class Drifting(System):
    """No spring at all."""

    states = (Quantity("x", "mm", -2.0, 2.0),)
    parameters = (Quantity("rate", "1/s", 0.01, 2.0),)

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (-p.rate * z.x,)


def measured(n_traces: int = 6, *, seed: int = 3, n_samples: int = 50, n_groups: int = 1) -> Series:
    """Simulated springs, all of one stiffness and damping; how many of them are thought to be the same."""
    generator = torch.Generator().manual_seed(seed)
    parameters = torch.tensor([[4.0, 0.4]], dtype=F64).expand(n_traces, -1)
    angle = 6.28 * torch.rand(n_traces, dtype=F64, generator=generator)
    initial = torch.stack((1.5 * angle.cos(), 3.0 * angle.sin()), dim=-1)
    states = solve_system(Spring(), initial, parameters, step_s=0.2, n_steps=n_samples - 1)
    x = states[..., :1] + 0.05 * torch.randn((n_samples, n_traces, 1), dtype=F64, generator=generator)
    groups = np.arange(n_traces) % n_groups
    return Series(x.swapaxes(0, 1).numpy(), 0.2 * np.arange(n_samples), ("x",), ("mm",), group=groups)


def candidate(name: str, system: System) -> Candidate:
    return Candidate(name, system, KnownObservation.of_outputs(system, ["x"]))


def drained(events: Generator[Any, None, T]) -> tuple[list[Any], T]:
    said = []
    while True:
        try:
            said.append(next(events))
        except StopIteration as stopped:
            return said, stopped.value


def test_the_right_equation_predicts_the_rest_of_its_traces_best() -> None:
    training, held_out = split_in_time(measured(n_samples=40, n_groups=6), 0.6)
    candidates = [candidate("drifting", Drifting()), candidate("spring", Spring()), candidate("rubbing", Rubbing())]
    said, found = drained(compare_equations(candidates, training, held_out, seed=0, settings=QUICK))
    assert found.best == "spring" and found.tied == ("spring",)
    assert "predicts best" in found.verdict
    by_name = {score.name: score for score in found.scores}
    assert by_name["spring"].log_density.mean() == pytest.approx(
        np.log(1 / 0.05) - 0.5 * np.log(2 * np.pi * np.e), abs=0.2
    )
    assert by_name["drifting"].difference < by_name["rubbing"].difference < 0.0
    assert by_name["spring"].nrmse.mean() < 0.5 * by_name["drifting"].nrmse.mean()
    assert [event.candidate for event in said if event.log_density is not None] == ["drifting", "spring", "rubbing"]
    assert (found.n_judged, found.n_groups) == (held_out.values.size, 6)
    assert found.as_dict()["best"] == "spring" and len(found.lines()) == 4


def test_one_equation_under_two_names_cannot_be_told_apart_on_other_traces_and_observed_otherwise() -> None:
    series = measured(8, n_groups=4)
    training, held_out = series.select(np.arange(4)), series.select(np.arange(4, 8))
    doubled = Candidate("doubled", Doubled(), KnownObservation(torch.tensor([[0.5, 0.0]])))
    _, found = drained(
        compare_equations([candidate("spring", Spring()), doubled], training, held_out, seed=0, settings=QUICK)
    )
    assert set(found.tied) == {"spring", "doubled"}
    assert "cannot be told apart" in found.verdict
    assert (found.n_judged, found.n_groups) == (4 * (50 - 8), 4)
    assert found.scores[1].difference == pytest.approx(0.0, abs=1e-6)  # the same random numbers for both


def test_the_predictive_density_of_one_draw_is_that_of_the_held_out_errors() -> None:
    training, held_out = split_in_time(measured(2), 0.6)
    shown = shown_of(training, held_out, 8)
    _, refined = drained(
        refine(Spring(), candidate("", Spring()).observation, shown.visible, seed=0, settings=QUICK.refine)
    )
    posterior = refined.posterior
    weights = np.zeros_like(posterior.weights)
    weights[:, 7] = 1.0
    object.__setattr__(posterior, "weights", weights)
    density = predictive_density(candidate("", Spring()), shown, refined)
    for trace in range(2):
        p, z, s = (
            torch.from_numpy(part[trace : trace + 1, 7].copy())
            for part in (posterior.parameters, posterior.initial, posterior.noise_sd)
        )
        course = solve_system(Spring(), z, p, step_s=0.2, n_steps=49)[training.n_samples :, 0, 0].numpy()
        white = (held_out.values[trace, :, 0] - course) / float(s)
        expected = float(np.mean(-0.5 * white**2 - np.log(float(s)) - 0.5 * np.log(2 * np.pi)))
        assert density[trace] == pytest.approx(expected, abs=1e-9)


def test_held_out_traces_of_strangers_and_candidates_of_one_name_are_refused() -> None:
    series = measured(4)
    training = series.select([0, 1])
    stranger = Series(series.values[2:], series.times_s[2:], ("x",), ("mm",), group=np.array([7, 8]))
    with pytest.raises(SeriesInvalid, match="group 7"):
        shown_of(training, stranger, 8)
    twice = [candidate("a", Spring()), candidate("a", Rubbing())]
    with pytest.raises(EquationInvalid, match="different names"):
        next(compare_equations(twice, training, series.select([2, 3]), seed=0))
    with pytest.raises(SeriesInvalid, match="warm-up"):
        shown_of(training, series.select([2, 3]).span(0, 8), 8)


@pytest.mark.parametrize("n_traces", [1, 3])
def test_traces_of_a_single_group_give_no_standard_error_and_so_no_winner(n_traces: int) -> None:
    training, held_out = split_in_time(measured(n_traces, n_samples=40), 0.6)
    candidates = [candidate("spring", Spring()), candidate("rubbing", Rubbing())]
    _, found = drained(compare_equations(candidates, training, held_out, seed=0, settings=QUICK))
    assert set(found.tied) == {"spring", "rubbing"}
    assert "one group" in found.verdict and "± unknown" in found.lines()[2]
