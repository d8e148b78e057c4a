"""One optimisation step: forward with fresh noise, the exact read-out, backward with it frozen, Adam."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from twins.fitting.adam import FlatAdam
from twins.network.network import PhysicalNetwork
from twins.network.optimise_settings import OptimiserSettings
from twins.network.readout import Readout, ReadoutUnsolvableError, fit_readout
from twins.network.scores import NetworkDivergedError, readout_kind
from twins.network.tasks import Metric, TaskData, TaskError

MOST_SKIPPED = 20
"""Passes in a row that are not finite: some are bad luck of the noise, so many are not."""


def frozen_readout_loss(rows: Tensor, targets: np.ndarray, readout: Readout) -> Tensor:
    """Loss of features (row, feature) with the read-out held fixed: its gradient is that of the minimal penalised
    loss.

    Regression: mean squared error over the variance of the targets. Classification: cross-entropy in nats. The read-
    out's penalty does not depend on the features and is left out.
    """
    weights, bias, wanted = (
        torch.as_tensor(array, dtype=rows.dtype, device=rows.device)
        for array in (readout.weights, readout.bias, targets)
    )
    outputs = rows @ weights.T + bias
    if readout.kind == "linear":
        return ((outputs - wanted).square().mean(dim=0) / wanted.var(dim=0, correction=0)).mean()
    return -(wanted * torch.log_softmax(outputs, dim=-1)).sum(dim=-1).mean()


class Descent:
    """Steps of one network down its loss. All of its memory is in `adam`, `readout` and the generator.

    readout: the last one that was fitted; the next begins from it.
    """

    def __init__(
        self, network: PhysicalNetwork, metric: Metric, settings: OptimiserSettings, generator: torch.Generator
    ) -> None:
        self._network, self._metric, self._settings, self._generator = network, metric, settings, generator
        network.watch_excursion = settings.penalty_outside > 0
        if network.watch_excursion and all(network.fitted_responses(block) is None for block in network.blocks):
            raise TaskError(
                "penalty_outside: no twin of this network tells which responses it was fitted on; leave it at 0"
            )
        # a first layer has no coupling, and in a cascade only one layer is trained
        used = [parameter for parameter in network.parameters() if parameter.numel() and parameter.requires_grad]
        self.adam = FlatAdam(used, largest_gradient=settings.clip)
        self.readout: Readout | None = None
        self.skipped_in_a_row = 0
        """Last passes that moved nothing."""

    def step(self, data: TaskData, learning_rate: float, **of_the_pass: Any) -> float:
        """Move once; the task's loss of this pass. of_the_pass: further arguments of the network, as `measured`.

        A pass whose features or gradient are not finite moves nothing; its loss is NaN where there is no read-out. Raises
        NetworkDivergedError after MOST_SKIPPED of them in a row.
        """
        try:
            loss, penalty = self.losses(data, **of_the_pass)
        except ReadoutUnsolvableError as error:
            self._skip(str(error))
            return math.nan
        if self.adam.step(loss if penalty is None else loss + penalty, learning_rate):
            self.skipped_in_a_row = 0
        else:
            self._skip("the gradient is not finite")
        return float(loss.detach())

    def _skip(self, why: str) -> None:
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MOST_SKIPPED:
            raise NetworkDivergedError(
                f"{self.skipped_in_a_row} passes in a row were of no use ({why}): the twins leave what they were fitted on, "
                "and diverge; begin from smaller scales, drive narrower ranges, give a smaller learning rate or "
                "penalty_outside > 0, or fit the twins on wider excitations"
            )

    def losses(self, data: TaskData, **of_the_pass: Any) -> tuple[Tensor, Tensor | None]:
        """The task's loss of one pass, its read-out solved and held fixed, and the weighted penalty if there is one.

        Raises ReadoutUnsolvableError where features are not finite; the read-out stays that of an earlier pass.
        """
        settings = self._settings
        features = self._network(
            self._network.as_inputs(data.inputs),
            self._generator,
            truncate_steps=settings.truncate_steps,
            checkpoint_steps=settings.checkpoint_steps,
            **of_the_pass,
        )
        rows = features[torch.tensor(data.scored, device=features.device)]
        targets = data.targets[data.scored]
        self.readout = fit_readout(
            readout_kind(self._metric),
            rows.detach().double().cpu().numpy(),
            targets,
            regularisation=settings.regularisation,
            start=self.readout,
        )
        loss = frozen_readout_loss(rows, targets, self.readout)
        if not settings.penalty_outside:
            return loss, None
        return loss, settings.penalty_outside * self._network.excursion
