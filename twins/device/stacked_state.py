"""Where the nodes of a stack stand between two samples, so that a run can go on from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class StackState:
    """parts: one tuple of tensors a group of nodes. newest: (sense, batch), the first sample as it was measured; None
    once it is past. offset: (sense, batch, 1), what a trial is offset by, where a twin drifts over trials."""

    parts: tuple[tuple[Tensor, ...], ...]
    newest: Tensor | None = None
    offset: Tensor | None = None

    def going_on(self) -> StackState:
        """The same after the first sample."""
        return replace(self, newest=None)

    def detached(self) -> StackState:
        """The same without its past: gradients end here."""
        return replace(self, parts=tuple(tuple(one.detach() for one in part) for part in self.parts))

    def tensors(self) -> tuple[Tensor, ...]:
        """All that gradients flow through, flat; see with_tensors."""
        return tuple(one for part in self.parts for one in part)

    def with_tensors(self, flat: Sequence[Tensor]) -> StackState:
        """The same with other tensors in these places."""
        given = iter(flat)
        return replace(self, parts=tuple(tuple(next(given) for _ in part) for part in self.parts))
