"""Fixed-step stochastic solver: integer steps, explicit noise, held or interpolated input, exact gradients."""

from twins.solver.calculus import as_ito, as_stratonovich
from twins.solver.contract import bind
from twins.solver.integrate import solve
from twins.solver.noise import ReplayedNoise, draw_noise
from twins.solver.paired import PairedSDE
from twins.solver.schemes import METHODS

__all__ = ["METHODS", "PairedSDE", "ReplayedNoise", "as_ito", "as_stratonovich", "bind", "draw_noise", "solve"]
