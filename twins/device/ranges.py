"""The ranges a twin was fitted on."""

from __future__ import annotations

import torch
from torch import Tensor

from twins.device.spec import DeviceTwinSpec
from twins.errors import OutsideFittedRange

# A drive computed in float32 may miss the end of its range by rounding; a thousandth of a per cent is no extrapolation.
_ROUNDING = 1e-5


def check_drive(drive: Tensor, drive_range: Tensor, spec: DeviceTwinSpec) -> None:
    """Raise OutsideFittedRange, naming channel, value and range, if any value of (…, drive) lies outside (drive, 2)."""
    values = drive.detach().reshape(-1, drive.shape[-1])
    lowest, highest = torch.aminmax(values, dim=0)
    for channel in range(values.shape[1]):
        lower, upper = (float(edge) for edge in drive_range[channel])
        slack = _ROUNDING * (upper - lower)
        for value in (float(lowest[channel]), float(highest[channel])):
            if not lower - slack <= value <= upper + slack:
                raise OutsideFittedRange(
                    channel=spec.drive_names[channel],
                    value=value,
                    lower=lower,
                    upper=upper,
                    unit=spec.drive_units[channel],
                )
