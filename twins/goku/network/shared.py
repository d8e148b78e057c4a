"""Traces that share their parameters: what is known of a group is pooled, said once, and handed to each of its traces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Shared:
    """index: (trace,), the group of each trace, 0 … groups - 1."""

    index: Int64[Tensor, " trace"]

    @classmethod
    def of(cls, groups: np.ndarray | Tensor) -> Shared | None:
        """None where every trace has a group of its own."""
        found, index = np.unique(np.asarray(groups), return_inverse=True)
        return None if len(found) == len(index) else cls(torch.from_numpy(index.reshape(-1)))

    @property
    def sizes(self) -> Int64[Tensor, " group"]:
        """Traces of each group."""
        return torch.bincount(self.index)

    def mean(self, values: Float[Tensor, "trace m"]) -> Float[Tensor, "group m"]:
        """Over the traces of each group."""
        total = values.new_zeros(len(self.sizes), values.shape[1]).index_add(0, self.index, values)
        return total / self.sizes.unsqueeze(1)

    def any(self, flags: Tensor) -> Tensor:
        """Whether it holds for any trace of each group."""
        return torch.zeros(len(self.sizes)).index_add(0, self.index, flags.float()) > 0

    def divided(self, values: Float[Tensor, " group"]) -> Float[Tensor, " trace"]:
        """To each trace its part, so that their sum is the groups' sum."""
        return (values / self.sizes)[self.index]
