"""What is kept from a fit is enough to judge it on, at every condition, wherever the data allow that."""

import numpy as np
import pytest

from labctl.held_out_part import MOST, held_out_part, least_inputs, least_trials
from twins import Traces


def traces(n_inputs: int, n_samples: int, *, repeats: int = 1, seed: int = 0, **conditions: float) -> Traces:
    rng = np.random.default_rng(seed)
    ids = np.tile(np.arange(n_inputs), repeats)
    drive = rng.uniform(-1, 1, (n_inputs, n_samples, 1))[ids]
    response = rng.standard_normal(drive.shape)
    names = ("u",), ("V",), ("x",), ("V",)
    return Traces(drive, response, 1e-3, *names, n_prepare=4, input_id=ids, conditions=conditions)


def evidence(parts: tuple[Traces, ...]) -> tuple[int, int]:
    return sum(len(np.unique(part.inputs)) for part in parts), sum(part.n_trials for part in parts)


def samples(parts: tuple[Traces, ...]) -> set[float]:
    return {value for part in parts for value in part.response.ravel().tolist()}


@pytest.mark.parametrize(
    ("n_inputs", "n_samples", "repeats"),
    [(45, 266, 1), (111, 100, 1), (10, 60, 3), (5, 900, 1), (1, 12_000, 1), (1, 2000, 10), (3, 500, 4), (4, 1000, 1)],
)
def test_the_gates_have_enough_to_judge(n_inputs: int, n_samples: int, repeats: int) -> None:
    whole = traces(n_inputs, n_samples, repeats=repeats)
    fitted, judged, _, how = held_out_part([whole], fraction=None, seed=0)
    inputs, trials = evidence(judged)
    assert inputs >= least_inputs() and trials >= least_trials(), how
    assert not samples(fitted) & samples(judged)
    assert len(samples(judged)) <= (MOST + 0.02) * len(samples((whole,)))


def test_every_condition_has_enough() -> None:
    data = [traces(30, 100, seed=number, bias=0.1 * number) for number in range(1, 4)]
    fitted, judged, by_input, _ = held_out_part(data, fraction=None, seed=0)
    assert by_input
    for number in range(1, 4):
        assert evidence(tuple(part for part in judged if part.conditions["bias"] == 0.1 * number))[1] >= least_trials()
    assert {part.conditions["bias"] for part in fitted} == {0.1 * number for number in range(1, 4)}


def test_a_drive_that_is_held_out_is_held_out_at_every_condition() -> None:
    data = [traces(20, 100, bias=0.1), traces(20, 100, bias=0.3)]
    fitted, judged, _, _ = held_out_part(data, fraction=None, seed=0)
    drives = [{trial.tobytes() for part in some for trial in part.scored()[0]} for some in (fitted, judged)]
    assert not drives[0] & drives[1]


def test_few_inputs_at_one_condition_are_divided_by_time() -> None:
    data = [traces(20, 400, bias=0.1), traces(2, 3000, seed=1, bias=0.3)]
    fitted, judged, by_input, how = held_out_part(data, fraction=None, seed=0)
    assert not by_input
    assert "at one of the conditions" in how
    assert evidence(judged[1:])[1] >= least_trials()
    assert not samples(fitted) & samples(judged)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_that_was_asked_for_is_kept_to(share: float) -> None:
    _, judged, _, _ = held_out_part([traces(40, 100)], fraction=share, seed=0)
    assert evidence(judged)[0] == round(40 * share)
    _, judged, _, _ = held_out_part([traces(1, 4000)], fraction=share, seed=0)
    assert len(samples(judged)) == pytest.approx(4000 * share, rel=0.03)
