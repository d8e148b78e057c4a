"""Fixed-step stochastic solver: integer steps, explicit noise, held input, exact gradients."""

from twins.solver.contract import bind
from twins.solver.integrate import METHODS, solve
from twins.solver.noise import ReplayedNoise, draw_noise

__all__ = ["METHODS", "ReplayedNoise", "bind", "draw_noise", "solve"]
