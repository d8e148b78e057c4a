"""Series as tensors, for a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.goku.network.shared import Shared
from twins.goku.series import Series


@dataclass(frozen=True, slots=True)
class Batch:
    """Some traces: values (zero where missing), seen, times_s (float64) and drive, in their units; which traces share their
    parameters, if any do. Where nothing is missing `seen` is one True, expanded: see ``all_seen``.

    normalised: the values are not in their units but in the channels of a network (``GokuNet.prepared``)."""

    values: Float[Tensor, "trace time channel"]
    seen: Bool[Tensor, "trace time channel"]
    times_s: Float[Tensor, "trace time"]
    drive: Float[Tensor, "trace time drive"] | None
    shared: Shared | None = None
    normalised: bool = False

    @property
    def arguments(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """As a network takes them."""
        return self.values, self.seen, self.times_s, self.drive

    def cropped(self, traces: np.ndarray, starts: np.ndarray, length: int) -> Batch:
        """These traces, each from its own start on; crops without any value seen are as they are."""
        rows = torch.from_numpy(traces)[:, None]
        places = torch.from_numpy(starts)[:, None] + torch.arange(length)
        drive = None if self.drive is None else self.drive[rows, places]
        shared = None if self.shared is None else Shared.of(self.shared.index[rows[:, 0]])
        values = self.values[rows, places]
        seen = _taken(self.seen, (rows, places), values)
        return Batch(values, seen, self.times_s[rows, places], drive, shared, self.normalised)

    def __len__(self) -> int:
        return len(self.values)


def chunks(batch: Batch, size: int = 256) -> Iterator[Batch]:
    """The batch in parts of `size` traces, where nothing is learned and memory counts; whole, if traces share parameters."""
    if batch.shared is not None:
        yield batch
        return
    for start in range(0, len(batch), size):
        yield _rows(batch, slice(start, start + size))


def repeated(batch: Batch, n: int) -> Batch:
    """n traces: these over and over, each time anew; whole copies, if traces share parameters."""
    if batch.shared is None:
        return _rows(batch, torch.arange(n) % len(batch))
    copies = max(1, n // len(batch.shared.sizes))
    index = torch.cat([batch.shared.index + copy * len(batch.shared.sizes) for copy in range(copies)])
    rows = _rows(batch, torch.arange(len(batch)).repeat(copies))
    return replace(rows, shared=Shared(index))


def _rows(batch: Batch, rows: slice | Tensor) -> Batch:
    drive = None if batch.drive is None else batch.drive[rows]
    values = batch.values[rows]
    seen = _taken(batch.seen, (rows,), values)
    return Batch(values, seen, batch.times_s[rows], drive, normalised=batch.normalised)


def all_seen(seen: Bool[Tensor, "trace time channel"]) -> bool:
    """Whether nothing is missing; without a look at every value where one stands for all of them."""
    return bool(seen[:1, :1, :1].all() if _is_one(seen) else seen.all())


def _is_one(seen: Tensor) -> bool:
    return not any(seen.stride())


def _taken(seen: Tensor, places: tuple[slice | Tensor, ...], values: Tensor) -> Tensor:
    """Those of some values; one that stands for all still does."""
    return seen[:1, :1, :1].expand(values.shape) if _is_one(seen) else seen[places]


def batch_of(series: Series, *, dtype: torch.dtype = torch.float32) -> Batch:
    """All traces of the series."""
    complete = bool(series.seen.all())
    return Batch(
        torch.from_numpy(np.nan_to_num(series.values, nan=0.0)).to(dtype).contiguous(),
        torch.ones(1, 1, 1, dtype=torch.bool).expand(series.values.shape)
        if complete
        else torch.from_numpy(series.seen),
        torch.from_numpy(series.times_s.copy()),
        None if series.drive is None else torch.from_numpy(series.drive.copy()).to(dtype),
        Shared.of(series.groups),
    )
