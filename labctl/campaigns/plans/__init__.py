"""Plans: for every task the network meant for it and the sizes of everything.

Their figures were chosen on evidence (docs/tasks.md, README). Importing this package loads torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from labctl.campaigns.plans.classification import delayed_parity_plan, sine_square_plan, spoken_digits_plan
from labctl.campaigns.plans.forecasting import lorenz_plan, mackey_glass_plan
from labctl.campaigns.plans.general import general_plan
from labctl.campaigns.plans.memory import memory_capacity_plan
from labctl.campaigns.plans.narma import narma10_plan, narma30_plan
from labctl.campaigns.plans.synthesis import waveform_synthesis_plan
from labctl.campaigns.plans.task_plan import TaskPlan, shared_layers
from labctl.errors import CampaignError
from labctl.own_task import is_own_task, load_own_task

PLANS: Mapping[str, Callable[..., TaskPlan]] = MappingProxyType(
    {
        "narma10": narma10_plan,
        "narma30": narma30_plan,
        "mackey_glass": mackey_glass_plan,
        "lorenz": lorenz_plan,
        "memory_capacity": memory_capacity_plan,
        "delayed_parity": delayed_parity_plan,
        "sine_square": sine_square_plan,
        "spoken_digits": spoken_digits_plan,
        "waveform_synthesis": waveform_synthesis_plan,
    }
)
"""plan(devices, *, dt_s, task=None) of each task by its name; task: one of its class with options of your own."""
PLAN_NAMES = tuple(PLANS)
DEMO_PLANS = ("narma10", "delayed_parity")
"""What the closed loop shows unless told otherwise: one regression and one classification."""

__all__ = [
    "DEMO_PLANS",
    "PLANS",
    "PLAN_NAMES",
    "TaskPlan",
    "delayed_parity_plan",
    "general_plan",
    "lorenz_plan",
    "mackey_glass_plan",
    "memory_capacity_plan",
    "narma10_plan",
    "narma30_plan",
    "plan_for",
    "shared_layers",
    "sine_square_plan",
    "spoken_digits_plan",
    "waveform_synthesis_plan",
]


def plan_for(name: str, devices: Sequence[str], *, dt_s: float) -> TaskPlan:
    """The plan of this name for nodes on `devices` (the first plays most), sampled every dt_s.

    A name FILE.py:ClassName is a task of the user's own: the file is run (see labctl.own_task), and its plan is the
    general one. Raises CampaignError for any other name that is not in PLAN_NAMES.
    """
    if is_own_task(name):
        return general_plan(load_own_task(name), devices, dt_s=dt_s)
    if name not in PLANS:
        raise CampaignError(
            f"task {name!r} is unknown; there are {', '.join(PLAN_NAMES)}, or FILE.py:ClassName for one of your own"
        )
    return PLANS[name](devices, dt_s=dt_s)
