"""The points of a profile: where it was climbed, where to go next, where it ends."""

from __future__ import annotations

import math
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

from twins.goku.inference.coordinates import FURTHEST

_NEAR_END = 0.02  # nats from the threshold at which an end is found well enough
_GAIN = 0.01  # nats by which a neighbour's way must promise to be better


def half_quantile(level: float) -> float:
    """Half the chi-square quantile with one degree of freedom: how far the log-likelihood may fall."""
    return 0.5 * NormalDist().inv_cdf(0.5 * (1.0 + level)) ** 2


class Front:
    """Points x (free coordinates) with the likelihood's logarithm there; coordinate `place` is held.

    best, value, precision: of the top to begin with; threshold: nats below the maximum where the interval ends.
    """

    def __init__(
        self, place: int, best: Float[Tensor, " free"], value: float, precision: Tensor, threshold: float
    ) -> None:
        self._place, self._threshold, self._first = place, threshold, value
        self._x, self._value, self._done = best.unsqueeze(0), torch.tensor([value], dtype=best.dtype), [True]
        self._slope, sd = _along_ridge(precision, place)
        self._reach = {-1: 0.0, 1: 0.0}
        self._step = min(max(sd * math.sqrt(2.0 * threshold), 1e-6), 3.0)
        self._tried: set[tuple[float, float]] = set()

    @property
    def n_points(self) -> int:
        """Climbed so far, the top among them."""
        return len(self._x)

    @property
    def n_open(self) -> int:
        """Sides without an end yet."""
        return sum(self._bracket(side) is None for side in (-1, 1))

    @property
    def converged(self) -> bool:
        """Every climb was at its top, far below the interval's ends left away."""
        far = self._value < self._value.max() - 4.0 * self._threshold - 4.0
        return all(done or low for done, low in zip(self._done, far.tolist(), strict=True))

    @property
    def higher_top(self) -> float:
        """Nats by which the highest point lies above the one to begin with."""
        return float(self._value.max()) - self._first

    def add(self, x: Float[Tensor, "row free"], value: Float[Tensor, " row"], done: Tensor) -> None:
        """Climbed points; of two at the same held value the better one stays."""
        for point, height, finished in zip(x, value, done.tolist(), strict=True):
            same = (self._x[:, self._place] - point[self._place]).abs() < 1e-9
            if bool(same.any()):
                k = int(same.nonzero()[0, 0])
                if height > self._value[k]:
                    self._x[k], self._value[k], self._done[k] = point, height, finished
                continue
            self._x = torch.cat((self._x, point.unsqueeze(0)))
            self._value = torch.cat((self._value, height.unsqueeze(0)))
            self._done.append(finished)

    def outwards(self, points: int) -> Float[Tensor, "row free"]:
        """Starts further out on every side that has no end yet; none where the range is used up."""
        starts = []
        for side in (-1, 1):
            if self._bracket(side) is not None:
                continue
            x, _ = self.sorted()
            outermost = x[0] if side < 0 else x[-1]
            at = float(outermost[self._place])
            if side * at >= FURTHEST:
                continue
            reach = self._step if self._reach[side] == 0.0 else 2.0 * self._reach[side]
            self._reach[side] = reach
            last = side * min(side * at + 1.3 * reach, FURTHEST)
            for k in range(1, points + 1):
                starts.append(self._moved(outermost, at + (last - at) * k / points))
        return torch.stack(starts) if starts else self._x[:0]

    def neighbours(self) -> Float[Tensor, "row free"]:
        """Starts from a point's better neighbour, where they are not the point's own way: a valley that was missed."""
        x, drop = self.sorted()
        starts = []
        for k in range(len(x)):
            for other in (k - 1, k + 1):
                if not 0 <= other < len(x) or not float(drop[other]) > float(drop[k]) + _GAIN:
                    continue
                here, there = float(x[k, self._place]), float(x[other, self._place])
                if (here, there) not in self._tried and float(drop[k]) > -4.0 * self._threshold - 4.0:
                    self._tried.add((here, there))
                    starts.append(
                        torch.cat((x[other, : self._place], x[k, self._place, None], x[other, self._place + 1 :]))
                    )
        return torch.stack(starts) if starts else self._x[:0]

    def at_ends(self) -> Float[Tensor, "row free"]:
        """Starts where the profile should cross its threshold; none where it is known well enough."""
        starts = []
        for side in (-1, 1):
            bracket = self._bracket(side)
            if bracket is None:
                continue
            inside, outside, drop = bracket
            if min(abs(drop[0] + self._threshold), abs(drop[1] + self._threshold)) < _NEAR_END:
                continue
            at = _crossing(float(inside[self._place]), float(outside[self._place]), drop, self._threshold)
            starts.append(self._between(inside, outside, at))
        return torch.stack(starts) if starts else self._x[:0]

    def end(self, side: int) -> tuple[float, bool]:
        """(free coordinate of the interval's end, whether it is the range's end)."""
        bracket = self._bracket(side)
        if bracket is None:
            return side * FURTHEST, True
        inside, outside, drop = bracket
        return _crossing(float(inside[self._place]), float(outside[self._place]), drop, self._threshold), False

    def at(self, value: float) -> Float[Tensor, " free"]:
        """The best point with the held coordinate at another value: for its conversion alone."""
        x, drop = self.sorted()
        point = x[int(drop.argmax())].clone()
        point[self._place] = value
        return point

    def sorted(self) -> tuple[Float[Tensor, "point free"], Float[Tensor, " point"]]:
        """(points, drop below the maximum) by rising held value."""
        order = self._x[:, self._place].argsort()
        return self._x[order], self._value[order] - self._value.max()

    def _bracket(self, side: int) -> tuple[Tensor, Tensor, tuple[float, float]] | None:
        """The last point inside and the first one beyond the threshold on this side of the maximum."""
        x, drop = self.sorted()
        k = int(drop.argmax())
        while 0 <= k + side < len(x):
            if float(drop[k + side]) < -self._threshold:
                return x[k], x[k + side], (float(drop[k]), float(drop[k + side]))
            k += side
        return None

    def _moved(self, x: Tensor, at: float) -> Tensor:
        """Along the ridge of the first top's parabola, as far as that can be trusted."""
        shift = at - float(x[self._place])
        by_ridge = (self._slope * shift).clamp(-2.0, 2.0)
        point = x + by_ridge
        point[self._place] = at
        return point

    def _between(self, inside: Tensor, outside: Tensor, at: float) -> Tensor:
        span = float(outside[self._place] - inside[self._place])
        point = inside + (outside - inside) * ((at - float(inside[self._place])) / span)
        point[self._place] = at
        return point


def _along_ridge(precision: Tensor, place: int) -> tuple[Tensor, float]:
    """(how the others follow the held coordinate, its sd with the others free), by the precision."""
    scale = precision.diagonal().clamp(min=1e-12).sqrt()
    covariance = torch.linalg.pinv(precision / torch.outer(scale, scale), hermitian=True) / torch.outer(scale, scale)
    variance = float(covariance[place, place].clamp(min=1e-20))
    return covariance[place] / variance, math.sqrt(variance)


def _crossing(inside: float, outside: float, drop: tuple[float, float], threshold: float) -> float:
    """Where the drop passes -threshold: its root is nearly straight, as of a parabola."""
    near, far, wanted = (math.sqrt(max(0.0, value)) for value in (-drop[0], -max(drop[1], -1e6), threshold))
    share = (wanted - near) / max(far - near, 1e-12)
    if math.isinf(drop[1]):
        share = 0.5
    return inside + (outside - inside) * min(max(share, 0.02), 0.98)
