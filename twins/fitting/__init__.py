"""Fitting twins: events, phases, held-out inputs and the score that chooses checkpoints."""

from twins.fitting.events import Epoch, FitEvent, FitResult
from twins.fitting.fit import fit
from twins.fitting.options import AdversarialOptions, RolloutOptions

__all__ = ["AdversarialOptions", "Epoch", "FitEvent", "FitResult", "RolloutOptions", "fit"]
