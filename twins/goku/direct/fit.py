"""Our best configuration where all states are seen through a linear map: no encoder, no decoder, no shooting.

What it does differently from GOKU-UI (Abrevaya et al., TMLR 2024): channels are taken to their principal components,
exactly where they are combinations of few; one linear map from there to the states is learned by the likelihood of
single steps with the noise of the steps (``direct_map``); a trace's parameters are found by optimisation, not guessed by a
network (``direct_parameters``); a forecast begins at the last state that was seen. Hidden states, or observation noise that
is not small beside what a step changes, need ``fit_goku`` and ``refine``; so do traces that share their parameters, which
are here found trace by trace (``FittedDirect.observation`` goes on to ``refine``).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from twins.errors import EquationInvalid, SeriesInvalid
from twins.goku.baselines.drives import checked_drive
from twins.goku.direct.map import MapFound, MapSettings, Scores, StateMap, find_map, flow
from twins.goku.direct.parameters import LogitPrior, Logits, likeliest
from twins.goku.direct.principal import PrincipalComponents
from twins.goku.direct.windows import windowed
from twins.goku.observation import KnownObservation
from twins.goku.posterior import Posterior
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.trajectories import solve_system

_FIT_ITERATIONS = 4
MOST_UNEXPLAINED = 0.05
"""Of the channels' variance; with more of it outside, the states cannot be said to be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectSettings:
    """map: the search for it. n_iterations: of Gauss-Newton, at most, for a trace's parameters. window_samples: of the
    solutions that a reconstruction is made of, as in GOKU-UI."""

    map: MapSettings = field(default_factory=MapSettings)
    n_iterations: int = 15
    window_samples: int = 10


