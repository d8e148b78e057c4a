"""Plans: one for every task, and each fits its task."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.campaigns.plans import DEMO_PLANS, PLAN_NAMES, PLANS, plan_for
from labctl.campaigns.task_plan import TaskPlan
from labctl.errors import CampaignError
from twins.network.tasks import TASKS, Lorenz

DEVICES = ("leaky", "duffing")


def test_every_task_has_a_plan() -> None:
    assert set(PLAN_NAMES) == set(TASKS)
    assert set(DEMO_PLANS) <= set(PLAN_NAMES)


@pytest.mark.parametrize("name", PLAN_NAMES)
def test_a_plan_is_about_its_task_and_its_network_reaches_past_no_washout(name: str) -> None:
    plan = plan_for(name, DEVICES, dt_s=2e-4)
    assert plan.task.name == name
    assert type(plan.task) is TASKS[name]
    assert plan.devices == DEVICES
    assert plan.architecture.n_inputs == plan.task.n_inputs
    assert plan.architecture.washout == plan.task.washout
    assert 12 <= plan.n_nodes <= 24
    assert min(plan.n_steps, plan.settings.n_steps) > plan.task.washout
    if name not in ("spoken_digits", "waveform_synthesis"):  # words begin after silence; waves have no beginning
        assert max(plan.reachable_taps) <= max(plan.task.washout, 3)


@pytest.mark.parametrize("name", PLAN_NAMES)
def test_a_plan_draws_its_examples_again_from_the_seed(name: str) -> None:
    plan = replace(plan_for(name, DEVICES, dt_s=2e-4), n_training_trials=4, n_heldout_trials=3)
    (training, heldout), (again, _) = plan.examples(seed=3), plan.examples(seed=3)
    assert training.inputs.shape == (4, plan.n_steps, plan.task.n_inputs)
    assert heldout.inputs.shape == (3, plan.n_steps, plan.task.n_inputs)
    assert (training.inputs == again.inputs).all()


def test_a_task_with_options_of_ones_own_keeps_the_rest_of_the_plan() -> None:
    task = Lorenz(seen=("x", "z"), forecast=("y",))
    plan = PLANS["lorenz"](DEVICES, dt_s=2e-4, task=task)
    assert plan.task is task
    assert plan.architecture.n_inputs == 2


def test_an_architecture_with_other_inputs_than_its_task_is_refused() -> None:
    plan = plan_for("spoken_digits", DEVICES, dt_s=2e-4)
    with pytest.raises(
        CampaignError, match=r"has 4 input\(s\) and the architecture 1: give Architecture\(n_inputs=4\)"
    ):
        replace(plan, architecture=replace(plan.architecture, n_inputs=1))


def test_an_unknown_name_is_told_with_all_that_there_are() -> None:
    with pytest.raises(CampaignError, match=r"narma10, narma30, .* or FILE\.py:ClassName"):
        plan_for("narma11", DEVICES, dt_s=2e-4)


def test_plans_are_found_where_they_were_before_there_were_many() -> None:
    assert isinstance(plan_for("narma10", DEVICES, dt_s=2e-4), TaskPlan)
