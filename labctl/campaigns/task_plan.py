"""The plans of labctl.campaigns.plans, by the name they had before there were many."""

from __future__ import annotations

from labctl.campaigns.plans import PLAN_NAMES, TaskPlan, delayed_parity_plan, narma10_plan, plan_for, shared_layers

__all__ = ["PLAN_NAMES", "TaskPlan", "delayed_parity_plan", "narma10_plan", "plan_for", "shared_layers"]
