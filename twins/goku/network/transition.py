"""From the end of a window to the beginning of the next: the part of the KL that takes the continuity loss's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.errors import GokuSpecInvalid
from twins.goku.bound import BoundSystem
from twins.goku.network.latent import Drawn, gaussian_kl
from twins.goku.network.shooting import Windows
from twins.goku.network.spec import GokuSpec
from twins.goku.system import System

if TYPE_CHECKING:
    from twins.goku.network.latent import Latents

_LEARNED_FIRST = -1.0  # log of half-widths
_SMALLEST = 1e-4  # half-widths; below it float32 cannot tell the windows apart


class Transition(nn.Module):
    """p(beginning of window w+1 | end of window w) = N(end, s²), in scaled states.

    spec.transition: "learned": log s is a weight, a state; "annealed": the fit sets s; "process": s² is the variance that
    the system's own noise adds during a window, by its strength where the window ends.
    """

    def __init__(self, system: System, spec: GokuSpec) -> None:
        super().__init__()
        self.system, self.kind = system, spec.transition
        used = spec.posterior == "physical"
        if used and spec.transition == "process" and not system.stochastic:
            raise GokuSpecInvalid(f"transition='process' needs a system with noise of its own; {system.name} has none")
        learned = torch.full((system.n_states,), _LEARNED_FIRST)
        self.log_sd = nn.Parameter(learned) if used and spec.transition == "learned" else None
        self.register_buffer("annealed_sd", torch.ones(()))

    def kl(
        self,
        drawn: Drawn,
        scaled: Float[Tensor, "trace window sample state"],
        states: Float[Tensor, "trace window sample state"],
        windows: Windows,
        times_s: Float[Tensor, "trace time"],
        drive: Float[Tensor, "trace time channel"] | None,
        latents: Latents,
    ) -> Float[Tensor, " trace"]:
        """Sum over the gaps of KL(q(beginning) | N(end, s²)), for this draw."""
        assert drawn.state_mean is not None and drawn.state_sd is not None
        ends = scaled[:, :-1, -1]
        if self.log_sd is not None:
            sd: Tensor = self.log_sd.exp()
        elif self.kind == "annealed":
            sd = self.get_buffer("annealed_sd")
        else:
            sd = self._process_sd(states[:, :-1, -1], drawn.parameters, windows, times_s, drive, latents)
        sd = (sd**2 + _SMALLEST**2).sqrt()
        return gaussian_kl(drawn.state_mean[:, 1:], drawn.state_sd[:, 1:], ends, sd).sum(dim=(1, 2))

    def _process_sd(
        self,
        ends: Float[Tensor, "trace gap state"],
        parameters: Float[Tensor, "trace parameter"],
        windows: Windows,
        times_s: Float[Tensor, "trace time"],
        drive: Float[Tensor, "trace time channel"] | None,
        latents: Latents,
    ) -> Float[Tensor, "trace gap state"]:
        last = windows.places[1:, 0]
        began = times_s[:, windows.places[:-1, 0]]
        duration = ((times_s[:, last] - began) / self.system.time_unit_s).to(ends)
        bound = BoundSystem(self.system, parameters.unsqueeze(1))
        _, g = bound.coefficients_at(ends, None if drive is None else drive[:, last].to(ends))
        assert g is not None
        strength = (g * g).sum(-1) if self.system.noise == "general" else g * g
        sd: Tensor = (strength * duration.unsqueeze(-1) + 1e-20).sqrt() / latents.get_buffer("state_half")
        return sd
