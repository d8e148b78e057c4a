"""How far a twin's mean and noise can be trusted: figures on held-out inputs, each with what chance alone does to it."""

from twins.calibration.calibrate import calibrate
from twins.calibration.figures import Calibration, ChannelFigures, InputFigures

__all__ = ["Calibration", "ChannelFigures", "InputFigures", "calibrate"]
