"""How the parameters of single traces are refined, what is said meanwhile, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64

from twins.errors import SeriesInvalid
from twins.goku.posterior import Guess, Posterior

SAMPLERS = ("chains", "emcee", "none")


@dataclass(frozen=True, slots=True)
class RefineSettings:
    """substeps: solver steps a sample; None: as many as the likelihood needs, found at the guess.

    noise_sd_range: (low, high) of the noise of observation, each a number or one a channel, uniform in the logarithm
    before the data; None: 1e-4 to 3 times the spread of each channel.
    initial: "range": the state at a trace's first sample is uniform in the states' ranges before the data; "free":
    nothing is known of it (recordings that begin anywhere).
    n_starts: climbs for each group of traces, the guess among them; without a guess four times as many, and more for
    groups whose best top only one of them reaches.
    n_spans: the climbs begin on the first part of the traces, which is doubled n_spans - 1 times up to the whole
    (long or chaotic traces have many false tops); 1: on the whole at once. max_iterations: of a climb.
    n_draws: importance draws a trace, around the top, and along the density's bends where these fail. Few draws lack the
    tails: beside long chains (150 noisy traces of a Duffing oscillator) 600 gave intervals 2 to 4 % too narrow and a
    coverage of 0.873 for 0.898; 3000 gave 1 % and 0.891, at six times the time. They are trusted up to largest_k_hat (the
    shape of their weights' tail) and from least_effective equal draws on; where they are not, `sampler` takes over:
    "chains" (ours, batched), "emcee" (the established one, to be installed with the extra `samplers`) or "none".
    always_sample: for all traces.
    n_chains, n_sweeps: of the sampler, at most. largest_r_hat: of chains that are trusted.
    max_seconds: of wall time, for all traces together; after it each step under way is ended where it is: what is not
    done comes back with the best there is, not trusted ("out of time"). None: no limit.
    """

    substeps: int | None = None
    noise_sd_range: tuple[object, object] | None = None
    initial: str = "range"
    n_starts: int = 8
    n_spans: int = 3
    max_iterations: int = 60
    n_draws: int = 1200
    largest_k_hat: float = 0.7
    least_effective: float = 100.0
    sampler: str = "chains"
    always_sample: bool = False
    n_chains: int = 16
    n_sweeps: int = 960
    largest_r_hat: float = 1.05
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise SeriesInvalid(f"sampler must be one of {', '.join(SAMPLERS)}, not {self.sampler!r}")
        counts = ("n_starts", "n_spans", "max_iterations", "n_draws", "n_chains", "n_sweeps")
        for name in counts:
            if getattr(self, name) < 1:
                raise SeriesInvalid(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.n_draws < 50:
            raise SeriesInvalid(f"n_draws must be at least 50, not {self.n_draws}: intervals need them")
        if self.max_seconds is not None and not self.max_seconds > 0.0:
            raise SeriesInvalid(f"max_seconds must be above 0 or None, not {self.max_seconds}")


@dataclass(frozen=True, slots=True)
class RefineEvent:
    """phase: "climb", "draw" or "sample". progress: 0..1 of the phase. n_under_way: climbs not at their top yet, or
    traces whose draws are not trusted yet. n_diverged: climbs whose start ran away."""

    phase: str
    progress: float
    n_under_way: int
    n_diverged: int


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """posterior: of every trace. estimate: the most probable point (in the free coordinates).

    log_likelihood: (trace,), at the estimate. log_evidence: (trace,), log p(data) of the trace's group, by importance
    draws; NaN where they are not trusted or the initial state was free. k_hat, effective: (trace,) of the importance draws.
    converged: (trace,), the estimate is a top. diverged: (trace,), the equation ran away from every start.
    n_diverged_starts: (trace,). solver_error: (trace,), how far the estimate is moved at most by the solver's steps,
    in standard deviations. at_edge: per trace, the names of what lies at the end of its range.
    substeps, noise_sd_range: as used. how_many: traces by the way their draws were made.
    """

    posterior: Posterior
    estimate: Guess
    log_likelihood: Float64[np.ndarray, " trace"]
    log_evidence: Float64[np.ndarray, " trace"]
    k_hat: Float64[np.ndarray, " trace"]
    effective: Float64[np.ndarray, " trace"]
    converged: Bool[np.ndarray, " trace"]
    diverged: Bool[np.ndarray, " trace"]
    n_diverged_starts: np.ndarray
    solver_error: Float64[np.ndarray, " trace"]
    substeps: int
    noise_sd_range: tuple[np.ndarray, np.ndarray]
    at_edge: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    how_many: Mapping[str, int] = field(default_factory=dict)
