"""Whether image sequences look noisy: what no local rule tells from the two frames before, and whether that is new each time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from twins.nca import Frames

_MOST_TRIALS, _MOST_FRAMES, _MOST_CELLS, _FEWEST_FRAMES = 4, 24, 60_000, 6
"""What is looked at: cells of all these frames, in the middle."""
_LEAST_SHARE, _MOST_CORRELATION, _LEAST_RATIO = 0.1, 0.15, 0.5
_RIDGE = 1e-9


def noise_figures(frames: Frames, transition_ratio: float) -> dict[str, Any] | None:
    """What the best linear prediction from a cell's own neighbourhood in the two frames before leaves over; None for fewer
    frames than tell.

    unpredicted: its share of the mean square change from frame to frame, by channel. correlation: of what is left over in
    successive frames; the steps that a rule takes and a line does not follow go on for more than a frame, noise is new each
    time. looks_noisy: much is left over, and new each time, and the automaton (transition_ratio: its error over a frame to
    that of no change) cannot tell it either.
    """
    if frames.n_frames < _FEWEST_FRAMES:
        return None
    values = _middle(frames)
    seen = _neighbourhoods(values)
    n_trials, n_times = values.shape[0], values.shape[1] - 2
    # (trial, time, y, x, feature): both frames before, and the constant
    features = np.concatenate((seen[:, 1:-1], seen[:, :-2]), axis=-1)[:, :, 1:-1, 1:-1]
    left, changed = [], []
    for channel in range(frames.n_channels):
        wanted = (values[:, 2:, 1:-1, 1:-1, channel] - values[:, 1:-1, 1:-1, 1:-1, channel]).reshape(-1)
        flat = features.reshape(len(wanted), -1)
        left.append((wanted - flat @ _fitted(flat, wanted)).reshape(n_trials, n_times, -1))
        changed.append(float(np.square(wanted).mean()))
    shares = [
        float(np.square(one).mean()) / max(all_of_it, 1e-300) for one, all_of_it in zip(left, changed, strict=True)
    ]
    together = [_correlation(one) for one in left]
    noisy = [share > _LEAST_SHARE and abs(one) < _MOST_CORRELATION for share, one in zip(shares, together, strict=True)]
    return {
        "unpredicted": shares,
        "correlation": together,
        "looks_noisy": any(noisy) and not transition_ratio < _LEAST_RATIO,
    }


def noise_in_words(noise: Mapping[str, Any]) -> str:
    """What wants saying of sequences that look noisy."""
    return (
        f"the sequences look noisy: {100 * max(noise['unpredicted']):.2g} % of the change from frame to frame (mean square) is "
        "told by no linear rule of a cell's neighbourhood and is new in every frame, and the automaton does not tell it either. "
        "An automaton without chance can but predict the mean, and no figure here says how the noise goes on"
    )


def _middle(frames: Frames) -> NDArray[np.float64]:
    """(trial, time, y, x, channel) of at most so many cells."""
    values = frames.values[:_MOST_TRIALS, :_MOST_FRAMES]
    side = max(8, int((_MOST_CELLS / (values.shape[0] * values.shape[1])) ** 0.5))
    first = [max(0, (cells - side) // 2) for cells in frames.size]
    return values[:, :, first[0] : first[0] + side, first[1] : first[1] + side].astype(np.float64)


def _neighbourhoods(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(trial, time, y, x, 9 x channel + 1)."""
    moved = [np.roll(values, (row, column), axis=(2, 3)) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    return np.concatenate((*moved, np.ones_like(values[..., :1])), axis=-1)


def _fitted(features: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = np.sqrt(np.square(features).mean(axis=0)) + 1e-12
    scaled = features / scale
    gram = scaled.T @ scaled
    gram[np.diag_indices_from(gram)] += _RIDGE * float(np.trace(gram)) / len(gram)
    return np.asarray(np.linalg.solve(gram, scaled.T @ wanted) / scale)


def _correlation(left: NDArray[np.float64]) -> float:
    """Of (trial, time, cell), from one time to the next."""
    both = float((left[:, 1:] * left[:, :-1]).mean())
    return both / max(float(np.square(left).mean()), 1e-300)
