"""Twins of single devices: a neural SDE of the response, delay-embedded, with what it was fitted on."""

from twins.device.history import Histories, histories_of
from twins.device.spec import DeviceTwinSpec
from twins.device.stacked import StackedTwins
from twins.device.stacked_starts import StackedHistories
from twins.device.twin import DeviceTwin

__all__ = ["DeviceTwin", "DeviceTwinSpec", "Histories", "StackedHistories", "StackedTwins", "histories_of"]
