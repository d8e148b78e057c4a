"""GokuNet: an encoder, an equation of known form, a way to the channels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from twins.errors import SeriesInvalid
from twins.goku.network.batch import Batch
from twins.goku.network.decoder import MirrorDecoder, observation_for
from twins.goku.network.encoder import Encoder
from twins.goku.network.latent import Drawn, Latents, Moments
from twins.goku.network.layers import initialise
from twins.goku.network.normalisation import Normalisation
from twins.goku.network.shared import Shared
from twins.goku.network.shooting import Windows, solve_windows
from twins.goku.network.spec import GokuSpec
from twins.goku.network.squared_error import LastLayer
from twins.goku.network.transition import Transition
from twins.goku.observation import Observation
from twins.goku.posterior import Posterior
from twins.goku.series import Series
from twins.goku.system import System


@dataclass(frozen=True, slots=True)
class GokuOutput:
    """What a network says of a batch of traces. Everything is finite.

    outcome: what is expected at the channels, normalised, or what it takes to compute it, which a squared error does at
    less cost by itself; expected: computed, at every call. reconstruction: in the channels' units. states: joined over windows;
    parameters and initial (at the trace's first sample) in their units. continuity: (trace,), mean squared gap between
    windows over states and gaps, in scaled states; kl: (trace,), nats, zero without a posterior. diverged: (trace,), where
    a window of the trace ran away; its states stay where they began, and it has no part in any loss.
    """

    outcome: Float[Tensor, "trace time channel"] | LastLayer
    states: Float[Tensor, "trace time state"]
    parameters: Float[Tensor, "trace parameter"]
    initial: Float[Tensor, "trace state"]
    continuity: Float[Tensor, " trace"]
    kl: Float[Tensor, " trace"]
    diverged: Bool[Tensor, " trace"]
    normalisation: Normalisation

    @property
    def expected(self) -> Float[Tensor, "trace time channel"]:
        """What is expected at the channels, normalised."""
        return self.outcome.expected if isinstance(self.outcome, LastLayer) else self.outcome

    @property
    def reconstruction(self) -> Float[Tensor, "trace time channel"]:
        """What is expected at the channels, in their units."""
        return self.normalisation.physical(self.expected)


class GokuNet(nn.Module):
    """Infers a system's initial states and parameters from traces, in one pass.

    system: a ``System`` (checked here); n_channels: of the traces; observation: with spec.observation = "known", the
    ``KnownObservation``. The weights begin from `generator`.

    Raises EquationInvalid, GokuSpecInvalid.
    """

    def __init__(
        self,
        system: System,
        spec: GokuSpec,
        *,
        n_channels: int,
        observation: Observation | None = None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.system, self.spec, self.n_channels = system.check(), spec, n_channels
        self.names: tuple[str, ...] = ()
        self.units: tuple[str, ...] = ()
        self.encoder = Encoder(n_channels, len(system.drives), spec)
        self.latents = Latents(system, spec)
        self.observation = observation_for(system, spec, n_channels, observation, generator)
        self.transition = Transition(system, spec)
        self.normalisation = Normalisation(n_channels, len(system.drives), spec.normalisation)
        for part in (self.encoder, self.latents):
            initialise(part, generator)
        if spec.observation == "decoder":
            initialise(self.observation, generator)
        self.latents.begin()
        self.log_noise_sd = nn.Parameter(torch.zeros(n_channels), requires_grad=spec.loss == "likelihood")

    @property
    def fitted(self) -> bool:
        """Whether it has seen data (``adopt``)."""
        return bool(self.normalisation.get_buffer("adopted"))

    @property
    def noise_sd(self) -> Float[Tensor, " channel"]:
        """Standard deviation of the observation noise, in the channels' units: learned, or of the fit's residuals."""
        return self.log_noise_sd.detach().exp() * self.normalisation.get_buffer("scale")

    def adopt(self, series: Series) -> None:
        """Take names, units, the channels' scales and the usual time step from data, before a fit.

        Raises SeriesInvalid for series that do not fit the network.
        """
        self.check(series, named=False)
        self.names, self.units = series.names, series.units
        self.normalisation.adopt(series)
        with torch.no_grad():
            self.log_noise_sd.copy_(torch.log(0.5 * self.normalisation.spread(series)))

    def check(self, series: Series, *, named: bool = True) -> None:
        """Raise SeriesInvalid unless the series have this network's channels and drives."""
        if series.n_channels != self.n_channels:
            raise SeriesInvalid(f"the network is for {self.n_channels} channels, the series have {series.n_channels}")
        if named and self.names and (series.names, series.units) != (self.names, self.units):
            raise SeriesInvalid(
                f"the network was fitted to {self.names} in {self.units}; these are {series.names} in {series.units}"
            )
        n_drives = 0 if series.drive is None else series.drive.shape[2]
        if n_drives != len(self.system.drives):
            wanted = ", ".join(quantity.name for quantity in self.system.drives) or "none"
            raise SeriesInvalid(f"{self.system.name}: its drives are {wanted}; the series have {n_drives}")

    def forward(
        self,
        values: Float[Tensor, "trace time channel"],
        seen: Bool[Tensor, "trace time channel"],
        times_s: Float[Tensor, "trace time"],
        drive: Float[Tensor, "trace time drive"] | None = None,
        *,
        generator: torch.Generator | None = None,
        shared: Shared | None = None,
        normalised: bool = False,
    ) -> GokuOutput:
        """One draw of everything (latents, process noise) from `generator`; without one the means, without noise.

        values: in the channels' units, or `normalised` (``prepared``); what they hold where not `seen` has no influence.
        times_s: float64. shared: which traces share their parameters, if any do.
        """
        windows = Windows(values.shape[1], self.spec.window_samples)
        normal = values if normalised else self.normalisation.normalised(values)
        heard = self._heard(normal, seen, times_s, drive, windows, shared)
        drawn: Drawn = self.latents(*heard, generator, shared)
        states, ran = solve_windows(
            self.system, windows, drawn.initial, drawn.parameters, times_s, drive,
            substeps=self.spec.substeps, noisy=self.spec.process_noise and generator is not None, generator=generator,
        )  # fmt: skip
        diverged = ran.any(1)
        scaled = self.latents.scaled(states)
        kl = drawn.kl
        if drawn.state_mean is not None and windows.count > 1:
            kl = kl + self.transition.kl(drawn, scaled, states, windows, times_s, drive, self.latents)
        joined = windows.joined(states)
        return GokuOutput(
            outcome=self._outcome(joined, drawn.parameters),
            states=joined,
            parameters=drawn.parameters,
            initial=drawn.initial[:, 0],
            continuity=windows.gaps(scaled).square().mean(dim=(1, 2)) if windows.count > 1 else torch.zeros_like(kl),
            kl=kl,
            diverged=diverged,
            normalisation=self.normalisation,
        )

    def encode(
        self,
        values: Float[Tensor, "trace time channel"],
        seen: Bool[Tensor, "trace time channel"],
        times_s: Float[Tensor, "trace time"],
        drive: Float[Tensor, "trace time drive"] | None,
        windows: Windows,
        *,
        generator: torch.Generator | None = None,
        shared: Shared | None = None,
    ) -> Drawn:
        """Initial states of all windows and parameters, one draw of them or the means."""
        normal = self.normalisation.normalised(values)
        drawn: Drawn = self.latents(*self._heard(normal, seen, times_s, drive, windows, shared), generator, shared)
        return drawn

    def prepared(self, batch: Batch) -> Batch:
        """The batch with its values normalised, once for all that is learned from them."""
        return batch if batch.normalised else replace(batch, values=self.normalised(batch), normalised=True)

    def normalised(self, batch: Batch) -> Float[Tensor, "trace time channel"]:
        """Its values, normalised."""
        return batch.values if batch.normalised else self.normalisation.normalised(batch.values)

    def moments(self, batch: Batch) -> Moments:
        """The posterior of every trace, where posterior = "physical"."""
        windows = Windows(batch.values.shape[1], self.spec.window_samples)
        return self.latents.moments(
            *self._heard(self.normalised(batch), batch.seen, batch.times_s, batch.drive, windows, batch.shared)
        )

    def draw_with_logits(self, batch: Batch, generator: torch.Generator) -> tuple[Drawn, Tensor]:
        """A draw, with the logits of its parameters, where posterior = "physical"."""
        return self.latents.of_moments(self.moments(batch), generator, batch.shared)

    def _heard(
        self,
        normalised: Tensor,
        seen: Tensor,
        times_s: Tensor,
        drive: Tensor | None,
        windows: Windows,
        shared: Shared | None,
    ) -> tuple[Tensor, Tensor]:
        normal = self.normalisation
        frames = normalised, seen, normal.log_steps(times_s).to(normalised), normal.normalised_drive(drive)
        of_states, of_parameters = self.encoder(*frames, windows)
        return of_states, (of_parameters if shared is None else shared.mean(of_parameters))

    def observe(
        self, states: Float[Tensor, "trace time state"], parameters: Float[Tensor, "trace parameter"]
    ) -> Float[Tensor, "trace time channel"]:
        """What is expected at the channels, in their units."""
        return self.normalisation.physical(self._expected(states, parameters))

    def _outcome(self, states: Tensor, parameters: Tensor) -> Tensor | LastLayer:
        if isinstance(self.observation, MirrorDecoder):
            return self.observation.before_last(self.system.outputs_of(states, parameters.unsqueeze(1)))
        return self._expected(states, parameters)

    def _expected(self, states: Tensor, parameters: Tensor) -> Tensor:
        """The same, normalised, as training needs it. A known observation gives physical values."""
        expected: Tensor = self.observation(self.system.outputs_of(states, parameters.unsqueeze(1)))
        return self.normalisation.normalised(expected) if self.spec.observation == "known" else expected

    def infer(self, series: Series, *, n_draws: int = 200, generator: torch.Generator) -> Posterior:
        """Parameters and initial states of every trace, as draws; without a posterior all draws are the same point."""
        from twins.goku.network.answers import infer

        return infer(self, series, n_draws=n_draws, generator=generator)

    def reconstruct(self, series: Series) -> Float[np.ndarray, "trace time channel"]:
        """What the network takes the traces to be without noise, in the channels' units."""
        from twins.goku.network.answers import reconstruct

        return reconstruct(self, series)

    def forecast(
        self,
        series: Series,
        *,
        n_samples: int,
        generator: torch.Generator,
        drive: Float[np.ndarray, "trace time drive"] | None = None,
        times_s: Float[np.ndarray, "trace time"] | None = None,
        n_draws: int = 1,
    ) -> Float[np.ndarray, "draw trace time channel"]:
        """The last window's state integrated on for n_samples; see ``twins.goku.network.answers.forecast``."""
        from twins.goku.network.answers import forecast

        return forecast(
            self, series, n_samples=n_samples, generator=generator, drive=drive, times_s=times_s, n_draws=n_draws
        )
