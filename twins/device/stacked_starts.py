"""Where the nodes of a stack start: measured histories, and what a filter makes of them, drawn once when packing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from twins.device.filtering import draw_start
from twins.device.history import Bank, Histories
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid

_FEWEST_DRAWS = 512
"""Posterior draws kept for a twin of hidden state, over all its start histories."""
_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class StackedHistories:
    """Measured starts of N nodes, in physical units, newest first, padded to the longest.

    response: (sense, batch, warm-up + delays + 1), drive: (line, batch, warm-up + drive delays). entries: (node,
    batch), where they stand in the banks of the nodes, if they were drawn from there.
    """

    response: Tensor
    drive: Tensor
    entries: Tensor | None = None


def is_hidden(twin: DeviceTwin) -> bool:
    """Whether its state at a start has to be inferred."""
    return twin.spec.hidden_state or twin.spec.trial_drift


class NodeStarts:
    """The starts of the nodes of a stack; equal twins share theirs, for filtering takes its time.

    conditions: (condition,) of every node, as held.
    """

    def __init__(self, twins: Sequence[DeviceTwin], conditions: Sequence[Tensor]) -> None:
        made = {id(twin): Starts(twin) for twin in twins}
        self._of_node = [made[id(twin)] for twin in twins]
        self._conditions = list(conditions)
        self.hidden = [starts.hidden for starts in self._of_node]

    def move(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Change what is held beside the twins to another device or type."""
        for starts in {id(one): one for one in self._of_node}.values():
            starts.move(fn)
        self._conditions = [fn(one) for one in self._conditions]

    def histories(self, n_batch: int, generator: torch.Generator, conditions: Mapping[str, Tensor]) -> StackedHistories:
        """Drawn for every node from those of its measured starts whose conditions are nearest."""
        shape = (len(self._of_node), n_batch)
        lots = torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device)
        entries, responses, drives = [], [], []
        for starts, held, lot in zip(self._of_node, self._conditions, lots, strict=True):
            bank, names = starts.bank, starts.twin.spec.condition_names
            wanted = [conditions.get(name, held[place]) for place, name in enumerate(names)]
            near = nearest(bank, torch.stack([one.detach().to(held) for one in wanted]) if wanted else held)
            entries.append(near[(lot * len(near)).long().to(near.device)])
            responses.append(bank.response[entries[-1]].permute(2, 0, 1))
            drives.append(bank.drive[entries[-1]].permute(2, 0, 1))
        return StackedHistories(_padded(responses), _padded(drives), torch.stack(entries))

    def draw(
        self, history: StackedHistories, generator: torch.Generator | None, *, all_of: Sequence[int]
    ) -> dict[int, tuple[Tensor, Tensor]]:
        """Normalised starts (batch, delay + 1, response), newest first, and auxiliaries of every node whose state is
        hidden, and of the nodes `all_of`."""
        found = {}
        sense = line = 0
        for node, starts in enumerate(self._of_node):
            spec = starts.twin.spec
            senses, lines = slice(sense, sense + spec.n_response), slice(line, line + spec.n_drive)
            sense, line = senses.stop, lines.stop
            if starts.hidden and history.entries is not None:
                if generator is None:
                    raise TracesInvalid(f"the start of node {node} is hidden and must be drawn: pass generator=…")
                found[node] = starts.pick(history.entries[node], generator)
            elif starts.hidden or node in all_of:
                n_response, n_drive = spec.warm_up + spec.response_delays + 1, spec.warm_up + spec.drive_delays
                raw = Histories(
                    history.response[senses, :, :n_response].permute(1, 2, 0),
                    history.drive[lines, :, :n_drive].permute(1, 2, 0),
                )
                found[node] = starts.of(raw, self._conditions[node], generator)
        return found


class Starts:
    """The starts of one twin: as measured, or draws of what a filter leaves open under the conditions of each."""

    def __init__(self, twin: DeviceTwin) -> None:
        self.twin = twin
        self.bank = bank = twin.bank
        self.hidden = is_hidden(twin)
        self._drawn: tuple[Tensor, ...] = ()
        if self.hidden:
            n_draws = max(4, -(-_FEWEST_DRAWS // len(bank.response)))
            generator = torch.Generator().manual_seed(_SEED)
            held = bank.conditions.to(twin.condition_centre).expand(n_draws, *bank.conditions.shape)
            with torch.no_grad():
                self._drawn = draw_start(
                    twin, Histories(bank.response, bank.drive), held, (n_draws, len(bank.response)), generator
                )

    def move(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Change what is held beside the twin to another device or type."""
        self.bank = Bank(fn(self.bank.response), fn(self.bank.drive), fn(self.bank.conditions))
        self._drawn = tuple(fn(one) for one in self._drawn)

    def pick(self, entries: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Normalised (…, delay + 1, response), newest first, and auxiliaries (…, auxiliary), of entries of the bank (…)."""
        response, auxiliaries = self._drawn
        which = torch.randint(len(response), entries.shape, generator=generator, device=generator.device)
        which = which.to(entries.device)
        return response[which, entries], auxiliaries[which, entries]

    def of(self, history: Histories, conditions: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """The same of histories (batch, …) in physical units, under conditions (condition,)."""
        batch = tuple(history.response.shape[:-2])
        with torch.no_grad():
            return draw_start(self.twin, history, conditions.expand(*batch, -1), batch, generator)


def nearest(bank: Bank, conditions: Tensor) -> Tensor:
    """The entries of the starts that were measured under the conditions nearest to these, (condition,)."""
    if not bank.conditions.shape[1]:
        return torch.arange(len(bank.response), device=bank.response.device)
    scale = bank.conditions.std(0, correction=0).clamp_min(1e-12)
    distance = ((bank.conditions - conditions.to(bank.conditions)) / scale).norm(dim=1)
    near: Tensor = (distance <= distance.min() + 1e-6).nonzero().squeeze(1)
    return near


def _padded(sides: Sequence[Tensor]) -> Tensor:
    """(channel, batch, sample) of each node -> of all, with zeros after the shorter ones."""
    length = max(side.shape[2] for side in sides)
    return torch.cat([pad(side, (0, length - side.shape[2])) for side in sides])
