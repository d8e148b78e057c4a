"""The ranges a twin was fitted on."""

from __future__ import annotations

import torch
from torch import Tensor

from twins.device.spec import DeviceTwinSpec
from twins.errors import OutsideFittedRange

# Random excitations approach the ends of their range without reaching them: so near, nothing is extrapolated.
RANGE_SLACK = 0.01


def check_drive(drive: Tensor, drive_range: Tensor, spec: DeviceTwinSpec) -> None:
    """Raise OutsideFittedRange, naming channel, value and range, if any value of (…, drive) lies outside (drive, 2).

    A hundredth of the range's width beyond its ends still counts as inside.
    """
    values = drive.detach().reshape(-1, drive.shape[-1])
    lowest, highest = torch.aminmax(values, dim=0)
    for channel in range(values.shape[1]):
        lower, upper = (float(edge) for edge in drive_range[channel])
        slack = RANGE_SLACK * (upper - lower)
        for value in (float(lowest[channel]), float(highest[channel])):
            if not lower - slack <= value <= upper + slack:
                raise OutsideFittedRange(
                    channel=spec.drive_names[channel],
                    value=value,
                    lower=lower,
                    upper=upper,
                    unit=spec.drive_units[channel],
                )


def check_conditions(values: Tensor, condition_range: Tensor, spec: DeviceTwinSpec) -> None:
    """The same for conditions (…, condition); they have no unit of their own."""
    if not spec.n_conditions:
        return
    flat = values.detach().reshape(-1, spec.n_conditions)
    for number, name in enumerate(spec.condition_names):
        lower, upper = (float(edge) for edge in condition_range[number])
        slack = RANGE_SLACK * (upper - lower) + 1e-6 * max(abs(lower), abs(upper))  # float32 holds no more
        for value in (float(flat[:, number].min()), float(flat[:, number].max())):
            if not lower - slack <= value <= upper + slack:
                raise OutsideFittedRange(channel=name, value=value, lower=lower, upper=upper, unit="")
