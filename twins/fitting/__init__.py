"""Fitting twins: events, phases, held-out inputs and the score that chooses checkpoints."""

from twins.fitting.events import Epoch, FitEvent, FitResult
from twins.fitting.fit import fit

__all__ = ["Epoch", "FitEvent", "FitResult", "fit"]
