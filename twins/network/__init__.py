"""Networks of twins: a wiring of nodes on devices, its optimisation for a task, and the baselines to compare it with."""
