"""Where the nodes of a stack start: measured histories, and what a filter makes of them, drawn once when packing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from twins.device.filtering import draw_start
from twins.device.history import Bank, Histories
from twins.device.twin import DeviceTwin

_FEWEST_DRAWS = 512
"""Posterior draws kept for a twin of hidden state, over all its start histories."""
_SEED = 0


def usable(bank: Bank, conditions: Tensor) -> Bank:
    """The starts that were measured under the conditions nearest to these, (condition,)."""
    if not len(bank.response) or not bank.conditions.shape[1]:
        return bank
    scale = bank.conditions.std(0, correction=0).clamp_min(1e-12)
    distance = ((bank.conditions - conditions.to(bank.conditions)) / scale).norm(dim=1)
    near = distance <= distance.min() + 1e-6
    return Bank(bank.response[near], bank.drive[near], bank.conditions[near])


def padded_banks(banks: Sequence[Bank]) -> dict[str, Tensor]:
    """Of nodes with one drive and one response: (node, entry, sample), newest first, and how many entries are real."""
    size = max(len(bank.response) for bank in banks)

    def stacked(sides: list[Tensor]) -> Tensor:
        length = max(side.shape[1] for side in sides)
        return torch.stack([pad(side.squeeze(-1), (0, length - side.shape[1], 0, size - len(side))) for side in sides])

    return {
        "bank_response": stacked([bank.response for bank in banks]),
        "bank_drive": stacked([bank.drive for bank in banks]),
        "bank_size": torch.tensor([len(bank.response) for bank in banks], dtype=torch.float64),
    }


def is_hidden(twin: DeviceTwin) -> bool:
    """Whether its state at a start has to be inferred."""
    return twin.spec.hidden_state or twin.spec.trial_drift


class Starts:
    """The starts of one twin under fixed conditions: as measured, or draws of what a filter leaves open.

    conditions: (condition,), in physical units.
    """

    def __init__(self, twin: DeviceTwin, bank: Bank, conditions: Tensor) -> None:
        self.twin, self._conditions = twin, conditions
        self.hidden = is_hidden(twin)
        if self.hidden:
            n = len(bank.response)
            n_draws = max(4, -(-_FEWEST_DRAWS // n))
            generator = torch.Generator().manual_seed(_SEED)
            self._drawn = self._draw(Histories(bank.response, bank.drive), (n_draws, n), generator)

    def pick(self, entries: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Normalised (…, delay + 1), newest first, and auxiliaries (…, auxiliary), of entries of the bank (…)."""
        response, auxiliaries = self._drawn
        which = torch.randint(len(response), entries.shape, generator=generator).to(entries.device)
        return response[which, entries], auxiliaries[which, entries]

    def of(self, history: Histories, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """The same of histories (batch, …) in physical units."""
        return self._draw(history, tuple(history.response.shape[:-2]), generator)

    def _draw(
        self, history: Histories, batch: tuple[int, ...], generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        held = self._conditions.expand(*batch, -1)
        with torch.no_grad():
            response, auxiliaries = draw_start(self.twin, history, held, batch, generator)
        return response.squeeze(-1), auxiliaries
