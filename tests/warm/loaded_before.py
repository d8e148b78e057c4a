"""Loaded once, in the process that workers of tests are forked from."""

from __future__ import annotations

import torch._dynamo  # noqa: F401 - loaded by the first optimiser, which takes as long as torch

import labctl.apart
import labctl.campaigns.fit_twin
import labctl.campaigns.optimise_into
import labctl.cli
import labctl.goku_helper
import labctl.nca_live_process
import labctl.twin_predicting  # noqa: F401