@dataclass(frozen=True, slots=True, eq=False)
class FittedDirect:
    """The map, and what follows from it for any series of the same channels.

    nats: of the fit, a step and state. unexplained: the share of the channels' variance outside the components that are
    mapped to states; where it is not small, the states are not what varies in the channels.
    """

    system: System
    components: PrincipalComponents
    map: StateMap
    settings: DirectSettings
    nats: float
    unexplained: float

    @property
    def observation(self) -> KnownObservation:
        """From states to channels, as ``refine`` and ``fit_goku`` take it."""
        to_scores = torch.linalg.inv(self.map.weight)
        matrix = torch.tensor(self.components.components) @ to_scores
        return KnownObservation(matrix, torch.tensor(self.components.offset) - matrix @ self.map.offset)

    def infer(self, series: Series, *, n_draws: int = 200, generator: torch.Generator) -> Posterior:
        """Draws from the Gaussian around each trace's likeliest parameters (in the logits of their ranges).

        The states are taken as seen: the initial state is the same in all draws, and noise_sd is what the components
        leave over. Not trusted where that is much, or where the equation runs away.
        """
        data = self._data(series)
        logits = self._logits(data)
        finite = torch.isfinite(logits.covariance).all(-1).all(-1) & torch.isfinite(logits.mean).all(-1)
        wide = torch.diag(LogitPrior.of_ranges(self.system).sd.square())
        root = torch.linalg.cholesky(torch.where(finite[:, None, None], logits.covariance, wide))
        normal = torch.randn((len(root), n_draws, self.system.n_parameters), dtype=root.dtype, generator=generator)
        mean = torch.where(finite[:, None], logits.mean, 0.0)
        draws = self.system.parameters_from_unit(torch.sigmoid(mean[:, None] + normal @ root.mT))
        trusted = finite.numpy() & (self.unexplained < MOST_UNEXPLAINED)
        elsewhere = f"{self.unexplained:.1%} of the variance is not in the components that stand for the states"
        why = {
            int(trace): elsewhere if finite[trace] else "the equation runs away from this trace"
            for trace in np.flatnonzero(~trusted)
        }
        variance = self.components.left_out + float(self.components.variances.sum())
        noise_sd = np.sqrt(max(self.components.left_out, 1e-12 * variance) / series.n_channels)
        return Posterior(
            parameter_names=self.system.parameter_names,
            parameter_units=tuple(quantity.unit for quantity in self.system.flat_parameters),
            parameters=draws.numpy(),
            initial=self.map.states(data.scores)[:, :1].repeat(1, n_draws, 1).numpy(),
            noise_sd=np.full((series.n_traces, n_draws, series.n_channels), noise_sd),
            weights=np.full((series.n_traces, n_draws), 1.0 / n_draws),
            how="laplace",
            trusted=trusted,
            why=why,
        )

    def reconstruct(self, series: Series, *, fit_starts: bool = False) -> Float64[np.ndarray, "trace time channel"]:
        """Solutions of the equation without noise, in windows; see ``direct_windows``.

        A window begins at the state that the map reads off its first sample; with fit_starts, at the one that fits the
        window best, which is closer to the trace but uses it twice (``window_starts.reconstruct_fitted`` does the same
        for a network).
        """
        data = self._data(series)
        parameters, states = self._followed(data)
        solved = windowed(
            self.system, data, self.map, states, parameters,
            window_samples=self.settings.window_samples, n_iterations=_FIT_ITERATIONS if fit_starts else 0,
            substeps=self.settings.map.substeps,
        )  # fmt: skip
        return self._channels(solved)

    def forecast(
        self, series: Series, *, n_samples: int, drive: np.ndarray | None = None
    ) -> Float64[np.ndarray, "trace time channel"]:
        """The solution without noise from the last state, n_samples typical steps on. drive: (trace, n_samples, drive
        channel), at the samples to forecast."""
        coming = checked_drive(series, n_samples, drive)
        data = self._data(series)
        parameters, states = self._followed(data)
        driven = None
        if coming is not None and data.drive is not None:  # a drive acts from its sample to the next
            driven = torch.cat((data.drive[:, -1:], torch.tensor(coming)[:, :-1]), dim=1).transpose(0, 1)
        solved = solve_system(
            self.system, states[:, -1], parameters, step_s=float(data.steps_s.median()), n_steps=n_samples, drive=driven,
            substeps=self.settings.map.substeps,
        )  # fmt: skip
        return self._channels(solved[1:].transpose(0, 1))

    def _data(self, series: Series) -> Scores:
        data = Scores.of(series, self.components)
        if not bool(data.seen[:, 0].all()):
            raise SeriesInvalid(
                "the first sample of every trace must be seen in all channels; cut the traces to begin there"
            )
        return data

    def _logits(self, data: Scores) -> Logits:
        prior = LogitPrior.of_ranges(self.system)
        return likeliest(
            self.system, data, self.map, prior,
            n_iterations=self.settings.n_iterations, substeps=self.settings.map.substeps,
        )  # fmt: skip

    @torch.no_grad()
    def _followed(self, data: Scores) -> tuple[Float[Tensor, "trace parameter"], Float[Tensor, "trace time state"]]:
        """Likeliest parameters, and the states; where a sample is missing, the equation is followed from the last."""
        logits = self._logits(data).mean
        states = self.map.states(data.scores)
        for now in range(1, states.shape[1] if not bool(data.seen.all()) else 1):
            span = slice(now - 1, now)
            drive = None if data.drive is None else data.drive[:, span]
            moved = flow(
                self.system, states[:, span], logits, data.steps_s[:, span], drive, substeps=self.settings.map.substeps
            )
            states[:, now] = torch.where(data.seen[:, now, None], states[:, now], moved[:, 0])
        return self.system.parameters_from_unit(torch.sigmoid(logits)), states

    def _channels(self, states: Tensor) -> np.ndarray:
        return self.components.values(self.map.scores(states).numpy())


def fit_direct(
    system: System, series: Series, *, seed: int, settings: DirectSettings | None = None
) -> Generator[MapFound, None, FittedDirect]:
    """Find the map for these channels; yields what every start comes to.

    Raises EquationInvalid where the channels hold fewer independent directions than the equation has states, or where
    its states are not its outputs.
    """
    settings = settings or DirectSettings()
    components = PrincipalComponents.of(series, kept=1.0, largest=system.n_states)
    tiny = components.variances < 1e-9 * components.variances[0]
    if components.n_components < system.n_states or bool(tiny.any()):
        raise EquationInvalid(
            f"{system.name} has {system.n_states} states, but the channels hold only "
            f"{int((~tiny).sum())} independent directions; use fit_goku and refine where states are hidden"
        )
    generator = torch.Generator().manual_seed(seed)
    trial = yield from find_map(system, Scores.of(series, components), generator=generator, settings=settings.map)
    unexplained = components.left_out / (components.left_out + float(components.variances.sum()))
    return FittedDirect(system, components, trial.map, settings, trial.nats, unexplained)
